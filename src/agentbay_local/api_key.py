"""The API key of ``agentbay local``: from a file, standard input or the environment.

Every user of a machine can read the arguments of its processes, and programs in sessions without a
process namespace can, too. So a process that has got the key as an argument or in its environment
starts itself again without it, and hands it over in a pipe.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["KEY_VARIABLE", "add_flags", "read_key", "without_key", "without_key_options"]

KEY_VARIABLE = "AGENTBAY_API_KEY"
_OPTION = "--api-key"
_FILE_OPTION = "--api-key-file"
_MAX_BYTES = 4096
_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the key to a parser."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        _FILE_OPTION,
        metavar="FILE",
        help="file with the key that clients must send; '-' is standard input "
        f"(default: {KEY_VARIABLE}, or a random key)",
    )
    group.add_argument(
        _OPTION,
        metavar="KEY",
        help="the key itself; other users of this machine can read it for a moment, so prefer "
        f"{_FILE_OPTION}",
    )


def read_key(flags: argparse.Namespace, *, owns_process: bool) -> str | None:
    """Return the key that the flags or the environment give; None if there is none.

    Args:
        flags: The flags of `add_flags`.
        owns_process: Whether this process is the command line, so that it may start itself again.

    Raises:
        ValueError: The key is blank or too long, or its file cannot be read.
    """
    if flags.api_key_file is not None:
        return _checked(_read(flags.api_key_file), _FILE_OPTION)
    if flags.api_key is not None:
        key = _checked(flags.api_key, _OPTION)
        sys.stderr.write(
            f"Warning: {_OPTION} showed the key to every user of this machine for a moment; use "
            f"{_FILE_OPTION} or {KEY_VARIABLE}.\n"
        )
    else:
        key = os.environ.get(KEY_VARIABLE, "")
    if key and owns_process:
        _restart(key)
    return key or None


def without_key(arguments: Sequence[str]) -> list[str]:
    """Return arguments without the option ``--api-key`` and its value.

    Example:
        >>> without_key(["local", "--api-key", "k", "--port", "1", "--api-key=k"])
        ['local', '--port', '1']
    """
    return _without(arguments, _OPTION)


def without_key_options(arguments: Sequence[str]) -> list[str]:
    """Return arguments without any option of `add_flags`, and their values.

    Example:
        >>> without_key_options(["--api-key-file", "-", "--port", "1", "--api-key=k"])
        ['--port', '1']
    """
    return _without(_without(arguments, _OPTION), _FILE_OPTION)


def _without(arguments: Sequence[str], option: str) -> list[str]:
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument == option:
            next(rest, None)
        elif not argument.startswith(f"{option}="):
            kept.append(argument)
    return kept


def _restart(key: str) -> NoReturn:
    """Replace this process by the same command without the key in arguments and environment."""
    readable, writable = os.pipe()
    os.write(writable, key.encode())
    os.close(writable)
    os.set_inheritable(readable, True)
    arguments = [*without_key(sys.orig_argv[1:]), _FILE_OPTION, f"/dev/fd/{readable}"]
    environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606  # no shell


def _read(path: str) -> str:
    inherited = _DESCRIPTOR.fullmatch(path)
    try:
        if path == "-":
            content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            # Closing the descriptor itself, so that no child of the service inherits it.
            with open(int(inherited[1]) if inherited else path, "rb") as file:
                content = file.read(_MAX_BYTES + 1)
                _warn_if_public(path, os.fstat(file.fileno()))
    except OSError as error:
        raise ValueError(f"{_FILE_OPTION}: {path}: {error.strerror}") from None
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError(f"{_FILE_OPTION}: {path}: the key must be ASCII text") from None


def _warn_if_public(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        sys.stderr.write(f"Warning: other users can access {path}; run chmod 600 {path}\n")


def _checked(key: str, option: str) -> str:
    key = key.strip()
    if not key or len(key) > _MAX_BYTES or not key.isprintable():
        raise ValueError(f"{option}: the key must be one line of 1 to {_MAX_BYTES} characters")
    return key
