"""A scripted session for the tests of what runs inside one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestServer

from agentbay_async import AsyncAgentBay
from agentbay_local import LocalService

from .machine import Machine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.conftest import InstantClock

    from agentbay_async import AsyncSession

#: A secret: tests look for it where it must not be shown.
API_KEY = "akm-5e6f-the-secret-key"


@pytest.fixture(autouse=True)
def _empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run the test in a directory without a ``.env`` file, in it or above."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    """Give a scripted session that offers every channel."""
    machine = Machine()
    server = TestServer(machine.app())
    await server.start_server(access_log=None, shutdown_timeout=0.1)
    machine.endpoint = str(server.make_url("")).rstrip("/")
    machine.offer()
    yield machine
    for connection in machine.connections:
        connection.abort()
    await server.close()


@pytest.fixture
async def linked_bay(machine: Machine, clock: InstantClock) -> AsyncIterator[AsyncAgentBay]:
    """Give a client of the machine, on a clock that does not wait."""
    async with AsyncAgentBay(API_KEY, endpoint=machine.endpoint, clock=clock, timeout=10) as bay:
        yield bay


@pytest.fixture
def join(linked_bay: AsyncAgentBay) -> Callable[[], Awaitable[AsyncSession]]:
    """Give a function that looks up the session, with the channels that the machine offers now."""

    async def look_up() -> Any:
        return (await linked_bay.get("s-1")).session

    return look_up


@pytest.fixture
async def linked(join: Callable[[], Awaitable[AsyncSession]]) -> AsyncSession:
    """Give a session of the machine with every channel."""
    return await join()


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run a local service for the tests of a module."""
    with LocalService() as running:
        if not running.isolation.available:
            pytest.skip(running.isolation.reason)
        yield running
