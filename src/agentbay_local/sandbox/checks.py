"""Check arguments before anything is sent to a session."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping, Sequence

from agentbay_local.sandbox.errors import InvalidRequest

__all__ = [
    "check_descriptors",
    "check_environment",
    "check_limit",
    "check_mode",
    "check_mount_path",
    "check_path",
    "check_port",
    "check_program",
    "check_size",
    "check_timeout",
]

_MODES = ("r", "w", "a", "r+")
_TAKEN = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "usr"}
_DESCRIPTORS = 4
LARGEST_TERMINAL = 500


def check_text(argument: str, value: object) -> str:
    """Return a string if a system call can take it.

    Raises:
        InvalidRequest: It is not a string, or it has a NUL character or a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidRequest(argument, f"must be a string, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidRequest(argument, "must not contain a NUL character; remove it")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest(argument, "must be valid Unicode; remove lone surrogates") from None
    return value


def check_path(argument: str, value: object) -> str:
    """Return a path if it is not empty."""
    path = check_text(argument, value)
    if not path:
        raise InvalidRequest(argument, "must not be empty; '.' is the session's home")
    return path


def check_mount_path(argument: str, value: str) -> str:
    """Return an absolute path inside if a directory of the host can be mounted there."""
    path = check_path(argument, value)
    if path != posixpath.normpath("/" + path.strip("/")) or path == "/":
        raise InvalidRequest(argument, f"{path!r} must be absolute, without '.', '..' or '//'")
    if path.split("/")[1] in _TAKEN:
        raise InvalidRequest(argument, f"{path!r} belongs to the system; choose a path below /opt")
    return path


def check_program(command: object, cwd: object, env: object) -> dict[str, object]:
    """Return the fields of a request for a shell line, or for a program with arguments."""
    fields: dict[str, object] = {}
    if isinstance(command, str):
        if not command.strip():
            raise InvalidRequest("command", "must not be empty")
        fields["command"] = check_text("command", command)
    elif not isinstance(command, Sequence) or isinstance(command, (bytes, bytearray)):
        raise InvalidRequest("command", "must be a string or a sequence of strings")
    elif not command or not command[0]:
        raise InvalidRequest("command", "must begin with the name of a program")
    else:
        fields["argv"] = [check_text("command", word) for word in command]
    fields["env"] = {} if env is None or env == {} else check_environment(env)
    fields["cwd"] = None if cwd is None else check_path("cwd", cwd)
    return fields


def check_environment(env: object) -> dict[str, str]:
    """Return variables if a process can have their names and values."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise InvalidRequest("env", f"must be a mapping, not {type(env).__name__}")
    for name, value in env.items():
        if not check_text("env", name) or "=" in name:
            raise InvalidRequest(
                "env",
                f"{name!r} is not a valid name of a variable; it must not be empty or contain '='",
            )
        check_text("env", value)
    return dict(env)


def check_timeout(argument: str, value: object) -> float:
    """Return a positive number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequest(argument, f"must be a number of seconds, not {type(value).__name__}")
    if not math.isfinite(value) or value <= 0:
        raise InvalidRequest(argument, "must be a positive, finite number of seconds")
    return float(value)


def check_limit(argument: str, value: object) -> int:
    """Return a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequest(argument, "must be a number of bytes, zero or more")
    return value


def check_mode(value: object) -> str:
    """Return the mode of an opened file."""
    if value not in _MODES:
        raise InvalidRequest("mode", f"must be one of {', '.join(_MODES)}, not {value!r}")
    return str(value)


def check_port(value: object) -> int:
    """Return the number of a TCP port."""
    return _whole("port", value, 65535)


def check_size(argument: str, value: object) -> int:
    """Return the width or height of a terminal."""
    return _whole(argument, value, LARGEST_TERMINAL)


def check_descriptors(fds: Sequence[int]) -> list[int]:
    """Return the descriptors that a program gets beside its streams."""
    if len(fds) > _DESCRIPTORS:
        raise InvalidRequest("fds", f"must be at most {_DESCRIPTORS} descriptors")
    return list(fds)


def _whole(argument: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidRequest(argument, f"must be a whole number from 1 to {most}")
    return value
