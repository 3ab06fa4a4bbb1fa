"""Watches of directories, which call back."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

from agentbay_async.errors import OperationTimeoutError
from agentbay_async.services._file_changes import batches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._api import Api
    from agentbay_async.models.files import FileChange

logger = logging.getLogger("agentbay")


class AsyncDirectoryWatch:
    """A watch that calls back; see :meth:`AsyncFileSystem.watch_directory`. It is not started yet.

    Attributes:
        stop_event: Setting it, from anywhere, ends the watch within an interval.
        ready_event: Is set once the watch knows what is there: what changes from then on is told.
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

    async def start(self) -> None:
        """Begin to watch. What is started already goes on as it is."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the watch and wait until it has ended. Not from within its own callback."""
        self.stop_event.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def join(self, timeout: float | None = None) -> None:
        """Wait until the watch has ended.

        Args:
            timeout: Seconds to wait; ``None`` waits for as long as it goes on.

        Raises:
            OperationTimeoutError: It still goes on.
            AgentBayError: What ended it, if nobody stopped it.
        """
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=timeout)
        if not done:
            raise OperationTimeoutError(f"the watch of {self._path} goes on")
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    def is_alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            while not watching.done() and not self.stop_event.is_set():
                await self._api.clock.sleep(self._interval)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        if not watching.cancelled() and (error := watching.exception()) is not None:
            logger.warning("the watch of %s ended: %s", self._path, error)
            raise error

    async def _watch(self) -> None:
        found = batches(
            self._api, self._session_id, self._path, self._interval, self.ready_event.set
        )
        async with aclosing(found):
            async for batch in found:
                try:
                    waiting = self._callback(batch)
                    if waiting is not None:
                        await waiting
                except Exception:
                    # Told of, and no reason to miss what changes next.
                    logger.exception("the callback of the watch of %s failed", self._path)
