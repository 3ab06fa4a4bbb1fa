"""Worker of a distributed map: process one chunk with the client of its process."""

from __future__ import annotations

import asyncio
import pickle
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import aclosing, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from agentbay_async._bulk.distributed.engine import ChunkResult
from agentbay_async._bulk.distributed.pickling import (
    pickle_error,
    pickle_outcome,
    unpickle,
    unpickle_optional,
)
from agentbay_async._bulk.map_sessions import map_sessions
from agentbay_async._bulk.options import RunLimits
from agentbay_async._bulk.progress import ProgressOptions
from agentbay_async._lifecycle.reserved_labels import CHUNK
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async.errors import EngineError
from agentbay_async.models.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from agentbay_async._api import Api
    from agentbay_async._bulk.distributed.engine import ChunkTask
    from agentbay_async._bulk.distributed.pickling import Dumps
    from agentbay_async._bulk.map_sessions import MapSessions
    from agentbay_async._retry import RetryPolicy
    from agentbay_async.config import Settings
    from agentbay_async.models.results import SessionResult
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.session import AsyncSession

    Connect = Callable[[Settings, RetryPolicy], "Client"]

# Seconds between two checks whether the worker should stop.
_POLL_INTERVAL = 0.5


class Client(Protocol):
    """The parts of a client that a worker uses. The class itself is in a layer above this one."""

    _api: Api

    # Not "async def": a checker would demand CoroutineType, and decorated methods give Coroutine.
    def create(
        self, params: CreateSessionParams
    ) -> Coroutine[Any, Any, SessionResult[AsyncSession]]:
        """Create a session."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@attrs.frozen
class Job:
    """The settings that all chunks of a run share. Functions are pickled.

    Attributes:
        connect: Returns a client for settings and a retry policy.
        settings: The settings of the client.
        retry: The retry policy of the client.
        params: The params of the sessions.
        function: The function to run for each item.
        reset: Cleans a session before its next item, or ``None``.
        healthy: Returns whether a session may serve another item, or ``None``.
        reuse: How many items a session serves.
        retries: How often an item is retried because its session was lost.
        each_deadline: Seconds for each item, or ``None``.
        dumps: Pickles the outcomes.
        trace: The trace context of the run, or nothing without telemetry.
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
    trace: Mapping[str, str] = attrs.field(factory=dict)


class _Canceller:
    """Cancels a task from another thread, also before the task has started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def attach(self) -> None:
        """Attach the current task; cancel it if that was requested already."""
        with self._lock:
            self._task = asyncio.current_task()
            if self._cancelled and self._task is not None:
                self._task.cancel()

    def cancel(self) -> None:
        """Cancel the task, once: a second cancel would cut its clean-up short."""
        with self._lock:
            if not self._cancelled and self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            self._cancelled = True


def run_chunk(task: ChunkTask, should_stop: Callable[[], bool]) -> ChunkResult:
    """Process a chunk and return its result. Blocks; errors are part of the result.

    The event loop runs in a second thread, and this one polls whether to stop: a cluster may stop a
    task by an exception in the thread that runs it, which an event loop would not survive.

    Args:
        task: The chunk.
        should_stop: Returns whether to stop; sessions that exist then are deleted first.
    """
    canceller = _Canceller()
    with ThreadPoolExecutor(1, "agentbay-chunk") as threads:
        future = threads.submit(_process, task, canceller)
        while not _wait_briefly(future, canceller):
            if should_stop():
                canceller.cancel()
        return future.result()


def _wait_briefly(future: Future[ChunkResult], canceller: _Canceller) -> bool:
    """Wait for the result for a moment; return whether it is there. An interrupt cancels."""
    try:
        return bool(wait([future], _POLL_INTERVAL).done)
    except KeyboardInterrupt:
        canceller.cancel()
        return False


def _process(task: ChunkTask, canceller: _Canceller) -> ChunkResult:
    budget = _budget(task)
    outcomes: list[tuple[int, bytes]] = []
    error: bytes | None = None
    dumps: Dumps = pickle.dumps
    try:
        job: Job = unpickle(task.job, "the job")
        dumps = job.dumps
        function = unpickle(job.function, "fn")
        # A function of the blocking package brings a runner, which uses the loop of its sessions.
        run = getattr(function, "agentbay_run", asyncio.run)
        outcomes = run(_map(job, function, task, budget, canceller))
    except asyncio.CancelledError:
        error = pickle_error(EngineError("the worker was stopped"), dumps)
    except Exception as failure:
        error = pickle_error(failure, dumps)
    hours = 0.0 if budget is None else budget.session_hours(time.monotonic())
    return ChunkResult(tuple(outcomes), error, 0 if budget is None else budget.sessions, hours)


def _budget(task: ChunkTask) -> Budget | None:
    if task.max_sessions is None and task.max_session_hours is None:
        return None
    return Budget(task.max_sessions, task.max_session_hours)


async def _map(
    job: Job,
    function: Any,
    task: ChunkTask,
    budget: Budget | None,
    canceller: _Canceller,
) -> list[tuple[int, bytes]]:
    canceller.attach()
    client = job.connect(attrs.evolve(job.settings, budget=budget), job.retry)
    telemetry = client._api.telemetry
    context = telemetry.within(job.trace) if telemetry is not None else nullcontext()
    try:
        with context:
            async with aclosing(_map_run(client, job, function, task).iterate()) as outcomes:
                return [(one.index, pickle_outcome(one, job.dumps)) async for one in outcomes]
    finally:
        await run_shielded(client.aclose())


def _map_run(client: Client, job: Job, function: Any, task: ChunkTask) -> MapSessions[Any, Any]:
    async def create(params: CreateSessionParams) -> SessionResult[AsyncSession]:
        # Set on the copy of this run, item by item: assigning `labels` rejects reserved labels.
        params.labels[CHUNK] = task.label
        return await client.create(params)

    return map_sessions(
        client._api,
        create,
        function,
        [unpickle(item, "an item") for item in task.items],
        job.params,
        RunLimits(task.concurrency, task.rate, task.burst, task.deadline, job.each_deadline),
        ProgressOptions(None, False),
        reuse=job.reuse,
        reset=unpickle_optional(job.reset, "reset"),
        healthy=unpickle_optional(job.healthy, "healthy"),
        retries=job.retries,
    )
