"""Call the functions of the C library, and the system calls that it has no function for."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from typing import Any

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library by its name; raise OSError, with that name, if it fails."""
    return checked(int(getattr(libc, name)(*arguments)), name)


def system_call(number: int, *arguments: Any) -> int:
    """Make a system call by its number; raise OSError if it fails."""
    return checked(int(libc.syscall(number, *arguments)), f"system call {number}")


def checked(answer: int, name: str) -> int:
    """Return the answer of a call; raise OSError, with the name of the call, if it is an error."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return answer
