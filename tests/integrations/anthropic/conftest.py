"""A service whose sessions have a desktop, and a session of it as the tests of desktops have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.desktop.conftest import desktop_image, session, terminal

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay_local import Image

__all__ = ["desktop_image", "session", "shared_service", "terminal"]


@pytest.fixture(scope="session", name="shared_service")
def shared_service(
    desktop_image: Image,  # the fixture
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[LocalService]:
    """Run one service for all tests; tell the report how many sessions are left in the end."""
    with LocalService(images=[desktop_image]) as service:
        yield service
        record_testsuite_property("sessions_left", len(service.living()))
