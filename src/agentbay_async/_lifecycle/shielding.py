"""Work that is finished although its caller is cancelled.

A session that was created for nobody costs money, and one whose clean-up was cut short does too. So
what makes and what ends a session runs in a task of the library's own. A cancel of the caller, the
first or the fifth, asyncio's or anyio's, waits for that task, for a bounded grace.
"""

from __future__ import annotations

from asyncio import CancelledError, create_task, current_task, get_running_loop, wait
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from typing import Any

    from agentbay_async._clock import Clock

T = TypeVar("T")

#: Seconds for which a cancelled caller is held until what it began has been ended or undone.
GRACE = 30.0

# The event loop holds its tasks weakly; one whose caller is gone must not be collected.
_under_way: set[Task[Any]] = set()


async def run_shielded(work: Coroutine[Any, Any, T], grace: float = GRACE) -> T:
    """Run `work` to its end, whatever happens to the caller, and return what it returns.

    Args:
        work: What to do.
        grace: Seconds to wait for it once the caller was cancelled; it goes on after that.

    Raises:
        CancelledError: The caller was cancelled; `work` has ended, or the grace has.
    """
    return await _Owned(work).result(grace)


async def run_or_undo(
    work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]], grace: float = GRACE
) -> T:
    """Run `work`, which makes something; unmake it if the caller is cancelled meanwhile.

    Args:
        work: What makes it.
        undo: What unmakes it; reports its errors itself.
        grace: Seconds in which both must be done once the caller was cancelled.

    Raises:
        CancelledError: The caller was cancelled; what was made is unmade, or the grace is over.
    """
    if (shelter := _shelter.get()) is not None and shelter.holds():
        return await shelter.make(work, undo)
    owned = _Owned(work)
    try:
        return await owned.result(grace=None)
    except BaseException:
        if owned.given_up:
            await run_shielded(_unmake(owned.task, undo), grace)
        raise


async def _unmake(task: Task[T], undo: Callable[[T], Awaitable[object]]) -> None:
    await wait([task])
    if not task.cancelled() and task.exception() is None:
        await undo(task.result())


class ShieldedTask:
    """Stands for a task of the library's own, in which :func:`make` needs no second one.

    Nobody but the owner cancels such a task, and the owner does so by :meth:`give_up`, which waits
    for what is being made. Code of others must not run while it is open: it could set a time limit.

    Attributes:
        open: Whether what is made just now is made in its shelter.
    """

    def __init__(self) -> None:
        self.open = False
        self._task = current_task()
        self._busy = False
        self._unwanted = False
        _shelter.set(self)

    def holds(self) -> bool:
        """Whether the running task is this one, and not one that was begun in it."""
        return self.open and current_task() is self._task

    async def make(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]) -> T:
        """Run `work`, which makes something; unmake it if it was given up meanwhile."""
        self._busy = True
        try:
            made = await work
            if self._unwanted:
                await undo(made)
        finally:
            self._busy = False
        if self._unwanted:
            raise CancelledError
        return made

    def give_up(self) -> None:
        """Cancel the task; at once, or when nothing is being made."""
        self._unwanted = True
        if not self._busy and self._task is not None:
            self._task.cancel()


_shelter: ContextVar[ShieldedTask | None] = ContextVar("agentbay_shelter", default=None)


class BackgroundTasks:
    """Work that is done now and again after the call that began it, until the client is closed.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closing = False
        self._tasks: set[Task[Any]] = set()
        self._pauses: set[Task[Any]] = set()

    def schedule(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Do `work` after each of some pauses. It reports its errors itself."""
        _keep(create_task(self._repeated(pauses, work)), self._tasks)

    async def _repeated(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        for pause in pauses:
            if not self._closing:
                sleep = create_task(self._clock.sleep(pause))
                _keep(sleep, self._pauses)
                await wait([sleep])
            # What was begun before the closing may have looked too early.
            last = self._closing
            await work()
            if last:
                return

    async def aclose(self) -> None:
        """Have the chores of the running loop done once more, at once, within the grace."""
        self._closing = True
        if not self._tasks:
            return
        loop = get_running_loop()
        for pause in [task for task in self._pauses if task.get_loop() is loop]:
            pause.cancel()
        if own := [task for task in self._tasks if task.get_loop() is loop]:
            await wait(own, timeout=GRACE)


def _keep(task: Task[Any], tasks: set[Task[Any]]) -> None:
    tasks.add(task)
    task.add_done_callback(tasks.discard)


class _Owned(Generic[T]):
    """A task of the library's own, and the caller that waits for it.

    Attributes:
        task: The task.
        given_up: Whether the caller was cancelled, so that nobody took the result.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        loop = get_running_loop()
        self.given_up = False
        self._ended = loop.create_future()
        self.task = loop.create_task(self._run(work))
        _under_way.add(self.task)
        self.task.add_done_callback(self._settle)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            # The callbacks of a task come a turn of the loop later.
            if not self._ended.done():
                self._ended.set_result(None)

    def _settle(self, task: Task[T]) -> None:
        _under_way.discard(task)
        if not self._ended.done():
            # It was cancelled before it began.
            self._ended.set_result(None)
        elif not task.cancelled():
            # Nobody waits any more; asyncio complains of errors that nobody has looked at.
            task.exception()

    async def result(self, grace: float | None) -> T:
        """Wait for the task. Once cancelled, hold on for `grace` seconds, then raise the cancel."""
        try:
            # A cancel of the caller strikes this future, and not the task.
            await self._ended
        except CancelledError:
            self.given_up = True
            if grace is not None:
                await self._outlast(grace)
            raise
        return self.task.result()

    async def _outlast(self, grace: float) -> None:
        deadline = anyio.current_time() + grace
        while not self.task.done() and (left := deadline - anyio.current_time()) > 0:
            # The shield holds back anyio's cancels, which come again and again; the except clause
            # asyncio's, each of which comes once.
            with anyio.CancelScope(shield=True):
                try:
                    await wait([self.task], timeout=left)
                except CancelledError:
                    continue
