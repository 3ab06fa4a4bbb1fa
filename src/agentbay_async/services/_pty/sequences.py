"""A sequence of bytes in a stream that comes in chunks."""

from __future__ import annotations

__all__ = ["SequenceFinder"]


class SequenceFinder:
    r"""Passes a stream on until a sequence appears in it, in one chunk or across several.

    Example:
        >>> finder = SequenceFinder(b"\x10\x11")
        >>> finder.feed(b"ls\x10"), finder.feed(b"\x11more")
        ((b'ls', False), (b'', True))
        >>> finder = SequenceFinder(b"\x10\x11")
        >>> finder.feed(b"\x10"), finder.feed(b"x\x10"), finder.rest
        ((b'', False), (b'\x10x', False), b'\x10')
    """

    def __init__(self, sequence: bytes) -> None:
        self.sequence = sequence
        self.rest = b""

    def feed(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return what can be passed on, and whether the sequence has come.

        What may be the beginning of the sequence is kept in `rest` until the next chunk.
        """
        text = self.rest + chunk
        before, found, self.rest = text.partition(self.sequence)
        if found:
            return before, True
        end = len(text) - self._begun(text)
        self.rest = text[end:]
        return text[:end], False

    def _begun(self, text: bytes) -> int:
        """Return how many bytes of the sequence a text ends with."""
        sizes = range(min(len(self.sequence) - 1, len(text)), 0, -1)
        return next((size for size in sizes if text.endswith(self.sequence[:size])), 0)
