"""What a worker does: one chunk of a run, with a client of its own, until it is done or stopped."""

from __future__ import annotations

import asyncio
import pickle
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import aclosing
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from agentbay_async._bulk.distributed.engine import Report
from agentbay_async._bulk.distributed.pickling import failure, sealed, unpacked
from agentbay_async._bulk.options import Pacing, Watching, mapped
from agentbay_async._lifecycle.reserved_labels import CHUNK
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async.errors import EngineError
from agentbay_async.models.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from agentbay_async._api import Api
    from agentbay_async._bulk.distributed.engine import Order
    from agentbay_async._bulk.distributed.pickling import Dumps
    from agentbay_async._bulk.map_sessions import MapSessions
    from agentbay_async._retry import RetryPolicy
    from agentbay_async.config import Settings
    from agentbay_async.models.results import SessionResult
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.session import AsyncSession

    Connect = Callable[[Settings, RetryPolicy], "Client"]

# Seconds between two looks at whether the work is still wanted.
_LOOK = 0.5


class Client(Protocol):
    """A client, as far as a worker uses it; the class itself is in a layer above."""

    _api: Api

    async def create(self, params: CreateSessionParams) -> SessionResult[AsyncSession]:
        """Create a session."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@attrs.frozen
class Job:
    """What is the same for all chunks of a run; functions are packed.

    Attributes:
        connect: Makes a client of settings.
        settings: Where the service is, and with which key.
        retry: How patient to be with it.
        params: What sessions are like.
        function: What is done with each item.
        reset: What cleans a session before its next item, or ``None``.
        healthy: Whether a session may serve again, or ``None``.
        reuse: For how many items a session serves.
        retries: How often an item is tried again because its session was lost.
        each_deadline: Seconds for each item, or ``None``.
        dumps: What makes bytes of results.
    """

    connect: Connect
    settings: Settings = attrs.field(repr=False)
    retry: RetryPolicy
    params: CreateSessionParams
    function: bytes = attrs.field(repr=False)
    reset: bytes | None = attrs.field(repr=False)
    healthy: bytes | None = attrs.field(repr=False)
    reuse: bool | int
    retries: int
    each_deadline: float | None
    dumps: Dumps


class _Stop:
    """Cancels a task from another thread, also one that has not begun yet."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._task: asyncio.Task[Any] | None = None
        self._wanted = False

    def begin(self) -> None:
        """Stand for the running task."""
        with self._lock:
            self._task = asyncio.current_task()
            if self._wanted and self._task is not None:
                self._task.cancel()

    def now(self) -> None:
        """Cancel it, once."""
        with self._lock:
            if not self._wanted and self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            self._wanted = True


def perform(order: Order, unwanted: Callable[[], bool]) -> Report:
    """Work on a chunk, and return what came of it. Blocks; raises nothing but what stops a process.

    It works in a thread beside this one, which looks now and then whether to go on: a cluster may
    interrupt this thread in order to stop it, and no event loop would notice that in time.

    Args:
        order: The chunk.
        unwanted: Whether to stop; what lives then is deleted first.
    """
    stop = _Stop()
    with ThreadPoolExecutor(1, "agentbay-chunk") as threads:
        running = threads.submit(_report, order, stop)
        while not _has_ended(running, stop):
            if unwanted():
                stop.now()
        return running.result()


def _has_ended(running: Future[Report], stop: _Stop) -> bool:
    """Wait a moment for the end; an interrupt of this thread stops the work."""
    try:
        return bool(wait([running], _LOOK).done)
    except KeyboardInterrupt:
        stop.now()
        return False


def _report(order: Order, stop: _Stop) -> Report:
    """Work on a chunk; errors are in the report."""
    budget = _budget(order)
    outcomes: list[tuple[int, bytes]] = []
    error: bytes | None = None
    dumps: Dumps = pickle.dumps
    try:
        job: Job = unpacked(order.job, "the job")
        dumps = job.dumps
        function = unpacked(job.function, "fn")
        # A function of the blocking package is at home on the loop that its sessions use.
        run = getattr(function, "agentbay_run", asyncio.run)
        outcomes = run(_work(job, function, order, budget, stop))
    except asyncio.CancelledError:
        error = failure(EngineError("the worker was told to stop"), dumps)
    except Exception as problem:
        error = failure(problem, dumps)
    hours = 0.0 if budget is None else budget.session_hours(time.monotonic())
    return Report(tuple(outcomes), error, 0 if budget is None else budget.sessions, hours)


def _budget(order: Order) -> Budget | None:
    if order.sessions is None and order.session_hours is None:
        return None
    return Budget(order.sessions, order.session_hours)


async def _work(
    job: Job,
    function: Any,
    order: Order,
    budget: Budget | None,
    stop: _Stop,
) -> list[tuple[int, bytes]]:
    stop.begin()
    client = job.connect(attrs.evolve(job.settings, budget=budget), job.retry)
    try:
        async with aclosing(_mapped(client, job, function, order).walk()) as outcomes:
            return [(one.index, sealed(one, job.dumps)) async for one in outcomes]
    finally:
        await run_shielded(client.aclose())


def _mapped(client: Client, job: Job, function: Any, order: Order) -> MapSessions[Any, Any]:
    async def create(params: CreateSessionParams) -> SessionResult[AsyncSession]:
        # Into the copy that this run has; whoever assigns labels is refused those of the library.
        params.labels[CHUNK] = order.label
        return await client.create(params)

    return mapped(
        client._api,
        create,
        function,
        [unpacked(item, "an item") for item in order.items],
        job.params,
        Pacing(order.width, order.rate, order.burst, order.deadline, job.each_deadline),
        Watching(None, False),
        reuse=job.reuse,
        reset=_optional(job.reset, "reset"),
        healthy=_optional(job.healthy, "healthy"),
        retries=job.retries,
    )


def _optional(function: bytes | None, name: str) -> Any:
    return None if function is None else unpacked(function, name)
