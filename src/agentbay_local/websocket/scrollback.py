"""Scrollback of a terminal: the last bytes of its output, with their positions."""

from __future__ import annotations

__all__ = ["Scrollback"]


class Scrollback:
    """The last bytes of a stream.

    Args:
        capacity: Bytes to keep.

    Attributes:
        end: Position after the last byte: the bytes ever written.

    Example:
        >>> scrollback = Scrollback(4)
        >>> scrollback.append(b"abcdef")
        >>> scrollback.start, scrollback.read(2, 10)
        (2, b'cdef')
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._data = bytearray()
        self.end = 0

    @property
    def start(self) -> int:
        """Position of the first byte that is kept."""
        return self.end - min(len(self._data), self._capacity)

    def append(self, data: bytes) -> None:
        """Add output, and drop the oldest bytes beyond the capacity."""
        self._data += data
        self.end += len(data)
        # Only when twice the capacity is reached, because each removal moves all bytes that stay.
        if len(self._data) > 2 * self._capacity:
            del self._data[: -self._capacity]

    def read(self, position: int, size: int) -> bytes:
        """Return at most `size` bytes from a position between `start` and `end`."""
        begin = position - self.end + len(self._data)
        return bytes(self._data[begin : begin + size])
