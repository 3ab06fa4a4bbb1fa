"""One call on its way to the private loop and back: the raw lock that a thread sleeps on."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentbay_async.errors import ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Coroutine

T = TypeVar("T")

#: A Ctrl-C is looked for this often, in seconds: it does not interrupt a wait for a lock on
#: Windows, and elsewhere not one that is about to begin.
_POLL = 0.1 if sys.platform == "win32" else 0.5


class Answer(Generic[T]):
    """A value or an error on its way from the loop to the one thread that waits for it."""

    __slots__ = ("_error", "_given", "_lock", "_value")

    _value: T

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._given = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def give(self, value: T) -> None:
        """Answer with a value; a second answer is ignored."""
        if not self._given:
            self._value = value
            self._release()

    def fail(self, error: BaseException) -> None:
        """Answer with an error; a second answer is ignored."""
        if not self._given:
            self._error = error
            self._release()

    def _release(self) -> None:
        self._given = True
        self._lock.release()

    def wait(self) -> None:
        """Sleep until there is an answer. A signal handler may raise out of here."""
        while not (self._given or self._lock.acquire(timeout=_POLL)):
            pass

    def take(self) -> T:
        """Return the value or raise the error, once. Only after :meth:`wait`."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise _as_blocking(error)
        finally:
            # The traceback holds this frame: without this the error would be a garbage cycle.
            del error


class Call(Answer[T]):
    """One coroutine, run as a task of its own, and the answer it ends with."""

    __slots__ = ("_begun", "_coroutine", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._begun = False
        self._coroutine = coroutine
        self._task: Task[T] | None = None

    def start(self, loop: AbstractEventLoop) -> None:
        """Begin the task, unless it has begun. On the loop's thread."""
        if self._begun:
            return
        self._begun = True
        self._task = loop.create_task(self._coroutine)
        self._task.add_done_callback(self._settle)
        _under_way.add(self)

    def stop(self, loop: AbstractEventLoop) -> None:
        """Cancel the task, or take back a coroutine that never began. On the loop's thread."""
        if not self._begun:
            self.abandon()
        elif self._task is not None:
            # One round later: a task cancelled before its first step would never run its clean-up.
            loop.call_soon(self._task.cancel)

    def abandon(self) -> None:
        """Answer in place of a loop that will not: it is gone, or never heard of this call."""
        self.withdraw()
        self.fail(ClosedError("the event loop of the blocking client was closed"))

    def withdraw(self) -> None:
        """Dispose of a coroutine that never began."""
        if not self._begun:
            self._begun = True
            self._coroutine.close()

    def _settle(self, task: Task[T]) -> None:
        from asyncio import CancelledError

        _under_way.discard(self)
        # The task holds its error, and the traceback of the error holds a frame with this call.
        self._task = None
        try:
            error = task.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is None:
            self.give(task.result())
        else:
            self.fail(error)


#: asyncio holds its tasks weakly: without this, one that waits for nothing but its caller could be
#: collected together with it, before its clean-up.
_under_way: set[Call[Any]] = set()


def _as_blocking(error: BaseException) -> BaseException:
    from asyncio import CancelledError

    if not isinstance(error, CancelledError):
        return error
    closed = ClosedError("the call was cancelled, because its client or its event loop was closed")
    closed.__cause__ = error
    return closed
