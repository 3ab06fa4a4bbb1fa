"""A clock that tests move by hand, for the service, for clients, or for both at once.

It may be used from many threads and event loops, because the service runs on its own loop.
`advance` wakes the waiters one by one, each exactly at its time. After each it waits until the
woken task sleeps again, ends, or waits for something other than the clock.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LONGEST", "WORK", "ManualClock", "Waiter", "Work", "span_of", "wake_up"]


T = TypeVar("T")

_EPOCH = 1_700_000_000.0
_START = 1000.0

# Real seconds without activity after which everything counts as settled: when every woken task
# sleeps again, and when some do not, because they may be waiting for an answer of the service.
_QUIET = 0.001
_QUIET_WHILE_AWAKE = 0.02
_SETTLED_WITHIN = 30.0
# Iterations of a loop in which a task that was notified reaches its next sleep, and the real
# seconds to wait for each of them.
_ITERATIONS = 6
_ITERATION_WITHIN = 1.0


LONGEST = 1e9
"""Maximum seconds of any wait, some thirty years: beyond that dates overflow."""


@attrs.define(eq=False)
class Waiter:
    """A task that sleeps until `due`, in seconds since the start of the clock."""

    due: float
    wake: asyncio.Future[None]
    task: asyncio.Task[Any]
    dozing: bool


@attrs.define(eq=False)
class Work:
    """Work under way; it holds the clock back, except while it sleeps on the clock itself."""

    clock: object
    asleep: int = 0


WORK: ContextVar[Work | None] = ContextVar("agentbay_local_work", default=None)
"""The work that the current task belongs to."""


def wake_up(wake: asyncio.Future[None]) -> None:
    """End a sleep, unless it was cancelled meanwhile."""
    if not wake.done():
        wake.set_result(None)


def span_of(by: timedelta | float, minutes: float, hours: float, days: float) -> float:
    """Return the seconds to move a clock by.

    Raises:
        ValueError: They are negative, or more than `LONGEST`.
    """
    base = by.total_seconds() if isinstance(by, timedelta) else by
    seconds = math.inf if base > LONGEST else base + 60 * minutes + 3600 * hours + 86400 * days
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"a clock moves forward, by at most {LONGEST:g} seconds, not {seconds:g}")
    return float(seconds)


class ManualClock:
    """A clock that stands still until it is moved.

    Args:
        auto: Jump to the next time that a task sleeps for, as soon as all tasks wait and the
            service is idle. Then no wait takes real time, and `advance` is rarely needed.

    Example:
        ::

            clock = ManualClock()
            with LocalService(clock=clock) as service:
                bay = AgentBay(service.api_key, endpoint=service.endpoint)
                bay.create(CreateSessionParams(idle_release_timeout=60))
                clock.advance(minutes=2)
                assert bay.list().total_count == 0
    """

    def __init__(self, *, auto: bool = False) -> None:
        self._auto = auto
        self._offset = 0.0
        self._state = threading.Condition(threading.RLock())
        self._moving = threading.Lock()
        self._waiters: list[Waiter] = []
        self._awake: set[asyncio.Task[Any]] = set()
        self._with_callback: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._works: set[Work] = set()
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._last_activity = time.monotonic()
        self._changes = 0

    def __repr__(self) -> str:
        return f"<ManualClock {self._offset:g} s after its start>"

    def time(self) -> float:
        """Return Unix seconds; the clock starts in November 2023."""
        return _EPOCH + self._offset

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point."""
        return _START + self._offset

    @property
    def sleeping(self) -> int:
        """The number of sleeping tasks, without the service's own routines."""
        with self._state:
            return sum(not waiter.dozing for waiter in self._waiters)

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock has moved by `seconds`."""
        await self._wait(self._offset + seconds, dozing=False)

    async def doze_until(self, moment: float) -> None:
        """Sleep until a reading of `monotonic`; an automatic clock does not jump for it."""
        await self._wait(moment - _START, dozing=True)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep the clock from jumping, and `advance` from returning, until the end of the block."""
        with self._begin_work() as work:
            try:
                yield
            finally:
                self._end_work(work)

    def start_work(self, start: Callable[[], asyncio.Task[T]]) -> asyncio.Task[T]:
        """Start a task that counts as work until it is done."""
        with self._begin_work() as work:
            task = start()
        task.add_done_callback(lambda _: self._end_work(work))
        return task

    @contextmanager
    def _begin_work(self) -> Iterator[Work]:
        work = Work(self)
        with self._state:
            self._works.add(work)
            self._note_activity()
        token = WORK.set(work)
        try:
            yield work
        finally:
            WORK.reset(token)

    def _end_work(self, work: Work) -> None:
        with self._state:
            self._works.discard(work)
            self._note_activity()

    def advance(
        self,
        by: timedelta | float = 0.0,
        *,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> None:
        """Move the clock, and return when everything that was due has run as far as it can.

        Args:
            by: A `timedelta`, or seconds.
            minutes: Minutes on top of that.
            hours: Hours on top of that.
            days: Days on top of that.

        Raises:
            ValueError: The time is negative, or more than thirty years.
            RuntimeError: An event loop runs in this thread, which it would block: await `aadvance`.
            TimeoutError: A task that was due is still at work after 30 real seconds; it continues.
        """
        span = span_of(by, minutes, hours, days)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._advance(span)
        else:
            raise RuntimeError("an event loop runs in this thread: await clock.aadvance(...)")

    async def aadvance(
        self,
        by: timedelta | float = 0.0,
        *,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> None:
        """As `advance`, for coroutines."""
        await asyncio.to_thread(self._advance, span_of(by, minutes, hours, days))

    def _advance(self, span: float) -> None:
        with self._moving:
            self._iterate_loops()
            with self._state:
                # Do not wait for work that began earlier: it may wait for this call to return.
                before = {work for work in self._works if not work.asleep}
                target = self._offset + span
            self._settle(before)
            while self._step(target):
                self._settle(before)
            with self._state:
                self._offset = max(self._offset, target)

    def _iterate_loops(self) -> None:
        # Repeatedly, because one loop may send work to another.
        for _ in range(_ITERATIONS):
            for loop in [loop for loop in self._loops if loop.is_running()]:
                iterated = threading.Event()
                with suppress(RuntimeError):  # the loop was closed meanwhile
                    loop.call_soon_threadsafe(iterated.set)
                    iterated.wait(_ITERATION_WITHIN)

    def _step(self, target: float) -> bool:
        """Move to the earliest time that a task sleeps for, up to `target`, and wake it."""
        with self._state:
            moment = min((waiter.due for waiter in self._waiters), default=math.inf)
            if moment > target or moment == math.inf:
                return False
            self._offset = max(self._offset, moment)
            due = [waiter for waiter in self._waiters if waiter.due <= moment]
            self._waiters = [waiter for waiter in self._waiters if waiter.due > moment]
            for waiter in due:
                self._wake(waiter)
            self._note_activity()
            return True

    def _wake(self, waiter: Waiter) -> None:
        # The loop may be closed meanwhile; then no task is left to wake.
        with suppress(RuntimeError):
            waiter.task.get_loop().call_soon_threadsafe(wake_up, waiter.wake)
            self._awake.add(waiter.task)

    def _settle(self, before: set[Work]) -> None:
        """Wait until all tasks that were woken have run as far as they can.

        A quiet time alone does not show that on a busy machine: a client that was woken may be on
        its way to the service. Its way takes iterations of both loops, however slow they are.
        """
        while True:
            self._wait_until_quiet(before)
            with self._state:
                changes = self._changes
                if not self._awake:
                    return
            self._iterate_loops()
            with self._state:
                if changes == self._changes:
                    return

    def _wait_until_quiet(self, before: set[Work]) -> None:
        end = time.monotonic() + _SETTLED_WITHIN
        with self._state:
            while (left := self._unsettled(before)) > 0:
                if time.monotonic() > end:
                    raise TimeoutError("a task that was due is still at work; see the journal")
                self._state.wait(min(left, 1.0))

    def _unsettled(self, before: set[Work]) -> float:
        """Return the seconds until everything may have settled; 0 or less if it has."""
        if any(not work.asleep for work in self._works - before):
            return 1.0
        quiet = _QUIET_WHILE_AWAKE if self._awake else _QUIET
        return self._last_activity + quiet - time.monotonic()

    async def _wait(self, due: float, *, dozing: bool) -> None:
        if due <= self._offset:
            await asyncio.sleep(0)
            return
        work = WORK.get()
        if work is not None and work.clock is not self:
            work = None
        waiter = self._add_waiter(due, dozing, work)
        try:
            await waiter.wake
        finally:
            self._remove_waiter(waiter, work)

    def _add_waiter(self, due: float, dozing: bool, work: Work | None) -> Waiter:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("sleep on a ManualClock inside a task")
        with self._state:
            wake = task.get_loop().create_future()
            waiter = Waiter(due, wake, task, dozing)
            self._waiters.append(waiter)
            self._loops.add(task.get_loop())
            self._awake.discard(task)
            if task not in self._with_callback:
                self._with_callback.add(task)
                task.add_done_callback(self._task_ended)
            if work is not None:
                work.asleep += 1
            self._note_activity()
        return waiter

    def _remove_waiter(self, waiter: Waiter, work: Work | None) -> None:
        with self._state:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if work is not None:
                work.asleep -= 1
            self._note_activity()

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        with self._state:
            self._awake.discard(task)
            self._note_activity()

    def _note_activity(self) -> None:
        """Record activity; an automatic clock tries to jump when there is none for a while."""
        self._last_activity = time.monotonic()
        self._changes += 1
        self._state.notify_all()
        if self._auto:
            self._schedule_jump()

    def _schedule_jump(self) -> None:
        waiter = self._next_waiter()
        if waiter is None or any(not work.asleep for work in self._works):
            return
        quiet = _QUIET_WHILE_AWAKE if self._awake else _QUIET
        loop = waiter.task.get_loop()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.call_later, quiet, self._jump, self._changes)

    def _next_waiter(self) -> Waiter | None:
        waiting = (waiter for waiter in self._waiters if not waiter.dozing)
        return min(waiting, key=lambda waiter: waiter.due, default=None)

    def _jump(self, changes: int) -> None:
        with self._state:
            waiter = self._next_waiter()
            if changes == self._changes and waiter is not None:
                self._step(waiter.due)
