"""Worker pool of a bulk run: a fixed number of workers process the inputs.

There are as many workers as the concurrency allows, however many inputs there are. So the memory
and the time that an input takes do not grow with the number of inputs, as they would with one task
per input. A worker takes an input only while there is room for its outcome (backpressure): a slow
reader slows the run down, and an endless iterable is not read ahead.

When a run ends early, its workers are cancelled. A session that is being created then is deleted by
the create itself; outcomes that are ready and that the caller never got are undone here.
"""

from __future__ import annotations

from asyncio import CancelledError, Event, get_running_loop, wait
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from agentbay_async._api import call_hooks
from agentbay_async._bulk.throttle import Throttle, WorkerHooks
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.shielding import GRACE, OwnedTask, ShieldedTask, run_shielded
from agentbay_async.errors import ClosedError, OperationTimeoutError, ThrottledError
from agentbay_async.models.bulk import BulkOutcome, Progress

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from agentbay_async._api import BackgroundHook
    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.options import RunOptions
    from agentbay_async._clock import Clock
    from agentbay_async.errors import AgentBayError
    from agentbay_async.models.results import Result

I = TypeVar("I")  # noqa: E741  # the customary name of an input
S = TypeVar("S")

# Seconds before an input that was throttled is processed again. The call has retried it already,
# with backoff, and its throttle is slower now: this pause only prevents a busy loop.
RETRY_PAUSE = 1.0


