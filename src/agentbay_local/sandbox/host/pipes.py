"""Read and write a descriptor on the event loop, without blocking it."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxOSError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pipe"]

CHUNK = 64 * 1024


class Pipe:
    """The service's end of a stream of a program.

    Args:
        fd: A pipe, socket or terminal; the object closes it.
        name: Its name in errors.
    """

    def __init__(self, fd: int, name: str) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._writing = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._closed = asyncio.Event()
        self._draining = asyncio.Event()

    def fileno(self) -> int:
        """Return the descriptor; -1 if closed."""
        return self._fd

    async def read(self, most: int = CHUNK) -> bytes:
        """Return data, waiting for the first byte; b"" at the end and after `close`.

        A cancelled read loses nothing. Concurrent reads take turns.
        """
        async with self._reading:
            while not self._closed.is_set():
                data = self._try_read(most)
                if data is None and self._draining.is_set():
                    return b""
                if data is not None:
                    return data
                await self._wait_until_usable(
                    self._draining, self._loop.add_reader, self._loop.remove_reader
                )
        return b""

    async def write(self, data: bytes) -> None:
        """Write all data, waiting while the other side does not read.

        Concurrent writes take turns and never mix; a cancelled one may be written in part.

        Raises:
            SandboxOSError: The other side is closed (EPIPE, EIO), or this one is (EBADF).
        """
        async with self._writing:
            rest = memoryview(data)
            while rest:
                given = self._try_write(rest)
                if not given:
                    await self._wait_until_usable(
                        self._closed, self._loop.add_writer, self._loop.remove_writer
                    )
                rest = rest[given:]

    def finish(self) -> None:
        """Let `read` return the buffered data, and then b"" instead of waiting for more."""
        self._draining.set()

    def close(self) -> None:
        """Close it, which also ends a waiting `read` or `write`. Repeatable."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._closed.set()
            self._draining.set()

    def _try_read(self, most: int) -> bytes | None:
        """Read the available data; return None if there is none."""
        try:
            return os.read(self._fd, most)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:  # a terminal that no process has open any more
                return b""
            raise SandboxOSError(error.errno or errno.EIO, self._name) from None

    def _try_write(self, data: memoryview) -> int:
        """Write as much as fits; return the number of bytes."""
        if self._closed.is_set():
            raise SandboxOSError(errno.EBADF, self._name)
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise SandboxOSError(error.errno or errno.EIO, self._name) from None

    async def _wait_until_usable(
        self, over: asyncio.Event, add: Callable[..., None], remove: Callable[[int], bool]
    ) -> None:
        """Wait until the descriptor is ready, or an event is set."""
        usable = asyncio.Event()
        add(self._fd, usable.set)
        waits = [asyncio.ensure_future(one.wait()) for one in (usable, over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            if self._fd >= 0:
                remove(self._fd)
