"""Read a kernel's output pipe without blocking, and decode it as it comes."""

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
    """Reads a pipe on the running loop and emits whole characters.

    Args:
        fd: A non-blocking pipe; the caller closes it.
        on_text: Called with each piece of text.
    """

    def __init__(self, fd: int, on_text: Callable[[str], None]) -> None:
        self._fd = fd
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(fd, self._read, _CHUNK)

    def drain(self) -> None:
        """Emit what the pipe holds now, without waiting."""
        # By its size, because a session that keeps writing would hold the loop for ever.
        left = _count_readable(self._fd) if self._open else 0
        while left > 0 and self._open:
            left -= self._read(min(left, _CHUNK)) or left

    def flush(self) -> None:
        """Drain the pipe, and emit an incomplete character at the end as it is."""
        self.drain()
        self._emit(self._decoder.decode(b"", final=True))

    def close(self) -> None:
        """Stop reading. Idempotent; the pipe must still be open."""
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
        self._emit(self._decoder.decode(data))
        return len(data)

    def _emit(self, text: str) -> None:
        if text:
            self._on_text(text)


def _count_readable(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
