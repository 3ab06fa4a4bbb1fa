"""What a terminal has written, as far as it is kept: bytes with the position of the first."""

from __future__ import annotations

__all__ = ["Scrollback"]


class Scrollback:
    """The last bytes of a stream.

    Args:
        most: Bytes that are kept.

    Attributes:
        end: Bytes that were ever written.

    Example:
        >>> kept = Scrollback(4)
        >>> kept.append(b"abcdef")
        >>> kept.start, kept.read(2, 10)
        (2, b'cdef')
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self.end = 0

    @property
    def start(self) -> int:
        """Position of the first byte that is kept."""
        return self.end - min(len(self._data), self._most)

    def append(self, data: bytes) -> None:
        """Take what was written; what is too old is forgotten."""
        self._data += data
        self.end += len(data)
        # In large steps, because each moves all that stays.
        if len(self._data) > 2 * self._most:
            del self._data[: -self._most]

    def read(self, position: int, most: int) -> bytes:
        """Return bytes from a position on, which must be one that is kept."""
        begin = position - self.end + len(self._data)
        return bytes(self._data[begin : begin + most])
