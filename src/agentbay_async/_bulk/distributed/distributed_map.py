"""Distributed map: send chunks of items to the workers of a cluster, and collect the outcomes.

An idle worker gets the next chunk, so that slow workers and dead ones delay nobody else. Each chunk
has a label, which all its sessions carry. When a worker dies, the sessions with the label of its
chunk are deleted, and then another worker gets the chunk under a new label.

The outcomes of a chunk arrive together, when it is done. So delivery to the caller is exactly once,
but execution is at least once: when a worker dies, its whole chunk runs again, also the items that
were done.
"""

from __future__ import annotations

import pickle
from asyncio import Event, create_task, get_running_loop, wait
from collections import deque
from contextlib import aclosing
from copy import copy
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import attrs

from agentbay_async._bulk.distributed.cleanup import delete_orphans
from agentbay_async._bulk.distributed.engine import STOP_TIMEOUT, ChunkTask
from agentbay_async._bulk.distributed.pickling import (
    pickle_argument,
    pickle_optional,
    unpickle,
    unpickle_outcome,
)
from agentbay_async._bulk.distributed.registry import get_engine
from agentbay_async._bulk.distributed.scheduler import Chunk, Scheduler
from agentbay_async._bulk.distributed.worker import Job
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.map_sessions import map_options
from agentbay_async._lifecycle.shielding import OwnedTask, run_shielded
from agentbay_async.config import LOCAL
from agentbay_async.errors import (
    AgentBayError,
    BudgetExceededError,
    ClosedError,
    EngineError,
    InvalidArgumentError,
    OperationTimeoutError,
    WorkerLostError,
)
from agentbay_async.models.bulk import MapOutcome, Progress

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Collection,
        Iterable,
    )

    from agentbay_async._api import Api
    from agentbay_async._bulk.distributed.engine import ChunkResult, Engine
    from agentbay_async._bulk.distributed.worker import Connect
    from agentbay_async._bulk.map_sessions import MapOptions
    from agentbay_async._bulk.options import RunLimits
    from agentbay_async._bulk.progress import ProgressOptions, ProgressReporter
    from agentbay_async._bulk.session_pool import Healthy, Reset
    from agentbay_async.config import Settings
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.session import AsyncSession

I = TypeVar("I")  # noqa: E741  # the customary name of an input
T = TypeVar("T")

# Seconds between two requests for the slots of the cluster, and how long there may be none. A
# cluster that scales automatically takes a while to start its first worker.
_POLL_INTERVAL = 1.0
_SLOTS_TIMEOUT = 60.0
# Seconds to stop the workers and delete their sessions when a run ends early.
_CLOSE_TIMEOUT = 90.0
_FOREVER = float("inf")


def distributed_map(
    api: Api,
    connect: Connect,
    engine: str,
    function: Callable[[AsyncSession, I], Awaitable[T]],
    items: Iterable[I] | AsyncIterable[I],
    params: CreateSessionParams,
    limits: RunLimits,
    progress: ProgressOptions,
    *,
    reuse: bool | int,
    reset: Reset | None,
    healthy: Healthy | None,
    retries: int,
) -> DistributedMap[T]:
    """Return a run of a function over items on a cluster.

    Raises:
        InvalidArgumentError: A value is out of range.
        ArgumentTypeError: A value has the wrong type, or cannot be pickled.
        ConfigurationError: The package of the engine is missing, or there is no cluster.
    """
    options = map_options(api, function, params, limits, reuse, reset, healthy, retries)
    if options.params.idempotency_key is not None:
        raise InvalidArgumentError(
            "params.idempotency_key identifies one session, and a map creates several; leave it out"
        )
    settings = _worker_settings(api)
    cluster = get_engine(engine)
    dumps = cluster.dumps
    job = Job(
        connect=connect,
        settings=settings,
        retry=api.retry,
        params=options.params,
        function=pickle_argument(function, "fn", dumps),
        reset=pickle_optional(reset, "reset", dumps),
        healthy=pickle_optional(healthy, "healthy", dumps),
        reuse=reuse,
        retries=retries,
        each_deadline=options.run.each_deadline,
        dumps=dumps,
    )
    inputs = Inputs(items, lambda item, name: pickle_argument(item, name, dumps), "items")
    reporter = progress.reporter(api.clock, options.run.operation)
    return DistributedMap(api, cluster, job, inputs, options, limits.max_concurrency, reporter)


def _worker_settings(api: Api) -> Settings:
    """Return the settings of the clients of the workers.

    Raises:
        InvalidArgumentError: A setting does not work with an engine.
    """
    settings = api.settings
    if settings.ssl_context is not None:
        raise InvalidArgumentError(
            "ssl_context cannot be sent to the workers of an engine",
            hint="Leave it out, and set SSL_CERT_FILE on the workers",
        )
    if not settings.reserved_labels:
        raise InvalidArgumentError(
            "an engine needs reserved_labels=True: the sessions of a dead worker are found by"
            " their labels"
        )
    # Sessions of the embedded service end with this process, so nobody has to find them later.
    ledger = None if settings.endpoint == LOCAL else settings.ledger
    return attrs.evolve(settings, budget=None, ledger=ledger)


