"""Opening a path below a directory as if that directory were "/", on its own mount alone."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat

__all__ = ["kernel_resolves", "open_beneath"]

SYS_OPENAT2 = 437
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10
TRIES = 100


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open a path inside a root directory.

    Links and ".." are resolved within the root (RESOLVE_IN_ROOT), except the links of /proc, which
    lead anywhere (RESOLVE_NO_MAGICLINKS). Nothing that is mounted below the root is entered: that
    is EXDEV (RESOLVE_NO_XDEV). On kernels without openat2 (before 5.6), any link in the path is
    refused with ELOOP instead.

    Args:
        root: Descriptor of the root directory.
        path: Absolute or relative, both from the root.
        flags: As for `os.open`.
        mode: Permissions of a created file.

    Raises:
        OSError: As for `os.open`.
    """
    if kernel_resolves():
        return _openat2(root, path, flags, mode if flags & os.O_CREAT else 0)
    return _walk(root, path, flags, mode)


@functools.lru_cache(maxsize=1)
def kernel_resolves() -> bool:
    """Return whether this kernel has openat2, and no filter of system calls forbids it."""
    here = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        os.close(_openat2(here, ".", os.O_PATH | os.O_CLOEXEC, 0))
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return False
    finally:
        os.close(here)
    return True


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root: int, path: str, flags: int, mode: int) -> int:
    how = _How(flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)
    name = os.fsencode(path)
    for _ in range(TRIES):
        fd: int = _libc().syscall(
            SYS_OPENAT2, root, ctypes.c_char_p(name), ctypes.byref(how), ctypes.sizeof(how)
        )
        if fd >= 0:
            return fd
        # The kernel returns EAGAIN if a rename anywhere could have affected a ".." in the path, and
        # for a file on which a process has a lease.
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def _walk(root: int, path: str, flags: int, mode: int) -> int:
    names = os.path.normpath("/" + path.lstrip("/")).strip("/").split("/")
    directory = os.dup(root)
    try:
        for name in names[:-1]:
            inner = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
            _check_device(root, directory, path)
        fd = os.open(names[-1] or ".", flags | os.O_NOFOLLOW, mode, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        _check_device(root, fd, path)
        # O_PATH opens a link instead of refusing it.
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _check_device(root: int, fd: int, path: str) -> None:
    if os.fstat(fd).st_dev != os.fstat(root).st_dev:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
