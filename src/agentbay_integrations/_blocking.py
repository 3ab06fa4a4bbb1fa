"""Adapters of frameworks that have blocking and async calls: one session serves both."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_integrations._sessions import SessionOwner, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

__all__ = ["BothWays"]

S = TypeVar("S")
T = TypeVar("T")


class BothWays:
    """The base class of an adapter that is used blocking and async, and owns its session so.

    Async calls run in the event loop of their caller, so that a cancel reaches them. Blocking calls
    run on a private thread.
    """

    _owner: SessionOwner
    _thread: LoopThread

    def _own(self, framework: str, **options: Any) -> None:
        """Take the arguments of :class:`SessionOwner`.

        Raises:
            ValueError: A session is given in two ways.
        """
        if options.get("session") is not None and options.get("session_id") is not None:
            raise ValueError("give either session or session_id")
        self._owner = SessionOwner(framework, **options)
        self._thread = LoopThread()

    def close(self) -> None:
        """Delete the session, if it was made here."""
        try:
            self._thread.call(self._owner.close())
        finally:
            self._thread.stop()

    async def aclose(self) -> None:
        """Delete the session, if it was made here; also if this is cancelled."""
        if self._thread.is_running:
            # Blocking calls have made connections there.
            await uninterrupted(asyncio.to_thread(self.close))
        else:
            await self._owner.close()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class LoopThread:
    """An event loop on a thread of its own, which starts with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a call has been made since the last stop."""
        return self._loop is not None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the thread, and wait for its result; Ctrl-C cancels it."""
        try:
            loop = self._start()
        except BaseException:  # Ctrl-C; Python would warn that nothing awaited it
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the thread, if it runs; calls of other threads that still run there are cancelled."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_cancel_all(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon: a program that does not close its adapter can end nevertheless.
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="agentbay-integration", daemon=True
                )
                self._thread.start()
            return self._loop


async def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the other tasks of a loop, and wait for them: who waits for one would wait forever."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in tasks:
        task.cancel()
    # Their errors reach those who wait for them.
    await asyncio.gather(*tasks, return_exceptions=True)
