"""Watch a directory of a session with a callback."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.shielding import run_beside
from agentbay_async.errors import OperationTimeoutError
from agentbay_async.models._later import Later, nothing
from agentbay_async.services._file_changes import iter_batches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._api import Api
    from agentbay_async.models.files import FileChange

logger = logging.getLogger("agentbay")


class AsyncDirectoryWatch:
    """A watch with a callback; see :meth:`AsyncFileSystem.watch_directory`. Call :meth:`start`.

    Attributes:
        stop_event: Setting it, from any thread, ends the watch within an interval.
        ready_event: Set when the watch has begun: changes from then on are reported.
    """

    __slots__ = (
        "__weakref__",
        "_api",
        "_callback",
        "_interval",
        "_path",
        "_session_id",
        "_task",
        "ready_event",
        "stop_event",
    )

    def __init__(
        self,
        api: Api,
        session_id: str,
        path: str,
        callback: Callable[[list[FileChange]], Awaitable[None] | None],
        interval: float,
        stop_event: threading.Event | None,
    ) -> None:
        self._api = api
        self._session_id = session_id
        self._path = path
        self._callback = callback
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self.stop_event: threading.Event = stop_event or threading.Event()
        self.ready_event: threading.Event = threading.Event()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    def start(self) -> Awaitable[None]:
        """Start the watch. Calling it again does nothing."""
        # Done at once: the official client returns a thread, whose `start` is a plain method.
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return Later(nothing)

    async def stop(self) -> None:
        """Stop the watch and wait until it has ended. Do not call this in its own callback."""
        self.stop_event.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def join(self, timeout: float | None = None) -> Awaitable[None]:
        """Wait until the watch has ended.

        Args:
            timeout: Seconds to wait; ``None`` waits without a limit.

        Raises:
            OperationTimeoutError: It has not ended in time.
            AgentBayError: The watch failed.
        """
        # A plain call, as for a thread, does not wait: it would block the loop that runs the watch.
        return Later(lambda: self._join(timeout))

    async def _join(self, timeout: float | None) -> None:
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=timeout)
        if not done:
            raise OperationTimeoutError(f"the watch of {self._path} did not end in time")
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    def is_alive(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        async with run_beside(self._watch()) as worker:
            # Polled, because a threading.Event cannot wake an event loop.
            while not worker.done() and not self.stop_event.is_set():
                await self._api.clock.sleep(self._interval)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            logger.warning("the watch of %s ended: %s", self._path, error)
            raise error

    async def _watch(self) -> None:
        batches = iter_batches(
            self._api, self._session_id, self._path, self._interval, self.ready_event.set
        )
        async with aclosing(batches):
            async for batch in batches:
                try:
                    awaitable = self._callback(batch)
                    if awaitable is not None:
                        await awaitable
                except Exception:
                    # A failing callback must not miss the next changes.
                    logger.exception("the callback of the watch of %s failed", self._path)
