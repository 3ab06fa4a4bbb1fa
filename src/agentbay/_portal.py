"""The private event loop of the blocking package: one daemon thread for the whole process.

Every blocking method passes a coroutine of `agentbay_async` to `run` and sleeps until the loop has
finished it. The first call starts the thread; all clients and all threads of the process share it.
asyncio is imported with the first call, so that importing the package stays cheap.

Why not anyio's ``BlockingPortal``: its cancellation reaches the clean-up of a cancelled call too
and cuts it short, so that a session whose create was interrupted would stay alive. Nor is
``asyncio.run_coroutine_threadsafe(...).result()`` enough: after a Ctrl-C it returns while the
coroutine goes on running.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay._call import BlockingFuture, Call
from agentbay_async._lifecycle.shielding import SHUTDOWN_GRACE
from agentbay_async._lifecycle.unheld import hand_over, sessions, warn_of_unheld
from agentbay_async.errors import (
    AgentBayError,
    BlockingCallError,
    BlockingCallInAsyncContext,
    ClosedError,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine

    from agentbay_async._lifecycle.unheld import Origin

T = TypeVar("T")

#: Seconds that the exit of the interpreter waits for the clean-up of cancelled calls. The library's
#: own tasks end within a shorter time.
EXIT_GRACE = SHUTDOWN_GRACE + 2.0
#: The most callbacks that may block at the same time; each thread is started when it is needed.
WORKERS = 256


class Portal:
    """The thread and its loop. The first call opens it; once closed, it stays closed.

    Attributes:
        lock: Guards the state that the threads share. It is never held while waiting.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal handler may call the blocking API while its thread holds the lock.
        self.lock = threading.RLock()
        self._loop: AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed_because = ""

    def submit(self, callback: Callable[[AbstractEventLoop], object]) -> None:
        """Schedule ``callback(loop)`` on the loop's thread; open the portal if needed.

        The callback runs in a copy of the caller's context variables. (A queue that batches the
        callbacks of several threads would run them all in the context of one.)

        Raises:
            ClosedError: The portal is closed, or belongs to the parent of this process.
        """
        with self.lock:
            if self._closed_because:
                raise ClosedError(self._closed_because)
            loop = self._loop or self._open()
            loop.call_soon_threadsafe(callback, loop)

    def try_submit(self, callback: Callable[[AbstractEventLoop], object]) -> bool:
        """Schedule ``callback(loop)``, or return ``False`` if there is no open loop.

        This takes no lock, because finalizers call it: the garbage collector may run in a thread
        that holds the lock, or on the loop's own thread.
        """
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(callback, loop)
        except RuntimeError:
            return False
        return True

    def request(
        self,
        call: Call[Any],
        callback: Callable[[AbstractEventLoop], object],
        future: BlockingFuture[T],
    ) -> T:
        """Schedule ``callback(loop)``, then wait for the result of `future`.

        An exception in the waiting thread (Ctrl-C) cancels `call` and waits for its clean-up.
        """
        try:
            self.check_caller()
        except BaseException:
            call.discard()
            raise
        try:
            self.submit(callback)
            future.wait()
        except BaseException:
            self.cancel(call)
            raise
        return future.result()

    def cancel(self, call: Call[Any]) -> None:
        """Cancel `call` and wait until its clean-up is over."""
        if not self.try_submit(call.cancel):
            call.fail_closed()
        call.wait()

    def close(self, grace: float = EXIT_GRACE) -> None:
        """Cancel every call, reject new ones, and wait up to `grace` seconds for the thread."""
        with self.lock:
            # Marked before the stop is scheduled: the loop runs its queue in order, so every call
            # that was accepted runs ahead of the stop, and none can be accepted behind it.
            self._closed_because = (
                self._closed_because or "the event loop of the blocking client was closed"
            )
            self.try_submit(lambda loop: loop.stop())
        if self._thread is not None:
            self._thread.join(grace)

    def detach(self) -> AbstractEventLoop | None:
        """Close the portal in a forked child, and return the parent's loop.

        This takes no lock: a thread that held it at the fork does not exist in the child.
        """
        self._closed_because = (
            "this was begun before the process forked; begin it again in the child"
        )
        loop, self._loop, self._thread = self._loop, None, None
        return loop

    def check_caller(self) -> None:
        """Reject calls from the loop's thread; warn about calls from another running loop.

        Raises:
            BlockingCallError: The caller is the thread that would have to serve the call.
        """
        if self._thread is not None and self._thread.ident == threading.get_ident():
            raise BlockingCallError(
                "a blocking call was made on the event loop's own thread and could never end; "
                "call agentbay_async there, or move the blocking code to a thread"
            )
        if _in_running_loop() and not _in_notebook():
            _warn_about_blocked_loop()

    def _open(self) -> AbstractEventLoop:
        from concurrent.futures import ThreadPoolExecutor

        loop = _new_loop()
        # asyncio's default is a handful of threads for each processor. Callbacks block, and a run
        # over many sessions has one for each session.
        loop.set_default_executor(ThreadPoolExecutor(WORKERS, "agentbay-worker"))
        # Daemon: the interpreter joins other threads before it runs `atexit`, where we close.
        thread = threading.Thread(
            target=self._serve, args=(loop,), name="agentbay-portal", daemon=True
        )
        self._thread = thread
        thread.start()
        self._loop = loop
        return loop

    def _serve(self, loop: AbstractEventLoop) -> None:
        while not self._closed_because:
            # A task that raises one of these ends run_forever; the other calls must go on.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                loop.run_forever()
        try:
            _cancel_all_tasks(loop)
            _run_to_end(loop, loop.shutdown_asyncgens())
        finally:
            loop.close()


