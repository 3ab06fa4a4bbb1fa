"""Shielding: finish work although its caller is cancelled, or the client is closed.

A session that is created for a cancelled caller costs money, and so does a session whose deletion
is cut short. Therefore such work runs in a task that the library owns. If the caller is cancelled,
by asyncio or anyio, once or several times, the cancel waits for that task for a bounded grace.

Closing a client must not lose a session either: not one that is being created, and not one that a
bulk run created and nobody read.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, Task, create_task, current_task, get_running_loop, wait
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import anyio

from agentbay_async.errors import ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
    )

    from agentbay_async._clock import Clock

T = TypeVar("T")

logger = logging.getLogger("agentbay")

#: Seconds that a cancelled caller waits until its work is finished or undone.
GRACE = 30.0

#: Seconds for which the library's tasks may continue after the shutdown of their loop has begun.
SHUTDOWN_GRACE = 5.0
# The share of these seconds after which tasks are cancelled; the rest is for the clean-up. Requests
# may never end, because the shutdown also cancels the tasks with which aiohttp sends them.
_WORK_SHARE = 0.6
# Seconds for tasks that start even later, such as the last step of a caller's clean-up.
_LAST_GRACE = 1.0
# A loop that still runs after this many seconds was not shut down after all.
_SHUTDOWN_TIMEOUT = 60.0


async def run_shielded(work: Coroutine[Any, Any, T], grace: float = GRACE) -> T:
    """Run `work` to its end, also if the caller is cancelled, and return its result.

    Args:
        work: The work.
        grace: Seconds that a cancelled caller waits for it. It continues after that.

    Raises:
        CancelledError: The caller was cancelled. `work` has ended, or the grace is over.
    """
    return await OwnedTask(work).outcome(grace)


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
    current = current_task()
    if isinstance(current, ShieldedTask) and current.active:
        return await current.run(work, undo)
    owned = OwnedTask(work)
    try:
        return await owned.outcome(grace=None)
    except BaseException:
        if owned.abandoned:
            await run_shielded(_undo(owned, undo), grace)
        raise


async def _undo(task: Task[T], undo: Callable[[T], Awaitable[object]]) -> None:
    await wait([task])
    if not task.cancelled() and task.exception() is None:
        await undo(task.result())


@asynccontextmanager
async def run_beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[Task[T]]:
    """Run `work` during the block, in the yielded task, and cancel it at the end if it still runs.

    An error of `work` is only in the task: the block does not raise it.
    """
    task = create_task(work)
    # asyncio would log an error that nobody retrieved, as happens if the block fails.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        yield task
    finally:
        task.cancel()
        await wait([task])


class _LoopState:
    """The library's tasks on one event loop.

    Attributes:
        tasks: Those that are not done. The loop references tasks weakly: without this set, a task
            whose caller is gone could be garbage-collected before it ends.
        working: Those whose work has not ended.
        deadline: When they are cancelled, on the loop's clock; ``None`` without a shutdown.
    """

    def __init__(self) -> None:
        self.tasks: set[Task[Any]] = set()
        self.working: set[Task[Any]] = set()
        self.deadline: float | None = None

    def shut_down(self, now: float) -> float:
        """Begin the shutdown of the loop; return the seconds for which tasks may continue."""
        left = self.seconds_left(now)
        if left is None:
            self.deadline, left = now + SHUTDOWN_GRACE, SHUTDOWN_GRACE
        return left

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds for which tasks may continue; ``None`` without a shutdown."""
        # A notebook cancels all tasks too, but keeps its loop; later tasks are not limited.
        if self.deadline is None or now > self.deadline + _SHUTDOWN_TIMEOUT:
            return None
        return max(self.deadline - now, _LAST_GRACE)

    async def clean_up(self, *, cut_off: bool) -> None:
        """Call the clean-ups after the last task, if a task was cut off or the loop shuts down."""
        left = self.seconds_left(get_running_loop().time())
        if (cut_off or left is not None) and not self.working:
            for clean_up in _clean_up:
                await clean_up(SHUTDOWN_GRACE if left is None else left)


_states: WeakKeyDictionary[AbstractEventLoop, _LoopState] = WeakKeyDictionary()
_clean_up: list[Callable[[float], Awaitable[None]]] = []


def register_clean_up(clean_up: Callable[[float], Awaitable[None]]) -> None:
    """Register a function that deletes what interrupted tasks of a loop left.

    The last task of the loop calls it with the seconds that are left. It must handle its errors.
    """
    _clean_up.append(clean_up)


