"""Cut UTF-8 text between characters, not inside them."""

from __future__ import annotations

__all__ = ["MARGIN", "decode_whole_characters"]

MARGIN = 3
"""Bytes to read before and after a range to find the boundaries of its characters."""


def decode_whole_characters(data: bytes, start: int, end: int) -> str:
    """Decode the characters of `data` that begin in the range from `start` to `end`.

    A character that crosses a boundary thus belongs to exactly one of two neighbouring ranges.
    Invalid UTF-8 becomes replacement characters.

    Example:
        >>> text = "aé".encode()
        >>> decode_whole_characters(text, 0, 2), decode_whole_characters(text, 2, 3)
        ('aé', '')
    """
    return data[_find_boundary(data, start) : _find_boundary(data, end)].decode("utf-8", "replace")


def _find_boundary(data: bytes, position: int) -> int:
    """Return the end of the character that crosses `position`, or `position` itself."""
    position = min(position, len(data))
    for back in range(1, min(MARGIN, position) + 1):
        first = data[position - back]
        if first & 0xC0 != 0x80:
            return max(position, min(position - back + _sequence_length(first), len(data)))
    return position


def _sequence_length(first: int) -> int:
    if first >= 0xF0:
        return 4
    if first >= 0xE0:
        return 3
    return 2 if first >= 0xC0 else 1