def _run_to_end(loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    task = loop.create_task(coroutine)
    while not task.done():
        # RuntimeError: a stop that was scheduled earlier ends the loop first. As in `_serve`, a
        # task may raise one of the others.
        with contextlib.suppress(RuntimeError, KeyboardInterrupt, SystemExit):
            loop.run_until_complete(task)


def _cancel_all_tasks(loop: AbstractEventLoop) -> None:
    import asyncio

    async def wait(tasks: set[asyncio.Task[Any]]) -> None:
        await asyncio.wait(tasks)

    # A task that is cancelled before its first step never enters its `try`, and cleans nothing up.
    _run_to_end(loop, asyncio.sleep(0))
    while tasks := asyncio.all_tasks(loop):
        # While the loop stands still, which tells the library's own tasks that it is shut down.
        for task in tasks:
            task.cancel()
        _run_to_end(loop, wait(tasks))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` on the private loop; return its value or raise its error.

    A Ctrl-C cancels the coroutine first, then waits for its clean-up, then raises
    `KeyboardInterrupt`. In any other order the program could end while the clean-up still runs. A
    second Ctrl-C stops the wait. Other exceptions of signal handlers act the same way.

    A Ctrl-C may come when the coroutine has returned a session and the thread has not read it. Then
    the session stays recorded as unheld, and closing its client deletes it.

    Raises:
        BlockingCallError: Called on the loop's own thread.
        ClosedError: The loop was closed, or the coroutine was cancelled from inside.
    """
    call = Call(coroutine)
    returned: dict[str, Origin] = {}

    def take(session_id: str, _default: None) -> None:
        if (origin := sessions.pop(session_id, None)) is not None:
            returned[session_id] = origin

    token = hand_over.set(take)
    try:
        return _current.request(call, call.start, call)
    except AgentBayError:
        raise
    except BaseException:
        # Ctrl-C: the thread never gets the result, so nobody has its sessions.
        sessions.update(returned)
        raise
    finally:
        hand_over.reset(token)


def current() -> Portal:
    """Return the portal of this process."""
    return _current


def _new_loop() -> AbstractEventLoop:
    # No other code runs on this loop, so uvloop is safe wherever the extra "speed" installed it.
    from importlib import import_module

    try:
        loops = import_module("uvloop")
    except ImportError:
        loops = import_module("asyncio")
    loop: AbstractEventLoop = loops.new_event_loop()
    return loop


def _in_running_loop() -> bool:
    import asyncio
    from inspect import currentframe

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    if not isinstance(loop, asyncio.BaseEventLoop):
        return True  # one that is written in C has no frames
    # Playwright's blocking API runs its loop in a greenlet of its own: that counts as running, but
    # it is not on this stack, so a call blocks nothing.
    frame, code = currentframe(), asyncio.BaseEventLoop.run_forever.__code__
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _warn_about_blocked_loop() -> None:
    from inspect import currentframe

    # The warning points at the first line outside this package, so that Python shows it once for
    # each place in the user's program.
    frame, level = currentframe(), 1
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(
        "a blocking call inside a running event loop blocks that loop until the call returns; "
        "use the same method of agentbay_async with await",
        BlockingCallInAsyncContext,
        stacklevel=level,
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __package__


_current = Portal()

#: The loops of parent processes, kept until the exit. Finalizing one would unregister the parent's
#: connections: parent and child share the selector.
_inherited: list[AbstractEventLoop | None] = []


def _reset_after_fork() -> None:
    # A child inherits the loop without its thread, so calls would wait for ever. Only the child is
    # reset, and nothing happens before the fork: uvloop runs these hooks for every subprocess.
    global _current
    _inherited.append(_current.detach())
    _current = Portal()


def _close_at_exit() -> None:
    _current.close()
    # Last: the clean-up of the calls that the close cancels may delete what is unheld.
    warn_of_unheld()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
