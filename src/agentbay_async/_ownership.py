"""Work that is finished although its caller is cancelled.

A session that was created for nobody costs money, and one whose clean-up was cut short does too. So
what makes and what ends a session runs in a task of the library's own. A cancel of the caller, the
first or the fifth, asyncio's or anyio's, waits for that task, for a bounded grace.
"""

from __future__ import annotations

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


async def finish(work: Coroutine[Any, Any, T], grace: float = GRACE) -> T:
    """Run `work` to its end, whatever happens to the caller, and return what it returns.

    Args:
        work: What to do.
        grace: Seconds to wait for it once the caller was cancelled; it goes on after that.

    Raises:
        CancelledError: The caller was cancelled; `work` has ended, or the grace has.
    """
    return await _Owned(work).result(grace)


async def make(
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
    owned = _Owned(work)
    try:
        return await owned.result(grace=None)
    except BaseException:
        if owned.given_up:
            await finish(_unmake(owned.task, undo), grace)
        raise


async def _unmake(task: Task[T], undo: Callable[[T], Awaitable[object]]) -> None:
    from asyncio import wait

    await wait([task])
    if not task.cancelled() and task.exception() is None:
        await undo(task.result())


class Chores:
    """Work that is done now and again after the call that began it, until the client is closed.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closing = False
        self._tasks: set[Task[Any]] = set()
        self._pauses: set[Task[Any]] = set()

    def begin(self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work` after each of some pauses. It reports its errors itself."""
        from asyncio import create_task

        _keep(create_task(self._repeated(pauses, work)), self._tasks)

    async def _repeated(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        from asyncio import create_task, wait

        for pause in pauses:
            if not self._closing:
                sleep = create_task(self._clock.sleep(pause))
                _keep(sleep, self._pauses)
                await wait([sleep])
            await work()
            if self._closing:
                return

    async def aclose(self) -> None:
        """Have the chores of the running loop done once more, at once, within the grace."""
        self._closing = True
        if not self._tasks:
            return
        from asyncio import get_running_loop, wait

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
        from asyncio import create_task

        self.given_up = False
        self.task = create_task(work)
        _keep(self.task, _under_way)

    async def result(self, grace: float | None) -> T:
        """Wait for the task. Once cancelled, hold on for `grace` seconds, then raise the cancel."""
        from asyncio import CancelledError, shield

        try:
            return await shield(self.task)
        except CancelledError:
            self.given_up = True
            if grace is not None:
                await self._outlast(grace)
            raise

    async def _outlast(self, grace: float) -> None:
        from asyncio import CancelledError, wait

        deadline = anyio.current_time() + grace
        while not self.task.done() and (left := deadline - anyio.current_time()) > 0:
            # The shield holds back anyio's cancels, which come again and again; the except clause
            # asyncio's, each of which comes once.
            with anyio.CancelScope(shield=True):
                try:
                    await wait([self.task], timeout=left)
                except CancelledError:
                    continue
