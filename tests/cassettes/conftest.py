"""A service to record, recorders in front of it, and clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, Config
from agentbay_local import LocalService, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def service() -> Iterator[LocalService]:
    """Run one service for all tests of this process."""
    with LocalService() as running:
        yield running


@pytest.fixture
def sandboxed(service: LocalService) -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)


@pytest.fixture
def recorder_at(service: LocalService) -> Callable[[Path], Recorder]:
    """Return a function that makes a recorder of the service."""

    def make(path: Path) -> Recorder:
        return Recorder(path, endpoint=service.endpoint, api_key=service.api_key)

    return make


@pytest.fixture
def client_of() -> Callable[[Recorder | LocalService], AsyncAgentBay]:
    """Return a function that makes a client of a service, or of a recorder."""

    def make(server: Recorder | LocalService) -> AsyncAgentBay:
        return AsyncAgentBay(server.api_key, Config(ledger=False), endpoint=server.endpoint)

    return make
