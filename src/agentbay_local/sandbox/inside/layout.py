"""Make the layout of a session's root: the directories and links that every session needs.

A session may have put anything at these paths when it ran before. Only real directories and the
right links are left there, or a link could lead a mount outside.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ENTER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def lay_out(root: int, layout: dict[str, Any]) -> None:
    """Make or repair the layout of a root that no session uses.

    Args:
        root: A descriptor of the root.
        layout: `directories` with their modes and `links` with their targets, by names of at most
            two parts; and `paths`, each part of which becomes a directory.
    """
    for name, mode in layout["directories"].items():
        make_directory(root, name, mode)
    for name, target in layout["links"].items():
        make_link(root, name, target)
    make_paths(root, layout["paths"])


def make_directory(root: int, name: str, mode: int) -> None:
    """Make one directory, unless there is one; anything else there is removed."""
    # First for a new session, as most are.
    try:
        os.mkdir(name, 0o700, dir_fd=root)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode):
            return
        os.unlink(name, dir_fd=root)
        os.mkdir(name, 0o700, dir_fd=root)
    made = os.open(name, ENTER & ~os.O_PATH, dir_fd=root)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)


def make_paths(root: int, paths: Iterable[str]) -> None:
    """Make every part of some paths a real directory, whatever the session has put there."""
    for path in paths:
        directory = os.dup(root)
        try:
            for name in path.strip("/").split("/"):
                make_directory(directory, name, 0o755)
                inner = os.open(name, ENTER, dir_fd=directory)
                os.close(directory)
                directory = inner
        finally:
            os.close(directory)


def make_link(root: int, name: str, target: str) -> None:
    """Make a link, unless it is there; anything else there is renamed."""
    try:
        os.symlink(target, name, dir_fd=root)
    except FileExistsError:
        replace_link(root, name, target)


def replace_link(root: int, name: str, target: str) -> None:
    """Make a link in the place of another one, or of something else."""
    try:
        if os.readlink(name, dir_fd=root) == target:
            return
        os.unlink(name, dir_fd=root)
    except OSError:  # it is not a link
        set_aside(root, name)
    os.symlink(target, name, dir_fd=root)


def set_aside(root: int, name: str) -> None:
    """Rename an entry to a name that nobody expects."""
    os.rename(name, f"{name}.{os.urandom(4).hex()}", src_dir_fd=root, dst_dir_fd=root)
