"""The private event loop behind the blocking package: one daemon thread, one loop, one way in.

Every blocking method hands a coroutine of `agentbay_async` to :func:`run` and sleeps on a raw lock
until the loop has finished it. The thread starts with the first call, serves every client and
every thread of the process, and ends with the interpreter. asyncio is imported with the first
call, so that importing the package stays cheap.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay._call import Answer, Call
from agentbay_async.errors import BlockingCallError, BlockingCallInAsyncContext, ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

#: Seconds that the end of the interpreter waits for cancelled calls to clean up.
EXIT_GRACE = 2.0
#: How many callbacks may block at the same time; threads are made when they are needed.
WORKERS = 256


class Portal:
    """The thread and its loop: opened by the first call, closed once, never opened again.

    Attributes:
        lock: Guards the state that all threads of the process share, for moments only.
            A forked child gets a new portal, hence a lock that nobody holds.
    """

    def __init__(self) -> None:
        # Re-entrant, because a signal handler may call the blocking API while this thread is here.
        self.lock = threading.RLock()
        self._loop: AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._refusal = ""

    def submit(self, start: Callable[[AbstractEventLoop], object]) -> None:
        """Have ``start(loop)`` run on the loop's thread, in the caller's context variables.

        Raises:
            ClosedError: The portal was closed, or belongs to the process this one was forked from.
        """
        with self.lock:
            if self._refusal:
                raise ClosedError(self._refusal)
            loop = self._loop or self._open()
            loop.call_soon_threadsafe(start, loop)

    def post(self, callback: Callable[[AbstractEventLoop], object]) -> bool:
        """Have ``callback(loop)`` run if there is a loop. Takes no lock: fit for finalizers."""
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(callback, loop)
        except RuntimeError:
            return False
        return True

    def ask(
        self, call: Call[Any], question: Callable[[AbstractEventLoop], object], answer: Answer[T]
    ) -> T:
        """Have ``question(loop)`` run on the loop's thread, and wait for its answer.

        Whatever interrupts the wait cancels ``call``, waits for its clean-up and goes on.
        """
        try:
            self.check_caller()
        except BaseException:
            call.withdraw()
            raise
        try:
            self.submit(question)
            answer.wait()
        except BaseException:
            self.cancel(call)
            raise
        return answer.take()

    def cancel(self, call: Call[Any]) -> None:
        """Cancel ``call`` and wait until its clean-up is over."""
        if not self.post(call.stop):
            call.abandon()
        call.wait()

    def close(self, grace: float = EXIT_GRACE) -> None:
        """Cancel every call, refuse new ones, and wait up to ``grace`` seconds for the thread."""
        with self.lock:
            # Marked first: whatever was accepted before is ahead of the stop in the loop's queue.
            self._refusal = self._refusal or "the event loop of the blocking client was closed"
            self.post(lambda loop: loop.stop())
        if self._thread is not None:
            self._thread.join(grace)

    def disown(self) -> AbstractEventLoop | None:
        """Refuse all calls after a fork. The lock may be held by a thread that is no more."""
        self._refusal = "this was begun before the process forked; begin it again in the child"
        loop, self._loop, self._thread = self._loop, None, None
        return loop

    def check_caller(self) -> None:
        """Refuse the loop's own thread, and warn a thread whose own loop would stand still.

        Raises:
            BlockingCallError: The caller is the thread that would have to serve the call.
        """
        if self._thread is not None and self._thread.ident == threading.get_ident():
            raise BlockingCallError(
                "a blocking call was made on the event loop's own thread and could never end; "
                "call agentbay_async there, or move the blocking code to a thread"
            )
        if _in_running_loop() and not _in_notebook():
            _warn_standing_loop()

    def _open(self) -> AbstractEventLoop:
        from concurrent.futures import ThreadPoolExecutor

        loop = _new_loop()
        # Callbacks block, and many run at once: the default would be a handful for each processor.
        loop.set_default_executor(ThreadPoolExecutor(WORKERS, "agentbay-worker"))
        thread = threading.Thread(
            target=self._serve, args=(loop,), name="agentbay-portal", daemon=True
        )
        self._thread = thread
        thread.start()
        self._loop = loop
        return loop

    def _serve(self, loop: AbstractEventLoop) -> None:
        while not self._refusal:
            # A task that raises one of these ends run_forever; the other calls must go on.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                loop.run_forever()
        try:
            _finish(loop, _end_tasks())
            _finish(loop, loop.shutdown_asyncgens())
        finally:
            loop.close()


def _finish(loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    task = loop.create_task(coroutine)
    while not task.done():
        # A stop may come this late, and so may a task that raises one of the others.
        with contextlib.suppress(RuntimeError, KeyboardInterrupt, SystemExit):
            loop.run_until_complete(task)


async def _end_tasks() -> None:
    import asyncio

    this = {asyncio.current_task()}
    # Every task takes its first step, so that it runs its clean-up when it is cancelled.
    await asyncio.sleep(0)
    while others := asyncio.all_tasks() - this:
        for task in others:
            task.cancel()
        await asyncio.wait(others)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` on the private loop and return its value or raise its error.

    A Ctrl-C (or whatever else a signal handler raises) cancels the coroutine, waits for its
    clean-up and then goes on to the caller; a second one stops the waiting.

    Raises:
        BlockingCallError: Called on the loop's own thread.
        ClosedError: The loop was closed, or the coroutine was cancelled from inside.
    """
    call = Call(coroutine)
    return _current.ask(call, call.start, call)


def current() -> Portal:
    """Return the portal of this process."""
    return _current


def _new_loop() -> AbstractEventLoop:
    # The loop is nobody else's, so the faster one may serve where the extra "speed" has brought it.
    from importlib import import_module

    try:
        loops = import_module("uvloop")
    except ImportError:
        loops = import_module("asyncio")
    loop: AbstractEventLoop = loops.new_event_loop()
    return loop


def _in_running_loop() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _warn_standing_loop() -> None:
    from inspect import currentframe

    frame, level = currentframe(), 1
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(
        "a blocking call inside a running event loop: the loop stands still until it ends; "
        "use the same method of agentbay_async with await",
        BlockingCallInAsyncContext,
        stacklevel=level,
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __package__


_current = Portal()

#: Loops of parent processes. Kept for ever: to finalize one would take, out of a selector that is
#: shared with the parent, the very connections that the parent still uses.
_inherited: list[AbstractEventLoop | None] = []


def _reset_after_fork() -> None:
    global _current
    _inherited.append(_current.disown())
    _current = Portal()


def _close_at_exit() -> None:
    _current.close()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
