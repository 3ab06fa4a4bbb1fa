"""Fixtures: a local service, clients of it, and an engine whose workers are threads."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from agentbay_async import AsyncAgentBay, Config
from agentbay_async._bulk.distributed import distributed_map
from agentbay_async._bulk.distributed.worker import run_chunk
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from agentbay_async._bulk.distributed.engine import ChunkResult, ChunkTask


class ThreadEngine:
    """An engine whose workers are threads of this process.

    Attributes:
        available: The slots that have a worker.
        tasks: The chunks that were run, and their slots.
        before_run: Called before a chunk runs; it may raise.
        stopped: The labels of chunks that were cancelled.
    """

    name = "Threads"

    def __init__(self, *slots: str) -> None:
        self.dumps: Callable[[object], bytes] = pickle.dumps
        self.available = set(slots)
        self.tasks: list[tuple[ChunkTask, str]] = []
        self.stopped: list[str] = []
        self.before_run: Callable[[ChunkTask, str], Awaitable[None]] = _do_nothing

    async def slots(self) -> set[str]:
        """Return the slots that have a worker."""
        return set(self.available)

    async def run(self, task: ChunkTask, slot: str) -> ChunkResult:
        """Run a chunk as a worker does, on another event loop in a thread."""
        self.tasks.append((task, slot))
        await self.before_run(task, slot)
        stop = threading.Event()
        running = asyncio.ensure_future(asyncio.to_thread(run_chunk, task, stop.is_set))
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([running])
            self.stopped.append(task.label)
            raise
        return running.result()


async def _do_nothing(_task: ChunkTask, _slot: str) -> None:
    """Let the worker run the chunk."""


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """Run one service for all tests."""
    home = tmp_path_factory.mktemp("home")
    with LocalService(home=home, isolation="none") as service:
        yield service


@pytest.fixture
def service(shared_service: LocalService) -> Iterator[LocalService]:
    """Give the service, and check that the test leaves no session behind."""
    yield shared_service
    left = shared_service.living()
    shared_service.reset()
    assert left == {}


@pytest.fixture
def make_bay(service: LocalService) -> Callable[..., AsyncAgentBay]:
    """Give a factory of clients of the service."""

    def make(**options: Any) -> AsyncAgentBay:
        return AsyncAgentBay(service.api_key, Config(endpoint=service.endpoint, **options))

    return make


@pytest_asyncio.fixture
async def bay(make_bay: Callable[..., AsyncAgentBay]) -> AsyncIterator[AsyncAgentBay]:
    """Give a client."""
    async with make_bay() as bay:
        yield bay


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ThreadEngine:
    """Give an engine of two threads, which ``engine="dask"`` selects."""
    engine = ThreadEngine("one", "two")
    monkeypatch.setattr(distributed_map, "get_engine", lambda _name: engine)
    return engine