class DistributedMap(Generic[T]):
    """One run of a function over items, on a cluster.

    Args:
        api: The service.
        engine: The cluster.
        job: What the workers do.
        inputs: The items, pickled.
        options: How the run proceeds.
        max_concurrency: How many items all workers process at once; ``None`` lets each worker
            process as many as the options say.
        reporter: Reports the progress.
    """

    def __init__(
        self,
        api: Api,
        engine: Engine,
        job: Job,
        inputs: Inputs[bytes],
        options: MapOptions,
        max_concurrency: int | None,
        reporter: ProgressReporter,
    ) -> None:
        self._api = api
        self._engine = engine
        self._job = job
        self._pickled_job = b""
        self._inputs = inputs
        self._options = options.run
        self._reporter = reporter
        self._changed = Event()
        self._scheduler = Scheduler(
            inputs, options, max_concurrency, api.settings.budget, api.clock, self._changed.set
        )
        self._slots: Collection[str] = ()
        self._polled_at = self._had_slots_at = -_FOREVER
        self._running: dict[Task[ChunkResult], Chunk] = {}
        self._ready: deque[MapOutcome[T]] = deque()
        self._timed_out = False
        self._closed = False
        self._closing: OwnedTask[None] | None = None
        self._done = self._failed = 0
        self._started_at = 0.0

    async def iterate(self) -> AsyncGenerator[MapOutcome[T], None]:
        """Yield the outcome of each item when its chunk is done."""
        async with aclosing(self._reporter.track(self)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    def progress(self) -> Progress:
        """Return the progress so far."""
        active = sum(len(chunk.items) for chunk in self._running.values())
        seconds = _now() - self._started_at
        return Progress(self._done, self._failed, active, self._inputs.size, seconds)

    async def outcomes(self) -> AsyncGenerator[MapOutcome[T], None]:
        """Yield each outcome when its chunk is done.

        Raises:
            EngineError: The cluster has no workers, or they cannot run the function.
            Exception: The iterable of items raised it, or an item is invalid.
            ClosedError: The client was closed before the last outcome.
        """
        self._api.background.add_run(self)
        self._started_at = self._had_slots_at = _now()
        span = self._options.begin_span(self._inputs.size)
        try:
            job = await _resolve_endpoint(self._job, self._api)
            if span is not None:
                job = attrs.evolve(job, trace=span.carrier())
            self._pickled_job = pickle.dumps(job)
            self._scheduler.prefetch.start()
            while await self._run_chunks():
                while self._ready:
                    yield self._count(self._ready.popleft())
        except Exception as error:
            if span is not None:
                span.fail(error)
            raise
        finally:
            if span is not None:
                span.end(self._done, self._failed)
            await run_shielded(self.aclose(), _CLOSE_TIMEOUT)

    def _count(self, outcome: MapOutcome[T]) -> MapOutcome[T]:
        if outcome.error is None:
            self._done += 1
        else:
            self._failed += 1
        return outcome

    async def _run_chunks(self) -> bool:
        """Assign and finish chunks until an outcome is ready; return False at the end."""
        while not self._ready and (self._running or not self._scheduler.is_done):
            flush = await self._is_quiet()
            if self._closed:
                break
            for task in [task for task in self._running if task.done()]:
                self._finish(task)
            if self._scheduler.prefetch.error is not None:
                raise self._scheduler.prefetch.error
            if self._seconds_left() > 0:
                await self._poll_slots()
                self._assign(flush=flush)
            else:
                await self._expire()
        if self._closed:
            raise ClosedError("the run has ended, because its client was closed")
        return bool(self._ready)

    async def _is_quiet(self) -> bool:
        """Wait for a change; return True if there was none for a while."""
        left = self._seconds_left()
        with anyio.move_on_after(min(_POLL_INTERVAL, left) if left > 0 else _POLL_INTERVAL):
            await self._changed.wait()
        quiet = not self._changed.is_set()
        self._changed.clear()
        return quiet

    async def _poll_slots(self) -> None:
        """Ask the cluster for its slots, at most once per interval.

        Raises:
            EngineError: The cluster is gone, or has had no slots for too long.
        """
        now = _now()
        if now - self._polled_at < _POLL_INTERVAL:
            return
        self._polled_at = now
        try:
            self._slots = await self._engine.slots()
        except Exception as error:
            raise _engine_error(self._engine.name, error) from error
        if self._slots or self._running:
            self._had_slots_at = now
        elif now - self._had_slots_at >= _SLOTS_TIMEOUT:
            raise EngineError(
                f"{self._engine.name} has had no worker for {_SLOTS_TIMEOUT:g} s",
                hint="Start workers; a run does not start them",
            )

    def _assign(self, *, flush: bool) -> None:
        """Send chunks to idle slots."""
        busy = {chunk.slot for chunk in self._running.values()}
        for chunk in self._scheduler.assign(self._slots, busy, flush=flush):
            task = create_task(self._run(chunk))
            task.add_done_callback(lambda _: self._changed.set())
            self._running[task] = chunk
        if not self._running and self._scheduler.is_out_of_budget:
            # No running chunk can return a part of the budget.
            self._fail_unassigned(
                BudgetExceededError("the budget is spent", hint="Nothing was sent")
            )

    def _chunk_task(self, chunk: Chunk) -> ChunkTask:
        left, rate = self._seconds_left(), chunk.quota.rate
        burst = None if rate is None else max(int(self._options.burst / len(self._slots)), 1)
        return ChunkTask(
            label=chunk.label,
            job=self._pickled_job,
            items=tuple(data for _, data in chunk.items),
            concurrency=chunk.quota.concurrency,
            rate=rate,
            burst=burst,
            deadline=None if left == _FOREVER else max(left, 0.001),
            max_sessions=chunk.allowance.sessions,
            max_session_hours=chunk.allowance.hours,
        )

    async def _run(self, chunk: Chunk) -> ChunkResult:
        try:
            return await self._engine.run(self._chunk_task(chunk), chunk.slot)
        except BaseException:
            # Without a result, sessions of the chunk may exist. They are deleted before the chunk
            # is queued again, so that an item is never processed by two workers at once.
            await run_shielded(
                delete_orphans(self._api, chunk.label, self._options), _CLOSE_TIMEOUT
            )
            raise

    def _finish(self, task: Task[ChunkResult]) -> None:
        """Take over the result of a chunk."""
        chunk = self._running.pop(task)
        error = None if task.cancelled() else task.exception()
        unknown = task.cancelled() or error is not None
        self._scheduler.release(chunk, None if unknown else task.result())
        if task.cancelled():
            self._fail(chunk, self._timeout())
        elif error is None:
            self._add_outcomes(chunk, task.result())
        elif isinstance(error, WorkerLostError):
            # The slots have changed: ask for them at once.
            self._polled_at = -_FOREVER
            if not self._scheduler.requeue(chunk):
                self._fail(chunk, error)
        elif isinstance(error, AgentBayError):
            raise error
        else:
            raise _engine_error(self._engine.name, error) from error

    def _add_outcomes(self, chunk: Chunk, result: ChunkResult) -> None:
        if result.error is not None:
            error: Exception = unpickle(result.error, "the error of a worker")
            raise error
        for position, data in result.outcomes:
            index, _ = chunk.items[position]
            self._ready.append(unpickle_outcome(data, index, chunk.losses))

    def _fail_unassigned(self, error: AgentBayError) -> None:
        for chunk in self._scheduler.drain():
            self._fail(chunk, error)

    def _fail(self, chunk: Chunk, error: AgentBayError) -> None:
        for index, _ in chunk.items:
            # A copy for each item, because raising an error adds a traceback to it.
            self._ready.append(MapOutcome(error=copy(error), index=index, attempts=chunk.losses))

    async def _expire(self) -> None:
        """Fail the items that are not assigned; a little later, cancel the running chunks.

        Workers know the deadline and stop by themselves. Cancelling them at once would lose the
        outcomes that they are about to return.
        """
        if not self._timed_out:
            self._timed_out = True
            await self._scheduler.aclose()
            unread = range(self._inputs.taken, self._inputs.size or 0)
            self._fail(Chunk([(index, b"") for index in unread]), self._timeout())
        self._fail_unassigned(self._timeout())
        if self._seconds_left() < -STOP_TIMEOUT:
            for task in self._running:
                task.cancel()

    def _timeout(self) -> AgentBayError:
        limit = self._options.deadline or 0.0
        return OperationTimeoutError(
            f"{self._options.operation}: the run was not done within {limit:g} s"
        )

    def _seconds_left(self) -> float:
        deadline = self._options.deadline
        return _FOREVER if deadline is None else self._started_at + deadline - _now()

    async def aclose(self) -> None:
        """Stop the workers, and delete the sessions that remain. A second call waits for the first.

        The caller of a run that is not at its end gets a ClosedError.
        """
        self._closed = True
        self._changed.set()
        if self._closing is None:
            self._closing = OwnedTask(self._close())
        await wait([self._closing])
        self._closing.result()

    async def _close(self) -> None:
        """Stop the workers; the task of each chunk deletes the sessions that remain."""
        try:
            await self._scheduler.aclose()
            for task in self._running:
                task.cancel()
            if self._running:
                await wait(self._running)
            for task in self._running:
                if not task.cancelled():
                    # Mark the error as retrieved, or asyncio logs it.
                    task.exception()
        finally:
            self._api.background.discard_run(self)


async def _resolve_endpoint(job: Job, api: Api) -> Job:
    """Return a job with the URL of the service, also if that is embedded in this process."""
    endpoint, api_key = await api.service()
    settings = attrs.evolve(job.settings, endpoint=endpoint, api_key=api_key)
    return attrs.evolve(job, settings=settings)


def _now() -> float:
    return get_running_loop().time()


def _engine_error(name: str, error: BaseException) -> EngineError:
    return EngineError(
        f"{name} cannot run the function: {type(error).__name__}: {error}",
        hint="Workers need this package and the modules of fn, in the same versions",
    )
