"""The engine of runs over many sessions: a fixed crew of workers, fed from one source.

The crew is as wide as the concurrency asked for, however many inputs there are, so that the cost of
an input does not grow with their number. A worker takes an input only while there is room for its
outcome: whoever reads slowly slows the run down, and nothing piles up.

Nothing is lost: when a run ends early, its workers are cancelled, what they were making is unmade
by those who made it, and what landed and nobody took is undone here.
"""

from __future__ import annotations

from asyncio import (
    CancelledError,
    Event,
    create_task,
    current_task,
    get_running_loop,
    wait,
)
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from agentbay_async._api import call_hooks
from agentbay_async._bulk.throttle import Attempts, Throttle
from agentbay_async._lifecycle.shielding import GRACE, ShieldedTask, run_shielded
from agentbay_async.errors import OperationTimeoutError, ThrottledError
from agentbay_async.models.bulk import BulkOutcome, Progress

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.plan import Plan
    from agentbay_async._clock import Clock
    from agentbay_async.errors import AgentBayError
    from agentbay_async.models.results import Result

I = TypeVar("I")  # noqa: E741  # the customary name of an input
S = TypeVar("S")

# Seconds before an input that the service turned away for good is tried once more.
_RETRY_PAUSE = 1.0


class WorkerPool(Generic[I, S]):
    """One run.

    Args:
        source: The inputs.
        act: What is done with each.
        undo: What is done about what landed and nobody took; returns the ids that it leaves.
        plan: How it goes.
        clock: Time.

    Attributes:
        done: How many inputs got what was asked for.
        failed: How many did not.
        left_over: Ids of what was to be undone and could not be.
    """

    def __init__(
        self,
        source: Inputs[I],
        act: Callable[[I], Awaitable[Result[S]]],
        undo: Callable[[Sequence[S]], Awaitable[list[str]]],
        plan: Plan,
        clock: Clock,
    ) -> None:
        self.source = source
        self.done = 0
        self.failed = 0
        self.left_over: list[str] = []
        self._act = act
        self._undo = undo
        self._plan = plan
        self._clock = clock
        self._pace = Throttle(clock, plan.width, plan.bucket())
        self._began = clock.monotonic()
        self._running = 0
        self._landed: deque[BulkOutcome[S]] = deque()
        self._crew: dict[Task[None], ShieldedTask | None] = {}
        self._error: BaseException | None = None
        self._stopped = False
        self._late = False
        # A time limit for one input cancels the worker in the middle: then `make` takes care.
        self._shelters = plan.trusted and plan.each_deadline is None
        self._asleep: Future[None] | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock.monotonic() - self._began

    def progress(self) -> Progress:
        """Return how far it is."""
        return Progress(self.done, self.failed, self._running, self.source.size, self.seconds)

    async def outcomes(self) -> AsyncGenerator[BulkOutcome[S], None]:
        """Yield each outcome when it lands.

        Raises:
            Exception: What the source raised, or what the caller did wrong.
        """
        loop = get_running_loop()
        limit = self._plan.deadline
        timer = None if limit is None else loop.call_later(limit, self._expire)
        self._room = Event()
        try:
            self._begin()
            while await self._any():
                yield self._take()
            for index in range(self.source.pulled, self._promised()):
                self.failed += 1
                yield BulkOutcome(error=self._too_late("all of it"), index=index)
        finally:
            if timer is not None:
                timer.cancel()
            await run_shielded(self._close())

    _room: Event

    def _begin(self) -> None:
        size = self.source.size
        width = self._plan.width if size is None else min(self._plan.width, size)
        for _ in range(width):
            task = create_task(self._work())
            self._crew[task] = None
            task.add_done_callback(self._ended)

    def _ended(self, task: Task[None]) -> None:
        del self._crew[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._stopped = True
        self._wake()

    def _wake(self) -> None:
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    async def _any(self) -> bool:
        """Wait for an outcome; return False when there will be none any more."""
        while self._error is None and not self._landed and self._crew:
            self._asleep = get_running_loop().create_future()
            await self._asleep
        if self._error is not None:
            raise self._error
        return bool(self._landed)

    def _take(self) -> BulkOutcome[S]:
        outcome = self._landed.popleft()
        if not self._room.is_set():
            self._room.set()
        if outcome.error is None:
            self.done += 1
        else:
            self.failed += 1
        return outcome

    def _promised(self) -> int:
        """Return how many inputs are owed an outcome when the time is over."""
        return (self.source.size or 0) if self._late else 0

    def _expire(self) -> None:
        self._late = self._stopped = True
        self._room.set()
        self._dismiss()

    def _dismiss(self) -> None:
        for task, shelter in self._crew.items():
            if shelter is None:
                task.cancel()
            else:
                shelter.cancel()

    def _too_late(self, what: str) -> AgentBayError:
        limit = self._plan.deadline if self._late else self._plan.each_deadline
        return OperationTimeoutError(f"{self._plan.what}: {limit:g} s were not enough for {what}")

    async def _work(self) -> None:
        attempts = Attempts(self._pace, self._plan.action)
        # Set for this task and for the calls that it makes; it ends with the task.
        call_hooks.set(attempts)
        shelter = self._sheltered()
        while (pulled := await self._next()) is not None:
            self._running += 1
            try:
                shelter.active = self._shelters
                outcome = await self._outcome(attempts, *pulled)
            finally:
                shelter.active = False
                self._running -= 1
            self._landed.append(outcome)
            self._wake()

    def _sheltered(self) -> ShieldedTask:
        shelter = ShieldedTask()
        task = current_task()
        if task is not None:
            self._crew[task] = shelter
        return shelter

    async def _next(self) -> tuple[int, I] | None:
        while len(self._landed) >= self._plan.width and not self._stopped:
            self._room.clear()
            await self._room.wait()
        return None if self._stopped else await self.source.take()

    async def _outcome(self, attempts: Attempts, index: int, item: I) -> BulkOutcome[S]:
        attempts.count = 0
        began = self._clock.monotonic()
        result: Result[S] | None
        try:
            if self._plan.each_deadline is None:
                result = await self._patiently(item, began)
            else:
                result = await self._in_time(item, began, self._plan.each_deadline)
        except CancelledError:
            if not self._late:
                raise
            result = None
        seconds = self._clock.monotonic() - began
        count = attempts.count
        if result is None:
            error = self._too_late(f"input {index}")
            return BulkOutcome(None, error, "", index, count, seconds)
        value = result.unwrap() if result.error is None else None
        return BulkOutcome(value, result.error, result.request_id, index, count, seconds)

    async def _in_time(self, item: I, began: float, limit: float) -> Result[S] | None:
        """Return the result, or ``None`` if the time for one input is over."""
        with anyio.move_on_after(limit):
            return await self._patiently(item, began)
        return None

    async def _patiently(self, item: I, began: float) -> Result[S]:
        """Do it; wait and try again for as long as the service only asks to slow down."""
        while True:
            if not self._pace.slip_in():
                await self._pace.enter()
            passed = False
            try:
                result = await self._act(item)
                passed = result.error is None
            finally:
                self._pace.leave(passed=passed)
            if not isinstance(result.error, ThrottledError):
                return result
            if self._clock.monotonic() - began >= self._plan.patience:
                return result
            await self._clock.sleep(_RETRY_PAUSE)

    async def _close(self) -> None:
        """End the crew, and undo what landed and nobody took."""
        self._stopped = True
        self._dismiss()
        if crew := tuple(self._crew):
            _, slow = await wait(crew, timeout=GRACE)
            for task in slow:
                task.cancel()
            await wait(crew)
        await self.source.aclose()
        untaken = [outcome.session for outcome in self._landed if outcome.error is None]
        self._landed.clear()
        if untaken:
            self.left_over += await self._undo(untaken)
