"""What is in a tree: a stamp for each path, by which changes are found without reading files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from agentbay_local.sandbox.host.openat import open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIRECTORY", "FILE", "LINK", "Manifest", "Stamp", "list_entries", "scan", "stamp_of"]

FILE, DIRECTORY, LINK = "file", "directory", "link"
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stamp(NamedTuple):
    """What tells one state of a path from another.

    Attributes:
        kind: `FILE`, `DIRECTORY` or `LINK`.
        size: Bytes of a file.
        mtime: Time of its last change in nanoseconds.
        mode: Permission bits of a file.
        target: Where a link points.
    """

    kind: str
    size: int = 0
    mtime: int = 0
    mode: int = 0
    target: str = ""


Manifest = dict[str, Stamp]
"""Relative path to stamp, with ``/`` between names; directories included."""


def stamp_of(facts: os.stat_result) -> Stamp | None:
    """Return the stamp of a file or directory; None for links and special files.

    Example:
        >>> stamp_of(os.stat("/")).kind
        'directory'
    """
    if stat.S_ISDIR(facts.st_mode):
        return Stamp(DIRECTORY)
    if not stat.S_ISREG(facts.st_mode):
        return None
    # Bits beyond rwx would give a file of the service's own user powers that the session chose.
    return Stamp(FILE, facts.st_size, facts.st_mtime_ns, facts.st_mode & 0o777)


def scan(top: int, wanted: Callable[[str], bool], skipped: list[str] | None = None) -> Manifest:
    """Describe everything below an open directory.

    Args:
        top: The directory.
        wanted: Which paths to describe, and to enter when they are directories.
        skipped: Receives the paths of sockets, pipes and devices, which are never copied.

    Raises:
        OSError: A directory cannot be read.
    """
    found: Manifest = {}
    waiting = [""]
    while waiting:
        place = waiting.pop()
        for name, mark in _listed(top, place):
            path = f"{place}/{name}" if place else name
            if not wanted(path):
                continue
            if mark is None:
                (skipped if skipped is not None else []).append(path)
                continue
            found[path] = mark
            if mark.kind == DIRECTORY:
                waiting.append(path)
    return dict(sorted(found.items()))


def _listed(top: int, place: str) -> list[tuple[str, Stamp | None]]:
    try:
        handle = open_beneath(top, place or ".", _ENTER)
    except (FileNotFoundError, NotADirectoryError):
        return []  # A running session has removed or replaced it meanwhile.
    try:
        return list_entries(handle)
    finally:
        os.close(handle)


def list_entries(handle: int) -> list[tuple[str, Stamp | None]]:
    """Return name and stamp of each entry of an open directory; None for special files."""
    entries: list[tuple[str, Stamp | None]] = []
    for name in os.listdir(handle):
        try:
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISLNK(facts.st_mode):
                mark: Stamp | None = Stamp(LINK, target=os.readlink(name, dir_fd=handle))
            else:
                mark = stamp_of(facts)
        except FileNotFoundError:
            continue  # removed by a running session between the two calls
        entries.append((name, mark))
    return entries
