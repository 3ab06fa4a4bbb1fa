"""The limits of sessions as people give them: checked, and read from flags of the command line."""

from __future__ import annotations

import argparse
import re

import attrs

from agentbay_local.sandbox.values import Limits

__all__ = ["add_flags", "checked", "chosen"]

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)(?:i?B)?", re.IGNORECASE)
_DEFAULTS = Limits()
# A session's agent and the watch over it must be able to do their own work.
_LEAST = {"processes": 8, "open_files": 256}


def checked(limits: Limits) -> Limits:
    """Return limits that can be kept.

    Raises:
        ValueError: One is no whole number, or so small that no session could start with it.
    """
    for field in attrs.fields(Limits):
        value, optional = getattr(limits, field.name), "None" in str(field.type)
        if value is None and optional:
            continue
        least = _LEAST.get(field.name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            none = ", or None for no limit" if optional else ""
            raise ValueError(
                f"limits.{field.name} must be a whole number of at least {least}{none}, "
                f"not {value!r}"
            )
    return limits


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each limit that people set."""
    group = parser.add_argument_group("limits of each session", "sizes may end in K, M, G or T")
    group.add_argument(
        "--memory",
        type=_size,
        default=_DEFAULTS.memory_bytes,
        help="memory of all its processes; the largest is killed beyond it (4G)",
    )
    group.add_argument(
        "--disk",
        type=_size,
        default=_DEFAULTS.disk_bytes,
        help="disk space of its files; its processes are killed beyond it (10G)",
    )
    group.add_argument(
        "--processes",
        type=_count,
        default=_DEFAULTS.processes,
        help="processes and threads at once (%(default)s)",
    )
    group.add_argument(
        "--open-files",
        type=_count,
        default=_DEFAULTS.open_files,
        help="open files of one process (%(default)s)",
    )
    group.add_argument(
        "--cpu-seconds",
        type=_count,
        default=_DEFAULTS.cpu_seconds,
        help="processor time of one process, which is killed beyond it (no limit)",
    )


def chosen(flags: argparse.Namespace) -> Limits:
    """Return the limits that the flags of `add_flags` name."""
    return Limits(
        processes=flags.processes,
        open_files=flags.open_files,
        memory_bytes=flags.memory,
        disk_bytes=flags.disk,
        cpu_seconds=flags.cpu_seconds,
    )


def _size(text: str) -> int:
    """Read a number of bytes.

    Example:
        >>> _size("512M") == 512 * 1024**2
        True
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 512M or 4G")
    return int(found[1]) * _UNITS[found[2].upper()]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)
