"""Checks of what a script in a page has answered: the page can replace what the script uses."""

from __future__ import annotations

import math
from typing import Any

from anthropic.tools import ToolError

__all__ = ["as_count", "as_items", "as_number", "as_record", "as_text", "as_tree"]


def as_record(answer: object) -> dict[Any, Any]:
    """Return an answer that must be an object.

    Raises:
        ToolError: It is none, as the page disturbed the script; so for all functions here.
    """
    if not isinstance(answer, dict):
        raise _disturbed()
    return answer


def as_items(answer: object, most: int | None = None, *, exactly: int | None = None) -> list[Any]:
    """Return an answer that must be a list, perhaps of an exact length; it is cut at the most."""
    if not isinstance(answer, list) or exactly not in (None, len(answer)):
        raise _disturbed()
    return answer[:most]


def as_text(answer: object, longest: int) -> str:
    """Return an answer that must be a text, cut at a number of characters."""
    if not isinstance(answer, str):
        raise _disturbed()
    return answer[:longest]


def as_number(answer: object) -> float:
    """Return an answer that must be a finite number."""
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        raise _disturbed()
    if not abs(answer) < math.inf:  # nor NaN, with which no comparison holds
        raise _disturbed()
    return answer


def as_count(answer: object) -> int:
    """Return an answer that must be a whole number from 0, of 31 bits."""
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < 2**31:
        raise _disturbed()
    return answer


def as_tree(answer: object, limit: int) -> tuple[list[tuple[int, str, str | None]], bool]:
    """Return the lines of a tree, and whether they were cut.

    A line is its depth, its text, and the reference of the frame that it shows or ``None``. The
    lines have `limit` characters at most with their indents of two, as the script counts them.
    """
    record, size = as_record(answer), 0
    lines: list[tuple[int, str, str | None]] = []
    for item in as_items(record.get("lines"), limit):
        depth, text, reference = as_items(item, exactly=3)
        reference = None if reference is None else as_text(reference, limit)
        line = as_count(depth), as_text(text, limit), reference
        size += len(line[1]) + 2 * line[0] + 1
        if size > limit:
            return lines, True
        lines.append(line)
    return lines, record.get("cut") is not False


def _disturbed() -> ToolError:
    return ToolError("the page disturbed the reading of it: use screenshot, or reload the page")