class OwnedTask(Task[T]):
    """A task of the library, which may continue for a while when its event loop is shut down.

    After a second Ctrl-C, ``asyncio.run`` cancels all tasks while the loop is not running; that
    distinguishes a shutdown from other cancels. The task ends within :data:`SHUTDOWN_GRACE`.

    Args:
        work: What it does.

    Attributes:
        abandoned: Whether a caller of :meth:`outcome` was cancelled, so that it did not get the
            result.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        loop = get_running_loop()
        state = _states.get(loop) or _states.setdefault(loop, _LoopState())
        super().__init__(self._run(work, state), loop=loop)
        self.abandoned = False
        self._called = False
        self._ended = loop.create_future()
        self._on_loop = state
        self._warned = False
        state.tasks.add(self)
        state.working.add(self)
        self.add_done_callback(self._settle)
        if state.deadline is not None and (left := state.seconds_left(loop.time())) is not None:
            self._cancel_later(left)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task: soon if its loop is being shut down, otherwise now."""
        loop = self.get_loop()
        if self._warned or self.done() or loop.is_running() or loop.is_closed():
            return super().cancel(msg)
        self._cancel_later(self._on_loop.shut_down(loop.time()))
        self.on_shutdown()
        return True

    def _settle(self, _task: Task[T]) -> None:
        self._on_loop.tasks.discard(self)
        # If the task was cancelled before it started, `_run` never ran.
        self._on_loop.working.discard(self)
        if not self._ended.done():
            self._ended.set_result(None)
        elif self._called and not self.cancelled():
            # If the caller is gone, asyncio would log an error that nobody retrieved.
            self.exception()

    def _cancel_later(self, seconds: float) -> None:
        self._warned = True
        self.get_loop().call_later(seconds * _WORK_SHARE, super().cancel)

    def on_shutdown(self) -> None:
        """Prepare to end; called while the loop is not running."""

    async def _run(self, work: Coroutine[Any, Any, T], state: _LoopState) -> T:
        cut_off = False
        try:
            return await work
        except BaseException as error:
            cut_off = self.is_cut_off(error)
            raise
        finally:
            state.working.discard(self)
            try:
                if cut_off or state.deadline is not None:
                    await state.clean_up(cut_off=cut_off)
            finally:
                # Here, because done callbacks run one iteration of the loop later.
                if not self._ended.done():
                    self._ended.set_result(None)

    def is_cut_off(self, error: BaseException) -> bool:
        """Return whether `error` came from outside the work, so that it could not clean up."""
        return isinstance(error, (CancelledError, KeyboardInterrupt, SystemExit))

    async def outcome(self, grace: float | None) -> T:
        """Wait for the result; if cancelled, up to `grace` seconds before raising the cancel."""
        self._called = True
        try:
            # A cancel of the caller cancels this future, not the task.
            await self._ended
        except CancelledError:
            self.abandoned = True
            if grace is not None:
                await self._outlast(grace)
            raise
        return self.result()

    async def _outlast(self, grace: float) -> None:
        deadline = anyio.current_time() + grace
        while not self.done() and (left := deadline - anyio.current_time()) > 0:
            # The shield stops cancels by anyio, which are delivered again at each await. The
            # except clause stops cancels by asyncio, which are delivered once.
            with anyio.CancelScope(shield=True):
                try:
                    await wait([self], timeout=left)
                except CancelledError:
                    continue


class ShieldedTask(OwnedTask[None]):
    """A task that ends by :meth:`stop`, after the work that is running then.

    In it, :func:`run_or_undo` needs no second task, which makes bulk creates cheaper. User code
    must not run while it is active: it could cancel the task by its own timeout.

    Args:
        work: What it does, given the task.

    Attributes:
        active: Whether work that starts now may rely on the shield.
    """

    def __init__(self, work: Callable[[ShieldedTask], Coroutine[Any, Any, None]]) -> None:
        self.active = False
        self._busy = False
        self._stopped = False
        super().__init__(work(self))

    async def run(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]) -> T:
        """Run `work`, and undo it if the task was stopped meanwhile."""
        self._busy = True
        try:
            result = await work
            if self._stopped:
                await undo(result)
        finally:
            self._busy = False
        if self._stopped:
            raise CancelledError
        return result

    def stop(self) -> None:
        """Cancel the task, after the work that is running now."""
        self._stopped = True
        if not self._busy:
            Task.cancel(self)

    def on_shutdown(self) -> None:
        """Start nothing more."""
        self.stop()

    def is_cut_off(self, error: BaseException) -> bool:
        """Return whether `error` is not the end by :meth:`stop`."""
        return not self._stopped and super().is_cut_off(error)


# Seconds for closing a client. Creates may finish within the grace; after that they are cancelled,
# and the sessions that nobody read are deleted within another grace.
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

    Attributes:
        has_created: Whether the client has begun a create.
    """

    def __init__(self, clock: Clock) -> None:
        self.has_created = False
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
        self.has_created = True
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
        pending: list[Future[None]] = [OwnedTask(run.aclose()) for run in runs]
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
