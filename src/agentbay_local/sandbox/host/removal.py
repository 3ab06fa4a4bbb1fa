"""Remove a directory of a session, whatever the session has made of it.

A session can nest directories deeper than any path or call stack reaches, take its own permission
to enter them, and plant links. So every step is relative to an open directory and follows no link,
and what is nested deeper than a few levels is moved up to the top instead of descending into it.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host.openat import open_beneath

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["remove_tree", "remove_tree_now"]

ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DESCENDS = 8
"""Levels below the top that are emptied in place; most trees have no more."""


async def remove_tree(path: Path) -> None:
    """Remove a file or a directory with everything in it, on a thread.

    Do nothing if it does not exist.

    Raises:
        OSError: Something cannot be removed.
    """
    await asyncio.to_thread(remove_tree_now, path)


def remove_tree_now(path: Path) -> None:
    """Remove a file or a directory with everything in it, on this thread.

    Raises:
        OSError: Something cannot be removed.
    """
    try:
        parent = os.open(path.parent, ENTER & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        if not _try_remove(parent, path.name):
            _empty_directory(parent, path.name)
            os.rmdir(path.name, dir_fd=parent)
    except FileNotFoundError:
        return
    finally:
        os.close(parent)


def _try_remove(parent: int, name: str, is_directory: bool = False) -> bool:
    """Remove a file, a link or an empty directory; return whether that succeeded."""
    if not is_directory:
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            pass
        else:
            return True
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        return False
    return True


def _empty_directory(parent: int, name: str) -> None:
    """Remove everything in a directory."""
    top = _enter(parent, name)
    try:
        while _empty(top, top, DESCENDS):
            pass
    finally:
        os.close(top)


def _empty(top: int, directory: int, descends: int) -> bool:
    """Remove what is in a directory, or move it up to `top`; return whether there was anything."""
    with os.scandir(directory) as found:
        entries = [(one.name, one.is_dir(follow_symlinks=False)) for one in found]
    for name, is_directory in entries:
        if not _try_remove(directory, name, is_directory):
            below = _enter(directory, name)
            try:
                if descends:
                    _empty(top, below, descends - 1)
            finally:
                os.close(below)
            if descends:
                os.rmdir(name, dir_fd=directory)
            else:
                # Moving a directory needs permission to write to it, because its ".." changes.
                os.rename(name, os.urandom(16).hex(), src_dir_fd=directory, dst_dir_fd=top)
    return bool(entries)


def _enter(parent: int, name: str) -> int:
    """Open a directory after giving its owner permission to use it; never one that is mounted."""
    handle = open_beneath(parent, name, os.O_PATH | ENTER)
    try:
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", ENTER, dir_fd=handle)
    finally:
        os.close(handle)
