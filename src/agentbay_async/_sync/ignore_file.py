"""Patterns of files that are left out, in the language of ``.gitignore``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class IgnorePatterns:
    """Patterns, of which the last that matches decides.

    Example:
        >>> patterns = IgnorePatterns(["*.log", "!keep.log", "build/", "/top", "a/**/z"])
        >>> patterns.is_ignored("deep/x.log"), patterns.is_ignored("keep.log")
        (True, False)
        >>> patterns.is_ignored("src/build/x.o"), patterns.is_ignored("src/top")
        (True, False)
        >>> patterns.is_ignored("top"), patterns.is_ignored("a/b/c/z")
        (True, True)
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules = [rule for line in lines if (rule := _parse(line)) is not None]

    def is_ignored(self, path: str) -> bool:
        """Return whether a file is left out, or a directory above it.

        Args:
            path: The path of the file from the root, with ``/`` between its parts.
        """
        parts = path.split("/")
        places = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return any(self._matches(place, is_directory=place != path) for place in places)

    def _matches(self, path: str, *, is_directory: bool) -> bool:
        ignored = False
        for pattern, is_ignored, only_directories in self._rules:
            if (is_directory or not only_directories) and pattern.fullmatch(path):
                ignored = is_ignored
        return ignored


def _parse(line: str) -> tuple[re.Pattern[str], bool, bool] | None:
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    is_ignored = not text.startswith("!")
    text = text.removeprefix("!")
    only_directories = text.endswith("/")
    text = text.rstrip("/")
    # A slash in the middle or at the beginning ties a pattern to the root.
    prefix = "" if "/" in text else "(?:.*/)?"
    return re.compile(prefix + _translate(text.lstrip("/"))), is_ignored, only_directories


def _translate(pattern: str) -> str:
    """Return a regular expression; a wildcard does not match a slash, except ``**``."""
    tokens = re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?|\[!?[^\]]+\])", pattern)
    return "".join(_WILDCARDS.get(token) or _class_or_text(token) for token in tokens)


_WILDCARDS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _class_or_text(token: str) -> str:
    if not (token.startswith("[") and token.endswith("]")):
        return re.escape(token)
    body = token[1:-1]
    negated = body.startswith("!")
    inner = body.removeprefix("!").replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
    return f"[{'^/' if negated else ''}{inner}]"
