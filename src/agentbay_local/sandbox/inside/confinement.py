"""Restrict this process and its children by Landlock and a filter of system calls.

For machines without user namespaces. First the agent forks a keeper that stays unrestricted. It
kills every process of the session when the agent or the service has ended, even if the session has
stopped the agent. On a new enough kernel nothing inside can signal the keeper.
"""

from __future__ import annotations

import binascii
import ctypes
import os
import select
import struct

from . import processes
from .system_calls import libc, system_call

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import socket
    from typing import Any

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ABI_ONLY, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
ALL_TCP, ALL_SCOPES = 3, 3
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
RIGHTS = {
    "all": (1 << 16) - 1,
    "read": EXECUTE | READ_FILE | READ_DIR,
    "device": READ_FILE | WRITE_FILE | IOCTL_DEVICE,
}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
FILTER = 2


def abi() -> int:
    """Return the version of Landlock this kernel has; 0 when it has none."""
    version = int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(ABI_ONLY)))
    return max(0, version)


def enter(settings: dict[str, Any], channel: socket.socket) -> None:
    """Fork the keeper and restrict this process.

    The order matters. Without NO_NEW_PRIVS the kernel refuses both restrictions to an ordinary
    user, and the filter comes last, because it forbids the calls before it.
    """
    processes.adopt_orphans()
    inner = os.fork()
    if inner:
        keep(inner, channel)
    settings["oom_score"] = processes.reopen_oom_score(settings["oom_score"])
    processes.set_option(PR_SET_NO_NEW_PRIVS, 1)
    restrict(settings["rules"])
    install_filter(settings)


def install_filter(settings: dict[str, Any], *_: object) -> None:
    """Filter the system calls of this process and its children."""
    program = bytearray(binascii.a2b_base64(settings["filter"]))
    install = bytearray(struct.pack("HxxxxxxP", len(program) // 8, address(program)))
    processes.set_option(PR_SET_SECCOMP, FILTER, address(install))


def address(data: bytearray) -> int:
    """Return where some bytes are in memory, as long as they exist and keep their size."""
    return ctypes.addressof(ctypes.c_char.from_buffer(data))


def keep(inner: int, channel: socket.socket) -> None:
    """Wait until the agent or the service has ended, and kill the remaining processes."""
    ended = processes.children_wakeup()
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(channel, 0)  # reports nothing but the end of the other side
    while True:
        for fd, _ in poll.poll():
            if fd != ended:
                leave()
            os.read(fd, 4096)
            if inner in processes.collect():
                leave()


def leave() -> None:
    """Kill every process below this one, and end this one."""
    processes.kill_all()
    os._exit(0)


def restrict(rules: list[tuple[str, str]]) -> None:
    """Allow the rights of the rules beneath their paths, and nothing else."""
    version = abi()
    files = ALL_FILES[max(known for known in ALL_FILES if known <= version)]
    handled = struct.pack("QQQ", files, ALL_TCP, ALL_SCOPES)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = system_call(CREATE_RULESET, handled, ctypes.c_size_t(size), ctypes.c_uint(0))
    for kind, path in rules:
        allow(ruleset, kind, files, path)
    system_call(RESTRICT_SELF, ruleset, ctypes.c_uint(0))
    os.close(ruleset)


def allow(ruleset: int, kind: str, files: int, path: str) -> None:
    """Allow rights beneath one path; for a file, only those that files have."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        if kind == "all":
            raise
        return  # it does not exist, or this user cannot read it anyway
    rights = RIGHTS[kind] & files
    if not os.path.isdir(path):
        rights &= OF_A_FILE
    beneath = struct.pack("=Qi", rights, fd)
    system_call(ADD_RULE, ruleset, ctypes.c_int(PATH_BENEATH), beneath, ctypes.c_uint(0))
    os.close(fd)
