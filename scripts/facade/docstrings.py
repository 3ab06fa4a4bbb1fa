"""Docstrings: from the async form to the blocking form."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_CODE_WORDS = [
    (re.compile(r"\bawait "), ""),
    (re.compile(r"\basync (with|for|def)\b"), r"\1"),
    (re.compile(r"\basyncio\.run\((.*)\)"), r"\1"),
]
_AWAIT_IN_PARENTHESES = re.compile(r"(?<!\w)\(await ")
_FENCE = re.compile(r"^\s*```")
_DOCTEST = re.compile(r"^\s*(>>>|\.\.\.)( |$)")
_INLINE_CODE = re.compile(r"`+[^`]+`+")
_ATTRIBUTE = re.compile(r"^(\w+)(?: \(.*\))?: (.*)$")


def to_blocking(text: str, names: dict[str, str]) -> str:
    """Return the docstring for the blocking package.

    Names are replaced everywhere; ``await`` and the like only in code, because a program cannot
    rewrite prose. Prose in the source therefore has to suit both packages; a test checks that.

    Args:
        text: The docstring, without its indentation.
        names: Replacements of whole words: the classes and the package.

    Example:
        >>> to_blocking("Run `await s.run()` to await it.", {})
        'Run `s.run()` to await it.'
    """
    lines = _convert_lines(text.splitlines())
    return "\n".join(_rename(line, names) for line in lines if line is not None)


def _rename(line: str, names: dict[str, str]) -> str:
    return re.sub(r"\b\w+\b", lambda word: names.get(word[0], word[0]), line)


def _convert_lines(lines: Iterable[str]) -> Iterable[str | None]:
    """Yield each line with its code converted; ``None`` for a line to leave out."""
    in_fence = False
    literal_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal_indent is not None and line.strip() and indent <= literal_indent:
            literal_indent = None
        if _FENCE.match(line):
            in_fence = not in_fence
        if in_fence or literal_indent is not None or _DOCTEST.match(line):
            yield _convert_code(line)
        else:
            yield _INLINE_CODE.sub(lambda code: _convert_code(code[0]) or "", line)
        if literal_indent is None and not in_fence and line.rstrip().endswith("::"):
            literal_indent = indent


def _convert_code(code: str) -> str | None:
    if code.strip().removeprefix(">>> ") == "import asyncio":
        return None
    code = _unwrap_await(code)
    for pattern, replacement in _CODE_WORDS:
        code = pattern.sub(replacement, code)
    return code


def _unwrap_await(code: str) -> str:
    """Return ``(await x).y`` as ``x.y``."""
    start = _AWAIT_IN_PARENTHESES.search(code)
    if start is None:
        return code
    depth = 0
    for end in range(start.start(), len(code)):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        if depth == 0:
            inner, rest = code[start.end() : end], code[end + 1 :]
            bare = f"{inner}{rest}" if rest.startswith((".", "[")) else f"({inner}){rest}"
            return code[: start.start()] + _unwrap_await(bare)
    return code


def quote(text: str) -> str:
    """Return a docstring as source text."""
    if '"""' in text:
        raise ValueError(f"a docstring contains three quotes: {text[:60]!r}")
    raw = "r" if "\\" in text else ""
    return f'{raw}"""{text}\n"""' if "\n" in text else f'{raw}"""{text}"""'


def attributes(text: str) -> dict[str, str]:
    """Return the descriptions in the ``Attributes:`` section of a docstring, by name."""
    found: dict[str, str] = {}
    name = ""
    for line in _section(text, "Attributes:"):
        entry = _ATTRIBUTE.match(line)
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return {name: _sentence(description) for name, description in found.items()}


def _section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    if title not in lines:
        return []
    inside: list[str] = []
    for line in lines[lines.index(title) + 1 :]:
        if line and not line.startswith(" "):
            break
        inside.append(line)
    return textwrap.dedent("\n".join(inside)).splitlines()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
