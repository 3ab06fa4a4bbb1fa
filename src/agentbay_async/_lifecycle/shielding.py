"""Shielding: finish work although its caller is cancelled, or the client is closed.

A session that is created for a cancelled caller costs money, and so does a session whose deletion
is cut short. Therefore such work runs in a task that the library owns. If the caller is cancelled,
by asyncio or anyio, once or several times, the cancel waits for that task for a bounded grace.

Closing a client must not lose a session either: not one that is being created, and not one that a
bulk run created and nobody read.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, create_task, current_task, get_running_loop, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio

from agentbay_async.errors import ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
    from typing import Any

    from agentbay_async._clock import Clock

T = TypeVar("T")

logger = logging.getLogger("agentbay")

#: Seconds that a cancelled caller waits until its work is finished or undone.
GRACE = 30.0

# The event loop references tasks weakly: without this set, a task whose caller is gone could be
# garbage-collected before it ends.
_running: set[Task[Any]] = set()


async def run_shielded(work: Coroutine[Any, Any, T], grace: float = GRACE) -> T:
    """Run `work` to its end, also if the caller is cancelled, and return its result.

    Args:
        work: The work.
        grace: Seconds that a cancelled caller waits for it. It continues after that.

    Raises:
        CancelledError: The caller was cancelled. `work` has ended, or the grace is over.
    """
    return await _OwnedTask(work).result(grace)


async def run_or_undo(
    work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]], grace: float = GRACE
) -> T:
    """Run `work`, and undo it if the caller is cancelled meanwhile.

    Args:
        work: The work.
        undo: Called with its result. Must handle its own errors: nobody can receive them.
        grace: Seconds that a cancelled caller waits for both.

    Raises:
        CancelledError: The caller was cancelled. The work is undone, or the grace is over.
    """
    if (shielded := _shielded_task.get()) is not None and shielded.is_current():
        return await shielded.run(work, undo)
    owned = _OwnedTask(work)
    try:
        return await owned.result(grace=None)
    except BaseException:
        if owned.abandoned:
            await run_shielded(_undo(owned.task, undo), grace)
        raise


async def _undo(task: Task[T], undo: Callable[[T], Awaitable[object]]) -> None:
    await wait([task])
    if not task.cancelled() and task.exception() is None:
        await undo(task.result())


class ShieldedTask:
    """Marks the current task as one that the library owns and only cancels by :meth:`cancel`.

    In it, :func:`run_or_undo` needs no second task, which makes bulk creates cheaper. User code
    must not run while the mark is active: it could cancel the task by its own timeout.

    Attributes:
        active: Whether work that starts now may rely on the mark.
    """

    def __init__(self) -> None:
        self.active = False
        self._task = current_task()
        self._busy = False
        self._cancelled = False
        _shielded_task.set(self)

    def is_current(self) -> bool:
        """Return whether the current task is the marked one, and not a child of it."""
        return self.active and current_task() is self._task

    async def run(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]) -> T:
        """Run `work`, and undo it if the task was cancelled meanwhile."""
        self._busy = True
        try:
            result = await work
            if self._cancelled:
                await undo(result)
        finally:
            self._busy = False
        if self._cancelled:
            raise CancelledError
        return result

    def cancel(self) -> None:
        """Cancel the task, after the work that is running now."""
        self._cancelled = True
        if not self._busy and self._task is not None:
            self._task.cancel()


_shielded_task: ContextVar[ShieldedTask | None] = ContextVar("agentbay_shielded_task", default=None)


class _OwnedTask(Generic[T]):
    """A task that the library owns, and its caller.

    Attributes:
        task: The task.
        abandoned: Whether the caller was cancelled, so that it did not get the result.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        loop = get_running_loop()
        self.abandoned = False
        self._ended = loop.create_future()
        self.task = loop.create_task(self._run(work))
        _running.add(self.task)
        self.task.add_done_callback(self._settle)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            # Here, because done callbacks run one iteration of the loop later.
            if not self._ended.done():
                self._ended.set_result(None)

    def _settle(self, task: Task[T]) -> None:
        _running.discard(task)
        if not self._ended.done():
            # The task was cancelled before it started, so `_run` never ran.
            self._ended.set_result(None)
        elif not task.cancelled():
            # If the caller is gone, asyncio would log an error that nobody retrieved.
            task.exception()

    async def result(self, grace: float | None) -> T:
        """Wait for the task; if cancelled, wait up to `grace` seconds before raising the cancel."""
        try:
            # A cancel of the caller cancels this future, not the task.
            await self._ended
        except CancelledError:
            self.abandoned = True
            if grace is not None:
                await self._outlast(grace)
            raise
        return self.task.result()

    async def _outlast(self, grace: float) -> None:
        deadline = anyio.current_time() + grace
        while not self.task.done() and (left := deadline - anyio.current_time()) > 0:
            # The shield stops cancels by anyio, which are delivered again at each await. The
            # except clause stops cancels by asyncio, which are delivered once.
            with anyio.CancelScope(shield=True):
                try:
                    await wait([self.task], timeout=left)
                except CancelledError:
                    continue


