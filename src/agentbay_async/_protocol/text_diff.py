"""Unified diffs of texts, for the client and the local service."""

from __future__ import annotations

import difflib


def unified_diff(path: str, old: str, new: str) -> str:
    """Return the unified diff of two versions of a file, as ``patch`` reads it."""
    lines = difflib.unified_diff(_lines(old), _lines(new), path, path)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    # Not splitlines(), which also splits at form feeds and other characters.
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])
