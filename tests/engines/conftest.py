"""A service, clients of it, and a cluster of threads that speaks the interface of an engine."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from agentbay_async import AsyncAgentBay, Config
from agentbay_async._bulk.distributed import arguments
from agentbay_async._bulk.distributed.worker import perform
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from agentbay_async._bulk.distributed.engine import Order, Report


class Threads:
    """A cluster whose workers are threads of this process.

    Attributes:
        alive: The places at which there are workers.
        orders: What they were given, and where.
        fate: What happens before a chunk is worked on; it may raise.
        stopped: The labels of chunks that were called off.
    """

    name = "Threads"

    def __init__(self, *places: str) -> None:
        self.dumps: Callable[[object], bytes] = pickle.dumps
        self.alive = set(places)
        self.orders: list[tuple[Order, str]] = []
        self.stopped: list[str] = []
        self.fate: Callable[[Order, str], Awaitable[None]] = _live

    async def places(self) -> set[str]:
        """Return where workers are."""
        return set(self.alive)

    async def run(self, order: Order, place: str) -> Report:
        """Work on a chunk as a worker does, on another loop in a thread."""
        self.orders.append((order, place))
        await self.fate(order, place)
        unwanted = threading.Event()
        working = asyncio.ensure_future(asyncio.to_thread(perform, order, unwanted.is_set))
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            unwanted.set()
            await asyncio.wait([working])
            self.stopped.append(order.label)
            raise
        return working.result()


async def _live(_order: Order, _place: str) -> None:
    """Let the worker live."""


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """Run one service for all of them."""
    home = tmp_path_factory.mktemp("home")
    with LocalService(home=home, isolation="none") as service:
        yield service


@pytest.fixture
def service(running: LocalService) -> Iterator[LocalService]:
    """Give a service; every test leaves no session."""
    yield running
    left = running.living()
    running.reset()
    assert left == {}


@pytest.fixture
def make_bay(service: LocalService) -> Callable[..., AsyncAgentBay]:
    """Give what makes clients of the service."""

    def make(**options: Any) -> AsyncAgentBay:
        return AsyncAgentBay(service.api_key, Config(endpoint=service.endpoint, **options))

    return make


@pytest_asyncio.fixture
async def bay(make_bay: Callable[..., AsyncAgentBay]) -> AsyncIterator[AsyncAgentBay]:
    """Give a client."""
    async with make_bay() as bay:
        yield bay


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """Give a cluster of two threads, which ``engine="dask"`` stands for."""
    cluster = Threads("one", "two")
    monkeypatch.setattr(arguments, "engine_named", lambda _name: cluster)
    return cluster
