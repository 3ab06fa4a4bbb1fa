"""Manifest of a tree: a stamp for each path, to detect changes without reading files."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from agentbay_local.sandbox.host.openat import open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay_local.trees.budget import Budget

__all__ = [
    "DIRECTORY",
    "FILE",
    "LINK",
    "Manifest",
    "Stamp",
    "UnstableFileError",
    "find_stamp",
    "scan",
    "stamp_of",
]

FILE, DIRECTORY, LINK = "file", "directory", "link"
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOKS = 5


class UnstableFileError(OSError):
    """A path changed all the time while it was copied.

    Attributes:
        filename: The path, relative to the tree.
    """

    def __init__(self, path: str) -> None:
        super().__init__(errno.EBUSY, "it kept changing while it was copied", path)


class Stamp(NamedTuple):
    """The state of a path, for comparison.

    Attributes:
        kind: `FILE`, `DIRECTORY` or `LINK`.
        size: Bytes of a file.
        mtime: Time of its last change in nanoseconds.
        mode: Permission bits of a file.
        target: Target of a link.
    """

    kind: str
    size: int = 0
    mtime: int = 0
    mode: int = 0
    target: str = ""


Manifest = dict[str, Stamp]
"""Relative path to stamp; includes directories."""


def stamp_of(status: os.stat_result) -> Stamp | None:
    """Return the stamp of a file or directory, or None for links and special files.

    Example:
        >>> stamp_of(os.stat("/")).kind
        'directory'
    """
    if stat.S_ISDIR(status.st_mode):
        return Stamp(DIRECTORY)
    if not stat.S_ISREG(status.st_mode):
        return None
    # Without setuid and setgid: the session chose them, and a copy belongs to the service's user.
    return Stamp(FILE, status.st_size, status.st_mtime_ns, status.st_mode & 0o777)


def scan(
    top: int,
    wanted: Callable[[str], bool],
    budget: Budget,
    skipped: list[str] | None = None,
) -> Manifest:
    """Describe everything below an open directory, each directory before its content.

    Args:
        top: The directory.
        wanted: Returns whether to describe a path, and to enter it if it is a directory.
        budget: Counts the entries.
        skipped: Receives the paths of sockets, FIFOs and devices, which are never copied.

    Raises:
        UnstableFileError: A directory kept changing into something else.
        BudgetExceededError: There are more entries than the budget allows.
        OSError: A directory cannot be read.
    """
    found: Manifest = {}
    pending = [""]
    while pending:
        directory = pending.pop()
        for name, stamp in _list_directory(top, directory, budget):
            path = f"{directory}/{name}" if directory else name
            if not wanted(path):
                continue
            if stamp is None:
                (skipped if skipped is not None else []).append(path)
                continue
            found[path] = stamp
            if stamp.kind == DIRECTORY:
                pending.append(path)
    # Not sorted: sorting a hundred thousand paths would stop every other thread for that long.
    return found


def _list_directory(top: int, path: str, budget: Budget) -> Iterator[tuple[str, Stamp | None]]:
    try:
        fd = open_beneath(top, path or ".", _DIRECTORY_FLAGS)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        if _exists(top, path):
            # Its content would seem to be deleted.
            raise UnstableFileError(path) from None
        return  # a running session has removed it
    try:
        yield from _list_entries(fd, path, budget)
    finally:
        os.close(fd)


def _exists(top: int, path: str) -> bool:
    try:
        os.close(open_beneath(top, path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _list_entries(fd: int, path: str, budget: Budget) -> Iterator[tuple[str, Stamp | None]]:
    with os.scandir(fd) as found:
        for entry in found:
            budget.take_entry(f"{path}/{entry.name}")
            try:
                stamp = find_stamp(fd, entry.name)
            except FileNotFoundError:
                continue  # removed by a running session between the two calls
            yield entry.name, stamp


def find_stamp(directory: int, name: str) -> Stamp | None:
    """Return the stamp of a name in an open directory, or None for special files.

    Raises:
        UnstableFileError: It kept changing into a link and back.
        FileNotFoundError: It does not exist.
    """
    for _ in range(_LOOKS):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return stamp_of(status)
        try:
            return Stamp(LINK, target=os.readlink(name, dir_fd=directory))
        except OSError as error:
            if error.errno != errno.EINVAL:  # no link any more
                raise
    raise UnstableFileError(name)
