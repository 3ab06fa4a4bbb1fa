"""File access with the rights of a session's user, in a service that runs as root.

A service that is root would otherwise lend its privileges to the session: the kernel checks some
writes, such as those to settings below /proc/sys, against the writer and not the opener.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import IsolationUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["acting_as"]

# setgroups, setresgid and setresuid. The functions of libc change all threads of the process; only
# the system calls themselves change one.
_GENERIC = (159, 149, 147)
_CALLS = {
    "x86_64": (116, 119, 117),
    "aarch64": _GENERIC,
    "loongarch64": _GENERIC,
    "riscv64": _GENERIC,
}
_KEEP = -1


@contextmanager
def acting_as(uid: int | None) -> Iterator[None]:
    """Give this thread the rights of a user and group, and no capabilities, for a `with` block.

    Not for the main thread: the kernel forgets there that the process is to die with its parent.

    Args:
        uid: The user and group; None changes nothing, and so does the present user.

    Raises:
        IsolationUnavailable: The system calls of this machine are not known.

    Example:
        >>> with acting_as(None):
        ...     pass
    """
    if uid is None or uid == os.geteuid():
        yield
        return
    own, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        _set_groups([])
        _set_effective(1, uid)
        # Last, because it takes the capabilities away.
        _set_effective(2, uid)
        yield
    finally:
        _set_effective(2, own)
        _set_effective(1, group)
        _set_groups(groups)


def _set_groups(groups: Sequence[int]) -> None:
    _call(0, len(groups), (ctypes.c_uint32 * len(groups))(*groups))


def _set_effective(which: int, number: int) -> None:
    """Set the effective group (1) or user (2); the real one stays, to return to."""
    _call(which, _KEEP, number, _KEEP)


def _call(which: int, *arguments: object) -> None:
    numbers = _CALLS.get(platform.machine())
    if numbers is None:
        raise IsolationUnavailable(
            f"the service does not know how to give up root on {platform.machine()}.",
            "run the service as an ordinary user.",
        )
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    if _libc().syscall(ctypes.c_long(numbers[which]), *given) != 0:
        number = ctypes.get_errno() or errno.EPERM
        raise OSError(number, os.strerror(number))


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
