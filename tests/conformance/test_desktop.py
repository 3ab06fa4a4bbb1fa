"""The unmodified official client uses the desktop of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.test_official_client import PROGRAMS, run
from tests.image_cache import ready_image

from agentbay_local import LocalService

if TYPE_CHECKING:
    from pathlib import Path


def test_the_official_client_uses_a_desktop(official_python: str, tmp_path: Path) -> None:
    """Every call of its computer, but `screenshot`, which it refuses where there are links."""
    program = PROGRAMS[0].parents[1] / "desktop" / "blocking.py"
    with LocalService(
        home=tmp_path / "home", api_key="akm-conformance", images=[ready_image("linux_latest")]
    ) as service:
        run(official_python, program, service, tmp_path)
