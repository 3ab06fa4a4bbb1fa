"""A person at a terminal, whose other end is that of a program under test."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import struct
import termios
import time

LIMIT = 60


class Person:
    """Somebody at a terminal, in a thread of their own."""

    def __init__(self, screen: int) -> None:
        self.screen = screen
        self.seen = b""

    def sees(self, text: bytes) -> bytes:
        """Wait until a text is on the screen, and return all that came before it."""
        end = time.monotonic() + LIMIT
        with selectors.DefaultSelector() as selector:
            selector.register(self.screen, selectors.EVENT_READ)
            while text not in self.seen:
                assert time.monotonic() < end, f"{text!r} did not come; {self.seen!r} did"
                if selector.select(1):
                    self.seen += os.read(self.screen, 65536)
        before, _, self.seen = self.seen.partition(text)
        return before

    def types(self, text: bytes) -> None:
        """Press keys."""
        os.write(self.screen, text)

    def resizes(self, columns: int, rows: int) -> None:
        """Change the size of the window; the kernel would send the signal."""
        set_size(self.screen, columns, rows)
        os.kill(os.getpid(), signal.SIGWINCH)


def set_size(handle: int, columns: int, rows: int) -> None:
    """Set the size of a terminal."""
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
