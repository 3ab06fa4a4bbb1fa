"""Kinds of file systems: those that only store files, and those that are doors to the kernel.

A session opens a file and the service reads or writes it. On a disk or in memory that is all. In
/proc and /sys the kernel looks at who writes, which would be the service.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentbay_local.sandbox.values import SandboxSpec

__all__ = ["kind_of", "kinds_of_session"]

TMPFS = 0x01021994
"""The kind of memory file systems, such as /dev/shm, from `linux/magic.h`."""

LARGEST_STATFS = 256


def kinds_of_session(spec: SandboxSpec) -> frozenset[int]:
    """Return the kinds of file systems that hold files of a session or of the system's programs.

    Not their numbers: parts of one file system can have several (btrfs, overlayfs).
    """
    found = {TMPFS}
    paths = [str(path) for path in (spec.root, "/usr", "/etc", *spec.read_only.values())]
    for path in paths:
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found.add(kind_of(directory))
        finally:
            os.close(directory)
    return frozenset(found)


def kind_of(fd: int) -> int:
    """Return the kind of the file system of an open file, a number from `linux/magic.h`.

    Example:
        >>> fd = os.open("/proc/self/stat", os.O_RDONLY)
        >>> hex(kind_of(fd))
        '0x9fa0'
        >>> os.close(fd)
    """
    facts = ctypes.create_string_buffer(LARGEST_STATFS)
    if _libc().fstatfs(fd, facts) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ctypes.c_long.from_buffer(facts).value


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
