"""Reading what a command writes, without letting it decide how much memory or time that takes."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios

__all__ = ["Stream"]

CHUNK = 256 * 1024

REST = 0.003
"""Seconds between two reads of what is thrown away: a flood costs its writer time and not us."""


class Stream:
    """One output stream of one command, read on the running loop as it is written.

    Args:
        limit: Bytes kept; what comes after them is read and thrown away, so that the command can
            go on.

    Attributes:
        write_end: To be handed to the command, then closed with `handed_over`.
        truncated: More than `limit` bytes came.
    """

    def __init__(self, limit: int) -> None:
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self._limit = limit
        self._reading = True
        self._rest: asyncio.TimerHandle | None = None
        self.truncated = False
        self._listen()

    def handed_over(self) -> None:
        """Close our copy of the writing end. Repeatable."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def finish(self) -> int | None:
        """Take what the pipe holds now, without waiting for more.

        Returns:
            The reading end when something still holds the other one, else None.
        """
        if self._reading:
            # Only what is there already: a background writer must not keep us here.
            self._read(_waiting_bytes(self._read_end) or 1)
        if self._reading:
            self._read(1)
        return self._read_end if self._reading else None

    def close(self) -> None:
        """Stop reading. Repeatable."""
        self.handed_over()
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._read_end)
            if self._rest is not None:
                self._rest.cancel()
            os.close(self._read_end)

    @property
    def content(self) -> bytes:
        """What was kept so far."""
        return bytes(self._kept)

    def _listen(self) -> None:
        self._rest = None
        self._loop.add_reader(self._read_end, self._read, CHUNK)

    def _pause(self) -> None:
        if self._rest is None:
            self._loop.remove_reader(self._read_end)
            self._rest = self._loop.call_later(REST, self._listen)

    def _read(self, size: int) -> None:
        try:
            data = os.read(self._read_end, size)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        room = self._limit - len(self._kept)
        self.truncated |= len(data) > room
        self._kept += data[:room]
        if self.truncated:
            self._pause()


def _waiting_bytes(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
