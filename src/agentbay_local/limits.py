"""Limits of sessions: check them, and read them from command-line flags."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_flags", "checked", "from_flags"]

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)(?:i?B)?", re.IGNORECASE)
_DEFAULTS = Limits()
# The agent of a session needs some of these for itself.
_MINIMUM = {"processes": 8, "open_files": 256, "files": 1000}
# The least that the kernel accepts is a hundredth of a processor.
_LEAST_CPUS, _MOST_CPUS = 0.01, 10_000


def checked(limits: Limits) -> Limits:
    """Return `limits` if they are valid.

    Raises:
        ValueError: A limit is not a whole number, or too small for a session to start.
    """
    for field in attrs.fields(Limits):
        value, optional = getattr(limits, field.name), "None" in str(field.type)
        if (value is None and optional) or field.name == "cpus":
            continue
        minimum = _MINIMUM.get(field.name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            none = ", or None for no limit" if optional else ""
            raise ValueError(
                f"limits.{field.name} must be a whole number of at least {minimum}{none}, "
                f"not {value!r}"
            )
    if limits.cpus is not None and not _is_share(limits.cpus):
        raise ValueError(
            f"limits.cpus must be a number of at least {_LEAST_CPUS}, or None for no limit, "
            f"not {limits.cpus!r}"
        )
    return limits


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return _LEAST_CPUS <= value <= _MOST_CPUS


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for limits to a parser."""
    group = parser.add_argument_group("limits of each session", "sizes may end in K, M, G or T")
    for flag, field, parse, meaning in _FLAGS:
        default = getattr(_DEFAULTS, field)
        group.add_argument(flag, type=parse, default=default, help=meaning)


def from_flags(flags: argparse.Namespace) -> Limits:
    """Return the limits from the flags of `add_flags`."""
    return Limits(
        processes=flags.processes,
        open_files=flags.open_files,
        memory_bytes=flags.memory,
        disk_bytes=flags.disk,
        files=flags.files,
        cpu_seconds=flags.cpu_seconds,
        cpus=flags.cpus,
    )


def _size(text: str) -> int:
    """Parse a number of bytes.

    Example:
        >>> _size("512M") == 512 * 1024**2
        True
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it as 512M or 4G")
    return int(found[1]) * _UNITS[found[2].upper()]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


_FLAGS: tuple[tuple[str, str, Callable[[str], float], str], ...] = (
    (
        "--memory",
        "memory_bytes",
        _size,
        "memory of all its processes; the largest is killed beyond it (4G)",
    ),
    (
        "--disk",
        "disk_bytes",
        _size,
        "disk space of its files; its processes are killed beyond it (10G)",
    ),
    (
        "--files",
        "files",
        _count,
        "its files and directories; its processes are killed beyond it (%(default)s)",
    ),
    ("--processes", "processes", _count, "processes and threads at once (%(default)s)"),
    ("--open-files", "open_files", _count, "open files of one process (%(default)s)"),
    (
        "--cpu-seconds",
        "cpu_seconds",
        _count,
        "processor time of one process, which is killed beyond it (no limit)",
    ),
    (
        "--cpus",
        "cpus",
        float,
        "processors that it may use at once, such as 1.5; needs control groups (no limit)",
    ),
)
