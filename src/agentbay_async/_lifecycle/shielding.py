"""Shielding: finish creates and deletes although their caller is cancelled.

A session that is created for a cancelled caller costs money, and so does a session whose deletion
is cut short. Therefore such work runs in a task that the library owns. If the caller is cancelled,
by asyncio or anyio, once or several times, the cancel waits for that task for a bounded grace.
"""

from __future__ import annotations

from asyncio import CancelledError, current_task, get_running_loop, wait
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

T = TypeVar("T")

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