class WorkerPool(Generic[I, S]):
    """One run.

    Args:
        inputs: The inputs.
        process: Processes one input.
        undo: Called once, at the end. Undoes results that the caller never got; returns the ids of
            those that it cannot.
        options: How the run proceeds.
        clock: Time.
        background: Closes the run when the client is closed, or ``None``.

    Attributes:
        done: How many inputs succeeded.
        failed: How many failed.
        left_over: Ids of sessions that should have been deleted and still exist.
    """

    def __init__(
        self,
        inputs: Inputs[I],
        process: Callable[[I], Awaitable[Result[S]]],
        undo: Callable[[Sequence[S]], Awaitable[list[str]]],
        options: RunOptions,
        clock: Clock,
        background: BackgroundHook | None = None,
    ) -> None:
        self.inputs = inputs
        self.done = 0
        self.failed = 0
        self.left_over: list[str] = []
        self._process = process
        self._undo = undo
        self._options = options
        self._clock = clock
        self._background = background
        self._throttle = Throttle(clock, options.concurrency, options.token_bucket())
        self._started_at = clock.monotonic()
        self._active = 0
        self._ready: deque[BulkOutcome[S]] = deque()
        self._workers: set[ShieldedTask] = set()
        self._error: BaseException | None = None
        self._stopped = False
        self._timed_out = False
        # A shielded worker saves a task for each create. It must not be cancelled in the middle of
        # one, which a timeout for one input does: then each create shields itself.
        self._shields = options.trusted and options.each_deadline is None
        self._reader: Future[None] | None = None
        self._closed = False
        self._closing: Task[None] | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the start of the run."""
        return self._clock.monotonic() - self._started_at

    def progress(self) -> Progress:
        """Return the progress so far."""
        return Progress(self.done, self.failed, self._active, self.inputs.size, self.seconds)

    async def outcomes(self) -> AsyncGenerator[BulkOutcome[S], None]:
        """Yield each outcome when it is ready.

        Raises:
            Exception: The iterable of inputs raised it, or an input is invalid.
            ClosedError: The client was closed before the last outcome.
        """
        if self._background is not None:
            self._background.add_run(self)
        loop = get_running_loop()
        deadline = self._options.deadline
        timer = None if deadline is None else loop.call_later(deadline, self._expire)
        self._room = Event()
        span = self._options.begin_span(self.inputs.size)
        try:
            if span is None:
                self._start_workers()
            else:
                span.call(self._start_workers)
            while await self._wait_for_outcome():
                yield self._pop()
            # At the deadline, inputs that no worker has taken get an outcome as well.
            owed = (self.inputs.size or 0) if self._timed_out else 0
            for index in range(self.inputs.taken, owed):
                self.failed += 1
                yield BulkOutcome(error=self._timeout("the run"), index=index)
        except Exception as error:
            if span is not None:
                span.fail(error)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if span is not None:
                span.end(self.done, self.failed)
            self._stop()
            # The end of an event loop closes nested generators all at once. If this one waited
            # although there is nothing to wait for, the outer ones would find it running and fail.
            if self._closing is None or not self._closing.done():
                await run_shielded(self.aclose())

    _room: Event

    def _start_workers(self) -> None:
        size, count = self.inputs.size, self._options.concurrency
        for _ in range(count if size is None else min(count, size)):
            worker = ShieldedTask(self._work)
            self._workers.add(worker)
            worker.add_done_callback(partial(self._worker_ended, worker))

    def _worker_ended(self, worker: ShieldedTask, task: Task[None]) -> None:
        self._workers.discard(worker)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._stopped = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def _wait_for_outcome(self) -> bool:
        """Wait for an outcome; return False when there will be no more."""
        while self._error is None and not self._ready and self._workers:
            self._reader = get_running_loop().create_future()
            await self._reader
        if self._error is not None:
            raise self._error
        return bool(self._ready)

    def _pop(self) -> BulkOutcome[S]:
        outcome = self._ready.popleft()
        if not self._room.is_set():
            self._room.set()
        if outcome.error is None:
            self.done += 1
        else:
            self.failed += 1
        return outcome

    def _expire(self) -> None:
        self._timed_out = self._stopped = True
        self._room.set()
        self._cancel_workers()

    def _cancel_workers(self) -> None:
        for worker in self._workers:
            worker.stop()

    def _timeout(self, what: str) -> AgentBayError:
        limit = self._options.deadline if self._timed_out else self._options.each_deadline
        return OperationTimeoutError(
            f"{self._options.operation}: {what} was not done within {limit:g} s"
        )

    async def _work(self, worker: ShieldedTask) -> None:
        hooks = WorkerHooks(self._throttle, self._options.action)
        # Set in the context of this task, so it holds for the calls of this worker alone.
        call_hooks.set(hooks)
        # What a worker creates goes to the run. The run hands it over to the caller.
        unheld.hand_over.set(unheld.sessions.pop)
        while (taken := await self._take_input()) is not None:
            self._active += 1
            try:
                worker.active = self._shields
                outcome = await self._outcome(hooks, *taken)
            finally:
                worker.active = False
                self._active -= 1
            self._ready.append(outcome)
            self._wake_reader()

    async def _take_input(self) -> tuple[int, I] | None:
        while len(self._ready) >= self._options.concurrency and not self._stopped:
            self._room.clear()
            await self._room.wait()
        return None if self._stopped else await self.inputs.take()

    async def _outcome(self, hooks: WorkerHooks, index: int, item: I) -> BulkOutcome[S]:
        hooks.attempts = 0
        started_at = self._clock.monotonic()
        result: Result[S] | None
        try:
            if self._options.each_deadline is None:
                result = await self._process_throttled(item, started_at)
            else:
                result = await self._process_within(item, started_at, self._options.each_deadline)
        except CancelledError:
            # At the deadline of the run workers are cancelled, and their inputs fail. A cancel for
            # any other reason ends the worker.
            if not self._timed_out:
                raise
            result = None
        seconds = self._clock.monotonic() - started_at
        attempts = hooks.attempts
        if result is None:
            error = self._timeout(f"input {index}")
            return BulkOutcome(None, error, "", index, attempts, seconds)
        value = result.unwrap() if result.error is None else None
        return BulkOutcome(value, result.error, result.request_id, index, attempts, seconds)

    async def _process_within(self, item: I, started_at: float, limit: float) -> Result[S] | None:
        """Return the result, or ``None`` after `limit` seconds."""
        with anyio.move_on_after(limit):
            return await self._process_throttled(item, started_at)
        return None

    async def _process_throttled(self, item: I, started_at: float) -> Result[S]:
        """Process an input when the throttle allows it; retry while the service throttles it."""
        while True:
            if not self._throttle.try_acquire():
                await self._throttle.acquire()
            succeeded = False
            try:
                result = await self._process(item)
                succeeded = result.error is None
            finally:
                self._throttle.release(succeeded=succeeded)
            if not isinstance(result.error, ThrottledError):
                return result
            if self._clock.monotonic() - started_at >= self._options.throttle_timeout:
                return result
            await self._clock.sleep(RETRY_PAUSE)

    async def aclose(self) -> None:
        """Stop the workers, and undo outcomes that the caller has not received.

        A second call waits for the first. The caller of a run that is not at its end gets a
        ClosedError.
        """
        self._stop()
        if self._closing is None:
            self._closing = OwnedTask(self._close())
        await wait([self._closing])
        self._closing.result()

    def _stop(self) -> None:
        """Take no more inputs and cancel the workers. At once, as a task would start later."""
        if self._closed:
            return
        self._closed = self._stopped = True
        if self._error is None:
            self._error = ClosedError("the run has ended, because its client was closed")
        self._room.set()
        self._cancel_workers()

    async def _close(self) -> None:
        try:
            await self._undo_unread()
        finally:
            if self._background is not None:
                self._background.discard_run(self)
            self._wake_reader()

    async def _undo_unread(self) -> None:
        if workers := tuple(self._workers):
            # A shielded worker finishes its create first. If that takes longer than the grace, it
            # is cancelled for good.
            _, slow = await wait(workers, timeout=GRACE)
            for task in slow:
                task.cancel()
            await wait(workers)
        await self.inputs.aclose()
        unread = [outcome.session for outcome in self._ready if outcome.error is None]
        self._ready.clear()
        self.left_over += await self._undo(unread)
