"""Arguments that can be refused before anything is sent to a session."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agentbay_local.sandbox.problems import InvalidRequest

__all__ = [
    "checked_command",
    "checked_environment",
    "checked_limit",
    "checked_mode",
    "checked_path",
    "checked_timeout",
]

_MODES = ("r", "w", "a", "r+")


def checked_text(argument: str, value: object) -> str:
    """Accept a string that a system call can take.

    Raises:
        InvalidRequest: It is no string, or holds a NUL character or a lone surrogate that
            stands for no byte.
    """
    if not isinstance(value, str):
        raise InvalidRequest(argument, f"must be a string, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidRequest(argument, "must not hold a NUL character; remove it")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest(argument, "must be valid Unicode; remove lone surrogates") from None
    return value


def checked_path(argument: str, value: object) -> str:
    """Accept a path that is not empty."""
    path = checked_text(argument, value)
    if not path:
        raise InvalidRequest(argument, "must not be empty; '.' is the session's home")
    return path


def checked_command(command: object) -> dict[str, object]:
    """Accept a shell line or a program with arguments; return the request's fields."""
    if isinstance(command, str):
        if not command.strip():
            raise InvalidRequest("command", "must not be empty")
        return {"command": checked_text("command", command)}
    if not isinstance(command, Sequence) or isinstance(command, (bytes, bytearray)):
        raise InvalidRequest("command", "must be a string or a sequence of strings")
    if not command or not command[0]:
        raise InvalidRequest("command", "must name a program")
    return {"argv": [checked_text("command", word) for word in command]}


def checked_environment(env: object) -> dict[str, str]:
    """Accept variables whose names and values a process can have."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise InvalidRequest("env", f"must be a mapping, not {type(env).__name__}")
    for name, value in env.items():
        if not checked_text("env", name) or "=" in name:
            raise InvalidRequest("env", f"{name!r} is no name for a variable; leave out '='")
        checked_text("env", value)
    return dict(env)


def checked_timeout(argument: str, value: object) -> float:
    """Accept a positive number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequest(argument, f"must be a number of seconds, not {type(value).__name__}")
    if not math.isfinite(value) or value <= 0:
        raise InvalidRequest(argument, "must be a positive, finite number of seconds")
    return float(value)


def checked_limit(argument: str, value: object) -> int:
    """Accept a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequest(argument, "must be a number of bytes, zero or more")
    return value


def checked_mode(value: object) -> str:
    """Accept the mode of an opened file."""
    if value not in _MODES:
        raise InvalidRequest("mode", f"must be one of {', '.join(_MODES)}, not {value!r}")
    return str(value)
