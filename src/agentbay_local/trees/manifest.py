"""Manifest of a tree: a stamp for each path, to detect changes without reading files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from agentbay_local.sandbox.host.openat import open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIRECTORY", "FILE", "LINK", "Manifest", "Stamp", "list_entries", "scan", "stamp_of"]

FILE, DIRECTORY, LINK = "file", "directory", "link"
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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


def scan(top: int, wanted: Callable[[str], bool], skipped: list[str] | None = None) -> Manifest:
    """Describe everything below an open directory.

    Args:
        top: The directory.
        wanted: Returns whether to describe a path, and to enter it if it is a directory.
        skipped: Receives the paths of sockets, FIFOs and devices, which are never copied.

    Raises:
        OSError: A directory cannot be read.
    """
    found: Manifest = {}
    pending = [""]
    while pending:
        directory = pending.pop()
        for name, stamp in _list_directory(top, directory):
            path = f"{directory}/{name}" if directory else name
            if not wanted(path):
                continue
            if stamp is None:
                (skipped if skipped is not None else []).append(path)
                continue
            found[path] = stamp
            if stamp.kind == DIRECTORY:
                pending.append(path)
    return dict(sorted(found.items()))


def _list_directory(top: int, path: str) -> list[tuple[str, Stamp | None]]:
    try:
        fd = open_beneath(top, path or ".", _DIRECTORY_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return []  # a running session has removed or replaced it
    try:
        return list_entries(fd)
    finally:
        os.close(fd)


def list_entries(fd: int) -> list[tuple[str, Stamp | None]]:
    """Return the entries of an open directory with their stamps, None for special files."""
    entries: list[tuple[str, Stamp | None]] = []
    for name in os.listdir(fd):
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                stamp: Stamp | None = Stamp(LINK, target=os.readlink(name, dir_fd=fd))
            else:
                stamp = stamp_of(status)
        except FileNotFoundError:
            continue  # removed by a running session between the two calls
        entries.append((name, stamp))
    return entries
