"""Which process this is, and whether another one still lives.

A number alone does not tell: numbers are given again, after a while and after every boot, and each
container counts its own. So a process is named by its number, when it was started, the boot of its
machine and the space in which its number counts, as far as the system tells.
"""

from __future__ import annotations

import os
import random
import sys
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
# Positions in /proc/PID/stat, counted after the name, which may hold anything.
_STARTED = 19
_STATE = 0


class Fate(Enum):
    """What is known of a process. ``UNKNOWN`` is one that cannot be seen from here."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Process(NamedTuple):
    """A process of this host.

    Attributes:
        run: A name that no other process has.
        pid: Its number.
        start: When it was started, in ticks since the boot; ``""`` where the system does not tell.
        boot: The boot of its machine, or ``""``.
        space: Where its number counts, or ``""``.
    """

    run: str
    pid: int
    start: str = ""
    boot: str = ""
    space: str = ""


def this_process() -> Process:
    """Return this process; a forked child is another one."""
    return _of(os.getpid())


@lru_cache(maxsize=1)
def _of(pid: int) -> Process:
    # Not random.getrandbits: a program that seeds it would give all its processes one name.
    run = f"{random.SystemRandom().getrandbits(64):016x}"
    return Process(run, pid, _start(pid), _boot(), _space())


@lru_cache(maxsize=1)
def default_owner() -> str:
    """Return ``user@host``."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container may run under a number that has no name.
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    return f"{user}@{socket.gethostname()}"


def fate(process: Process) -> Fate:
    """Say whether a process that was written down on this host still lives.

    In doubt it does: whoever asks may delete what belongs to the dead.
    """
    if process.boot != _boot():
        return Fate.DEAD if process.boot else Fate.UNKNOWN
    if process.space != _space():
        return Fate.UNKNOWN
    if not _exists(process.pid):
        return Fate.DEAD
    reused = process.start != _start(process.pid)
    return Fate.DEAD if reused else Fate.ALIVE


def _boot() -> str:
    return _text(_PROC / "sys/kernel/random/boot_id")


def _space() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""


def _start(pid: int) -> str:
    fields = _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    if not fields:
        return ""
    # A zombie does nothing any more; that its number is not free yet does not matter.
    return "ended" if fields[_STATE] in "ZX" else fields[_STARTED]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


if sys.platform == "win32":

    def _exists(pid: int) -> bool:
        # Not os.kill: on Windows, signal 0 is Ctrl-C.
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        limited_information, invalid_parameter = 0x1000, 87
        handle = kernel.OpenProcess(limited_information, False, pid)
        if handle:
            kernel.CloseHandle(handle)
            return True
        return ctypes.get_last_error() != invalid_parameter

else:

    def _exists(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            return True
        return True
