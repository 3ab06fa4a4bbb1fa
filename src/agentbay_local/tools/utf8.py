"""Cutting UTF-8 between characters and not inside them."""

from __future__ import annotations

__all__ = ["MARGIN", "decode_whole_characters"]

MARGIN = 3
"""Bytes before and after a piece that are needed to find the borders of its characters."""


def decode_whole_characters(data: bytes, start: int, end: int) -> str:
    """Decode the characters of `data` that begin at or after `start` and before `end`.

    A character on a border thus belongs to exactly one of two neighbouring pieces. Bytes that are
    no UTF-8 become replacement characters.

    Example:
        >>> text = "aé".encode()
        >>> whole_characters(text, 0, 2), whole_characters(text, 2, 3)
        ('aé', '')
    """
    return data[_border(data, start) : _border(data, end)].decode("utf-8", "replace")


def _border(data: bytes, position: int) -> int:
    """Return where the character that reaches over `position` ends, or `position` itself."""
    position = min(position, len(data))
    for back in range(1, min(MARGIN, position) + 1):
        first = data[position - back]
        if first & 0xC0 != 0x80:
            return max(position, min(position - back + _length(first), len(data)))
    return position


def _length(first: int) -> int:
    if first >= 0xF0:
        return 4
    if first >= 0xE0:
        return 3
    return 2 if first >= 0xC0 else 1
