"""Unified diffs of texts, for the client and the local service."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTEXT = 3
# Finding the shortest diff can take the square of this number of steps.
_MOST_LINES = 4_000


def unified_diff(path: str, old: str, new: str) -> str:
    """Return the unified diff of two versions of a file, as ``patch`` reads it."""
    before, after = _lines(old), _lines(new)
    if len(before) + len(after) <= _MOST_LINES:
        lines = difflib.unified_diff(before, after, path, path)
    else:
        lines = _one_hunk(path, before, after)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _one_hunk(path: str, before: list[str], after: list[str]) -> Iterator[str]:
    """Yield a diff with one hunk, from the first line that differs to the last."""
    start = _common(before, after)
    same = _common(before[start:][::-1], after[start:][::-1])
    old, new = before[start : len(before) - same], after[start : len(after) - same]
    if not old and not new:
        return
    head, tail = before[max(start - _CONTEXT, 0) : start], before[len(before) - same :][:_CONTEXT]
    around = len(head) + len(tail)
    yield f"--- {path}\n"
    yield f"+++ {path}\n"
    first = start - len(head)
    yield f"@@ -{_range(first, len(old) + around)} +{_range(first, len(new) + around)} @@\n"
    for sign, lines in ((" ", head), ("-", old), ("+", new), (" ", tail)):
        yield from (sign + line for line in lines)


def _common(one: list[str], other: list[str]) -> int:
    """Return how many lines both begin with."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _range(first: int, count: int) -> str:
    if count == 1:
        return str(first + 1)
    return f"{first + 1 if count else first},{count}"


def _lines(text: str) -> list[str]:
    # Not splitlines(), which also splits at form feeds and other characters.
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])
