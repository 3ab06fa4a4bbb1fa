"""Remove the directories of deleted sessions in the background.

Removing the files of a session takes milliseconds of processor time, which sandboxes that are
starting need, and nobody waits for it. So the directory of a deleted session is renamed at once,
and its files are removed when no sandbox is starting, or soon at the latest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host.removal import remove_tree_now

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Removals"]

_log = logging.getLogger(__name__)

# Seconds for which the removal of a directory waits for starts.
_POSTPONED = 1.0
# Directories that wait. With more, deletes wait too, so that a disk is not filled by files that
# are to go.
_MOST = 256
# Not the default threads, which all else needs: a session may have a million files.
_THREADS = 2


class Removals:
    """The removals of one service.

    Args:
        resting: Set while no sandbox is starting.
    """

    def __init__(self, resting: asyncio.Event) -> None:
        self._resting = resting
        self._room = asyncio.Semaphore(_MOST)
        self._threads = ThreadPoolExecutor(_THREADS, "agentbay-removals")
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)

    async def add(self, directory: Path) -> None:
        """Move a directory out of the way now, and remove it soon.

        Do nothing if it does not exist. If the service is killed before, the next start of a
        service removes it.

        Raises:
            OSError: It cannot be moved.
        """
        await self._room.acquire()
        aside = directory.with_name(f".{directory.name}.{next(self._numbers)}")
        try:
            # On the event loop: it takes a few microseconds, and a thread would take more.
            os.rename(directory, aside)
        except OSError as error:
            self._room.release()
            if isinstance(error, FileNotFoundError):
                return
            raise
        removing = asyncio.create_task(self._remove(aside), name=f"remove {aside.name}")
        self._tasks.add(removing)
        removing.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until everything that was added is removed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Remove what is left, without waiting for starts, and end the threads.

        No sandbox may start any more.
        """
        self._resting.set()
        await self.finish()
        self._threads.shutdown()

    async def _remove(self, directory: Path) -> None:
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._resting.wait(), _POSTPONED)
            removing = self._start(directory)
            if removing is not None:
                await removing
        except OSError as error:
            _log.warning("%s cannot be removed: %s", directory, error.strerror)
        finally:
            self._room.release()

    def _start(self, directory: Path) -> asyncio.Future[None] | None:
        """Start to remove a directory; return None if this process exits."""
        loop = asyncio.get_running_loop()
        try:
            return loop.run_in_executor(self._threads, remove_tree_now, directory)
        except RuntimeError:
            # Python ends the threads before the loop of an embedded service ends, which removes all
            # its files.
            return None
