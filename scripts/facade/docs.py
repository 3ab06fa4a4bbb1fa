"""Turns docstrings to the blocking colour: names everywhere, ``await`` in code only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_CODE_WORDS = [
    (re.compile(r"\bawait "), ""),
    (re.compile(r"\basync (with|for|def)\b"), r"\1"),
    (re.compile(r"\basyncio\.run\((.*)\)"), r"\1"),
]
_AWAITED = re.compile(r"(?<!\w)\(await ")
_FENCE = re.compile(r"^\s*```")
_DOCTEST = re.compile(r"^\s*(>>>|\.\.\.)( |$)")
_INLINE = re.compile(r"`+[^`]+`+")


def turn(text: str, names: dict[str, str]) -> str:
    """Return the docstring for the blocking side.

    Args:
        text: The docstring, without its indentation.
        names: What to write in place of a word: classes and the package.

    Example:
        >>> turn("Use `await s.run()`; to await is not needed.", {})
        'Use `s.run()`; to await is not needed.'
    """
    lines = _blocking_lines(text.splitlines())
    return "\n".join(_renamed(line, names) for line in lines if line is not None)


def _renamed(line: str, names: dict[str, str]) -> str:
    return re.sub(r"\b\w+\b", lambda word: names.get(word[0], word[0]), line)


def _blocking_lines(lines: Iterable[str]) -> Iterable[str | None]:
    """Yield each line with its code turned, ``None`` for one that has nothing left to say."""
    fenced = False
    literal: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if _FENCE.match(line):
            fenced = not fenced
        is_code = fenced or literal is not None or bool(_DOCTEST.match(line))
        yield _turn_code(line) if is_code else _INLINE.sub(lambda m: _turn_code(m[0]) or "", line)
        if literal is None and not fenced and line.rstrip().endswith("::"):
            literal = indent


def _turn_code(code: str) -> str | None:
    if code.strip().removeprefix(">>> ") == "import asyncio":
        return None
    code = _without_parentheses(code)
    for pattern, replacement in _CODE_WORDS:
        code = pattern.sub(replacement, code)
    return code


def _without_parentheses(code: str) -> str:
    """Write ``(await x).y`` as ``x.y``, with its parentheses matched."""
    start = _AWAITED.search(code)
    if start is None:
        return code
    depth = 0
    for end in range(start.start(), len(code)):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        if depth == 0:
            inner, rest = code[start.end() : end], code[end + 1 :]
            bare = f"{inner}{rest}" if rest.startswith((".", "[")) else f"({inner}){rest}"
            return code[: start.start()] + _without_parentheses(bare)
    return code
