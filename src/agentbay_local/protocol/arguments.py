"""Read the arguments of a tool call and name the one that is wrong."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, overload

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Arguments", "ToolError"]

_MISSING = object()


class ToolError(Exception):
    """A tool call fails: its text is the answer, which is marked as an error."""


@attrs.frozen
class Arguments:
    """The arguments of one call.

    Example:
        >>> Arguments("shell", {"command": "ls"}).text("command")
        'ls'
    """

    tool: str
    values: dict[str, Any]

    @overload
    def text(self, name: str, default: str = ...) -> str: ...

    @overload
    def text(self, name: str, default: None) -> str | None: ...

    def text(self, name: str, default: Any = _MISSING) -> str | None:
        """Return a string, which is required unless there is a default.

        Raises:
            ToolError: The argument is missing or not a string.
        """
        value = self.values.get(name)
        if value is None and default is not _MISSING:
            return None if default is None else str(default)
        if not isinstance(value, str):
            raise self._mistyped(name, "a string")
        return value

    def content(self, name: str) -> bytes | memoryview:
        """Return bytes, which came as they are or as base64.

        Raises:
            ToolError: The argument is missing or neither of the two.
        """
        value = self.values.get(name)
        if isinstance(value, memoryview):
            return value
        try:
            return base64.b64decode(self.text(name), validate=True)
        except ValueError as error:
            raise self.wrong(name, "must be base64") from error

    def path(self, name: str) -> str:
        """Return a path: a string that is not empty and has no NUL byte.

        Raises:
            ToolError: The argument is missing or not a path.
        """
        path = self.text(name)
        if not path or "\0" in path:
            raise self.wrong(name, "must be a path that is not empty and has no NUL")
        return path

    def count(self, name: str, default: int, top: int = 2**62) -> int:
        """Return a whole number from 0 to `top`.

        Raises:
            ToolError: The argument is not a number in that range.
        """
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, int):
            raise self._mistyped(name, "a whole number")
        if isinstance(value, bool) or not 0 <= value <= top:
            raise self.wrong(name, f"must be a whole number from 0 to {top}")
        return value

    def integer(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number from `least` to `most`, required unless there is a default.

        Raises:
            ToolError: The argument is missing or not a number in that range.
        """
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._mistyped(name, "a whole number")
        if not least <= value <= most:
            raise self.wrong(name, f"must be a whole number from {least} to {most}")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """Return one of some strings.

        Raises:
            ToolError: The argument is something else.
        """
        value = self.text(name, default)
        if value not in allowed:
            raise self.wrong(name, f"must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._mistyped(name, "true or false")
        return default if value is None else value

    def texts(self, name: str) -> list[str]:
        """Return a list of strings.

        Raises:
            ToolError: The argument is missing or not such a list.
        """
        values = self.values.get(name)
        if not isinstance(values, list):
            raise self._mistyped(name, "a list of strings")
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(name, "must be a list of strings")
        return list(values)

    def text_map(self, name: str) -> dict[str, str]:
        """Return an object of strings, empty by default.

        Raises:
            ToolError: The argument is not such an object.
        """
        values = self.values.get(name)
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise self._mistyped(name, "an object of strings")
        if not all(isinstance(value, str) for value in values.values()):
            raise self.wrong(name, "must be an object of strings")
        return dict(values)

    def wrong(self, name: str, why: str) -> ToolError:
        """Return an error that names an argument; `why` completes the sentence."""
        return ToolError(f"Invalid argument of tool {self.tool}: {name} {why}")

    def _mistyped(self, name: str, wanted: str) -> ToolError:
        value = self.values.get(name)
        if value is None:
            return self.wrong(name, "is required")
        return self.wrong(name, f"must be {wanted}, not {type(value).__name__}")
