"""Remove a directory of a session, whatever the session has made of it.

A session can nest directories deeper than any path or call stack reaches, take its own permission
to enter them, and plant links. So every step is relative to an open directory, follows no link, and
moves nested directories up to the top instead of descending into them.
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


def _try_remove(parent: int, name: str) -> bool:
    """Remove a file, a link or an empty directory; return whether that succeeded."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            return False
    return True


def _empty_directory(parent: int, name: str) -> None:
    """Remove everything in a directory."""
    top = _enter(parent, name)
    try:
        while names := os.listdir(top):
            for one in names:
                if not _try_remove(top, one):
                    _lift(top, one)
                    os.rmdir(one, dir_fd=top)
    finally:
        os.close(top)


def _lift(top: int, name: str) -> None:
    """Empty a directory: move up to the top what cannot be removed at once."""
    directory = _enter(top, name)
    try:
        for one in os.listdir(directory):
            if not _try_remove(directory, one):
                # Moving a directory needs permission to write to it, because its ".." changes.
                os.close(_enter(directory, one))
                os.rename(one, os.urandom(16).hex(), src_dir_fd=directory, dst_dir_fd=top)
    finally:
        os.close(directory)


def _enter(parent: int, name: str) -> int:
    """Open a directory after giving its owner permission to use it; never one that is mounted."""
    handle = open_beneath(parent, name, os.O_PATH | ENTER)
    try:
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", ENTER, dir_fd=handle)
    finally:
        os.close(handle)
