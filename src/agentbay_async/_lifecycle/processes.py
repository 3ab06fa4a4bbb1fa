"""Identity of processes: name this one, and tell whether another one is still running.

A pid alone is not enough: pids are reused, after a while and after every boot, and each container
has its own. So a process is identified by its pid, its start time, the boot of its machine and its
pid namespace, as far as the system provides them.
"""

from __future__ import annotations

import os
import random
import sys
from enum import Enum
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
# Fields of /proc/PID/stat after the name, which may contain spaces and parentheses.
_STARTED = 19
_STATE = 0


class ProcessState(Enum):
    """State of a process. ``UNKNOWN`` means that it cannot be seen from here."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Process(NamedTuple):
    """A process of this host.

    Attributes:
        run: A random name, unique to this process.
        pid: Its pid.
        start: Its start time in ticks since the boot, or ``""`` if unknown.
        boot: The boot id of its machine, or ``""``.
        space: Its pid namespace, or ``""``.
    """

    run: str
    pid: int
    start: str = ""
    boot: str = ""
    space: str = ""


@cache
def this_process() -> Process:
    """Return this process; a forked child gets a new identity."""
    pid = os.getpid()
    # Not random.getrandbits: a program that seeds it would give all its processes the same name.
    run = f"{random.SystemRandom().getrandbits(64):016x}"
    return Process(run, pid, _start(pid), _boot(), _space())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=this_process.cache_clear)


@cache
def default_owner() -> str:
    """Return a name for this user on this host, the same each time, from which neither can be read.

    It is sent to the service. The id of the machine is part of the hash, so that nobody finds the
    user by hashing likely names.
    """
    import getpass
    import hashlib
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container may run under a uid without a name.
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    machine = _text(_MACHINE_ID)
    facts = "\0".join(("agentbay owner", user, socket.gethostname(), machine))
    return f"u-{hashlib.sha256(facts.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"


def process_state(process: Process) -> ProcessState:
    """Return the state of a process of this host.

    A process that may be running counts as alive: the sessions of dead ones get deleted.
    """
    if process.boot != _boot():
        return ProcessState.DEAD if process.boot else ProcessState.UNKNOWN
    if process.space != _space():
        return ProcessState.UNKNOWN
    if not _exists(process.pid):
        return ProcessState.DEAD
    reused = process.start != _start(process.pid)
    return ProcessState.DEAD if reused else ProcessState.ALIVE


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
    # A zombie has ended, although its pid is not free yet.
    return "ended" if fields[_STATE] in "ZX" else fields[_STARTED]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


if sys.platform == "win32":

    def _exists(pid: int) -> bool:
        # Not os.kill: on Windows, signal 0 sends Ctrl-C.
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
