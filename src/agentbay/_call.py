"""One call on the private loop, and the future that its thread waits for."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentbay_async.errors import ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Coroutine

T = TypeVar("T")

#: Seconds between two looks for a Ctrl-C. On Windows it does not interrupt a wait for a lock; on
#: other systems it does, but not a wait that is just about to begin.
_POLL = 0.1 if sys.platform == "win32" else 0.5


class BlockingFuture(Generic[T]):
    """A result that the loop's thread sets, and that exactly one other thread waits for.

    It is built on a raw lock. `concurrent.futures.Future` needs a condition variable, which costs
    several more locks for each call, and turns a cancellation into an ordinary `Exception`.

    Attributes:
        was_read: Whether the thread has got the result.
    """

    __slots__ = ("_done", "_error", "_lock", "_value", "was_read")

    _value: T

    def __init__(self) -> None:
        self.was_read = False
        self._error: BaseException | None = None
        self._done = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set_result(self, value: T) -> None:
        """Set the value, unless there is a value or an error already."""
        if not self._done:
            self._value = value
            self._release()

    def set_exception(self, error: BaseException) -> None:
        """Set the error, unless there is a value or an error already."""
        if not self._done:
            self._error = error
            self._release()

    def _release(self) -> None:
        self._done = True
        self._lock.release()

    def wait(self) -> None:
        """Sleep until there is a value or an error. A signal handler may raise out of here."""
        while not (self._done or self._lock.acquire(timeout=_POLL)):
            pass

    def result(self) -> T:
        """Return the value or raise the error, once, after `wait`."""
        self.was_read = True
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise _to_blocking_error(error)
        finally:
            # The traceback holds this frame: without this the error would be a garbage cycle.
            del error


class Call(BlockingFuture[T]):
    """A coroutine that runs as one task on the loop, and the future of its result."""

    __slots__ = ("_coroutine", "_started", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._started = False
        self._coroutine = coroutine
        self._task: Task[T] | None = None

    def start(self, loop: AbstractEventLoop) -> None:
        """Start the task, unless it was started or discarded. On the loop's thread."""
        if self._started:
            return
        self._started = True
        self._task = loop.create_task(self._coroutine)
        self._task.add_done_callback(self._on_done)
        _active_calls.add(self)

    def cancel(self, loop: AbstractEventLoop) -> None:
        """Cancel the task, or discard a coroutine that never started. On the loop's thread."""
        if not self._started:
            self.fail_closed()
        elif self._task is not None:
            # One round later: a task cancelled before its first step would never run its clean-up.
            loop.call_soon(self._task.cancel)

    def fail_closed(self) -> None:
        """Set an error for a loop that cannot: it is closed, or never got this call."""
        self.discard()
        self.set_exception(ClosedError("the event loop of the blocking client was closed"))

    def discard(self) -> None:
        """Close a coroutine that never started, so that Python does not warn about it."""
        if not self._started:
            self._started = True
            self._coroutine.close()

    def _on_done(self, task: Task[T]) -> None:
        from asyncio import CancelledError

        _active_calls.discard(self)
        # Breaks a cycle: the task holds its error, whose traceback holds a frame with this call.
        self._task = None
        try:
            error = task.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is None:
            self.set_result(task.result())
        else:
            self.set_exception(error)


#: asyncio keeps weak references to its tasks. A task that waits only for its caller would be
#: collected together with that caller, before its clean-up, if it were not kept here.
_active_calls: set[Call[Any]] = set()


def _to_blocking_error(error: BaseException) -> BaseException:
    """Return the error to raise: a blocking caller has no task that could be cancelled."""
    from asyncio import CancelledError

    if not isinstance(error, CancelledError):
        return error
    closed = ClosedError("the call was cancelled, because its client or its event loop was closed")
    closed.__cause__ = error
    return closed
