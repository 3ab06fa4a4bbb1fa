"""Clients of a scripted service."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentbay_async import AsyncAgentBay, AsyncSession
from agentbay_async._lifecycle import unheld
from agentbay_local import LocalService, ManualClock

from .fake_service import FakeService
from .scripted import Relay, Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.conftest import InstantClock

    Bays = Callable[..., AsyncAgentBay]

#: A secret: tests look for it where it must not be shown.
API_KEY = "akm-5e6f-the-secret-key"


@pytest.fixture(autouse=True)
def _no_known_sessions() -> None:
    """Forget what callers of other tests know: scripted services give the same ids again."""
    unheld.created.clear()
    unheld.found.clear()


@pytest.fixture(autouse=True)
def _empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run the test in a directory without a ``.env`` file, in it or above."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scripted() -> Iterator[Script]:
    """Return a scripted service."""
    transport = Script()
    yield transport
    transport.end()


@pytest.fixture
async def over_http(scripted: Script) -> AsyncIterator[None]:
    """Serve the script on a port, so that clients reach it over real connections."""
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", scripted.serve)
    server = TestServer(app)
    # Without aiohttp's access log: tests read the log of the client.
    await server.start_server(access_log=None)
    scripted.endpoint = str(server.make_url("")).rstrip("/")
    yield
    scripted.end()
    await server.close()


@pytest.fixture
async def bays(
    request: pytest.FixtureRequest, scripted: Script, clock: InstantClock
) -> AsyncIterator[Bays]:
    """Return a function that makes clients of the scripted service; they are closed at the end."""
    transport = None if "over_http" in request.fixturenames else scripted
    clients: list[AsyncAgentBay] = []

    def make(**options: Any) -> AsyncAgentBay:
        defaults = {"endpoint": scripted.endpoint, "clock": clock, "timeout": 10}
        clients.append(AsyncAgentBay(API_KEY, **{**defaults, "transport": transport, **options}))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def bay(bays: Bays) -> AsyncAgentBay:
    """Return a client of the service."""
    return bays()


@pytest.fixture
def service(scripted: Script, clock: InstantClock) -> FakeService:
    """Return a service that keeps its sessions."""
    return FakeService(scripted, clock)


@pytest.fixture
async def session(bay: AsyncAgentBay, scripted: Script) -> AsyncSession:
    """Return a session that was looked up; the request for it is not recorded."""
    scripted.ok("GetSession", {"SessionId": "s-1", "Status": "RUNNING"})
    found = (await bay.get("s-1")).session
    scripted.clear()
    return found


@pytest.fixture(scope="session")
def _local_services() -> Iterator[Callable[[str], LocalService]]:
    services: dict[str, LocalService] = {}

    def get(isolation: str) -> LocalService:
        if isolation not in services:
            clock = ManualClock(auto=True)
            services[isolation] = LocalService(isolation=isolation, clock=clock).start()
        return services[isolation]

    yield get
    for service in services.values():
        service.stop()


@pytest.fixture
def isolation() -> str:
    """Return the isolation of sessions: plain processes start fast, and on every machine."""
    return "none"


@pytest.fixture
def local_service(
    _local_services: Callable[[str], LocalService], isolation: str
) -> Iterator[LocalService]:
    """Return an empty local service whose clock jumps."""
    service = _local_services(isolation)
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    yield service
    service.reset()


@pytest.fixture
async def local_bays(local_service: LocalService) -> AsyncIterator[Bays]:
    """Return a function that makes clients of the local service; they are closed at the end."""
    clients: list[AsyncAgentBay] = []

    def make(**options: Any) -> AsyncAgentBay:
        defaults = {"endpoint": local_service.endpoint, "clock": local_service.clock}
        client = AsyncAgentBay(local_service.api_key, **{**defaults, **options})
        client._api.transport = Relay(client._api.transport)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def local_bay(local_bays: Bays) -> AsyncAgentBay:
    """Return a client of the local service."""
    return local_bays()


@pytest.fixture
def relay(local_bay: AsyncAgentBay) -> Relay:
    """Return the transport between that client and the service."""
    assert isinstance(local_bay._api.transport, Relay)
    return local_bay._api.transport


@pytest.fixture
async def local_session(local_bay: AsyncAgentBay) -> AsyncSession:
    """Return a session of the local service without a direct address.

    So each call of a tool goes through the API, which accepts only 63 KiB of arguments.
    """
    session = (await local_bay.create()).session
    local_bay._api.access[session.session_id].link_url = ""
    return session


@pytest.fixture
async def home(local_service: LocalService, local_session: AsyncSession) -> Path:
    """Return the home directory of that session, as a directory of this machine."""
    # The session starts, and has its directories, with the first command.
    (await local_session.command.run("true")).unwrap()
    return local_service.home / "sessions" / local_session.session_id / "home" / "wuying"


@pytest.fixture
def unused_port() -> Iterator[int]:
    """Return a port without a server, reserved for the time of the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def api_key() -> str:
    """Return the key of the clients, which must not appear anywhere."""
    return API_KEY