# Creates may finish within the grace. After that they are cancelled, and the sessions that nobody
# read are deleted within another grace.
_CLOSE_TIMEOUT = 2 * GRACE


class Run(Protocol):
    """A bulk run."""

    async def aclose(self) -> None:
        """Start nothing more, and delete the sessions that the caller has not received."""
        ...


class BackgroundTasks:
    """Scheduled work, creates and bulk runs of one client, until the client is closed.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closing = False
        self._tasks: set[Task[Any]] = set()
        self._sleeps: set[Task[Any]] = set()
        self._runs: dict[Run, AbstractEventLoop] = {}
        self._creates: dict[AbstractEventLoop, int] = {}
        self._waiters: dict[AbstractEventLoop, Future[None]] = {}

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Make closing the client wait for the end of the block.

        Raises:
            ClosedError: The client is being closed.
        """
        if self._closing:
            raise ClosedError("this client is closed", hint="Make a new one")
        loop = get_running_loop()
        self._creates[loop] = self._creates.get(loop, 0) + 1
        try:
            yield
        finally:
            self._creates[loop] -= 1
            if not self._creates[loop]:
                del self._creates[loop]
                waiter = self._waiters.pop(loop, None)
                if waiter is not None and not waiter.done():
                    waiter.set_result(None)

    def add_run(self, run: Run) -> None:
        """Close `run` when the client is closed.

        Raises:
            ClosedError: The client is being closed.
        """
        if self._closing:
            raise ClosedError("this client is closed", hint="Make a new one")
        self._runs[run] = get_running_loop()

    def discard_run(self, run: Run) -> None:
        """Forget a run that is closed."""
        self._runs.pop(run, None)

    def schedule(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Run `work` after each of `pauses`. It must handle its own errors."""
        _keep(create_task(self._repeat(pauses, work)), self._tasks)

    async def _repeat(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        for pause in pauses:
            if not self._closing:
                sleep = create_task(self._clock.sleep(pause))
                _keep(sleep, self._sleeps)
                await wait([sleep])
            # Run once more after a close: a run that had started before it may have looked too
            # early.
            last = self._closing
            await work()
            if last:
                return

    async def aclose(self) -> None:
        """Close the runs, wait for creates, and run scheduled work one last time, at once.

        Only the work of this loop; each step is bounded. A cancel of the caller waits for it.
        """
        self._closing = True
        loop = get_running_loop()
        if self._creates.get(loop) or self._runs:
            await run_shielded(self._settle(loop), _CLOSE_TIMEOUT)
        if self._tasks:
            await self._finish_scheduled(loop)

    async def _settle(self, loop: AbstractEventLoop) -> None:
        runs = [run for run, owner in self._runs.items() if owner is loop]
        pending: list[Future[None]] = [create_task(run.aclose()) for run in runs]
        if self._creates.get(loop):
            pending.append(self._waiters.setdefault(loop, loop.create_future()))
        if not pending:
            return
        done, _ = await wait(pending, timeout=_CLOSE_TIMEOUT)
        for future in done:
            if not future.cancelled() and (error := future.exception()) is not None:
                logger.warning("a bulk run did not end well when its client was closed: %r", error)

    async def _finish_scheduled(self, loop: AbstractEventLoop) -> None:
        for sleep in [task for task in self._sleeps if task.get_loop() is loop]:
            sleep.cancel()
        if own := [task for task in self._tasks if task.get_loop() is loop]:
            await wait(own, timeout=GRACE)


def _keep(task: Task[Any], tasks: set[Task[Any]]) -> None:
    tasks.add(task)
    task.add_done_callback(tasks.discard)
