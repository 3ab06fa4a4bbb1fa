"""What changed in a text, as tools for patches tell it: for client and local service."""

from __future__ import annotations

import difflib


def difference(path: str, old: str, new: str) -> str:
    """Return the unified difference of two texts of a file."""
    lines = difflib.unified_diff(_lines(old), _lines(new), path, path)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    # splitlines() would cut at form feeds and other characters that end no line of a file.
    pieces = text.split("\n")
    last = pieces.pop()
    return [f"{piece}\n" for piece in pieces] + ([last] if last else [])
