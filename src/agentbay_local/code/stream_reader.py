"""What a worker prints, as text while it comes."""

from __future__ import annotations

import array
import asyncio
import codecs
import fcntl
import os
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StreamReader"]

_CHUNK = 64 * 1024


class StreamReader:
    """Reads a pipe on the running loop, and hands on whole characters.

    Args:
        fd: A non-blocking pipe, which stays the caller's.
        told: Called with each piece of text.
    """

    def __init__(self, fd: int, told: Callable[[str], None]) -> None:
        self._fd = fd
        self._told = told
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(fd, self._read, _CHUNK)

    def drain(self) -> None:
        """Hand on what the pipe holds now, without waiting, and not what comes meanwhile."""
        left = _waiting_bytes(self._fd) if self._open else 0
        while left > 0 and self._open:
            left -= self._read(min(left, _CHUNK)) or left

    def flush(self) -> None:
        """As `drain`; half a character at the end will have no other half."""
        self.drain()
        self._tell(self._decoder.decode(b"", final=True))

    def close(self) -> None:
        """Stop reading. Repeatable; the pipe must still be open."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)

    def _read(self, size: int) -> int:
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
        self._tell(self._decoder.decode(data))
        return len(data)

    def _tell(self, text: str) -> None:
        if text:
            self._told(text)


def _waiting_bytes(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
