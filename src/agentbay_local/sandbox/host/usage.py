"""How much disk a session's directory takes, whatever the session has made of it."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["free_bytes", "used_bytes"]

ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BLOCK = 512


def free_bytes(root: Path) -> int:
    """Return what is free on the disk that holds a directory: one cheap call."""
    facts = os.statvfs(root)
    return facts.f_bavail * facts.f_frsize


def used_bytes(root: Path, enough: int | None, stop: Callable[[], bool]) -> int:
    """Return the disk space of everything below a directory, each file counted once.

    Args:
        root: Where to start; other file systems below it are left out.
        enough: Stop counting beyond so many bytes; None counts them all.
        stop: Asked all the time whether to stop counting where it is.
    """
    return _Count(enough, stop).of(root)


class _Count:
    """A walk that holds few descriptors, however deep the directories are nested."""

    def __init__(self, enough: int | None, stop: Callable[[], bool]) -> None:
        self._enough = enough
        self._stop = stop
        self._device = 0
        self._seen: set[int] = set()
        self._used = 0

    def of(self, root: Path) -> int:
        place = os.open(root, ENTER)
        facts = os.fstat(place)
        self._device = facts.st_dev
        # For each level: which directory it is, and which of its directories are still to be seen.
        levels = [(facts.st_ino, self._counted(place))]
        try:
            while levels and not self._over():
                place = self._step(place, levels)
        finally:
            os.close(place)
        return self._used

    def _over(self) -> bool:
        return (self._enough is not None and self._used > self._enough) or self._stop()

    def _step(self, place: int, levels: list[tuple[int, list[str]]]) -> int:
        """Go down into the next directory, or up; return the descriptor of where that led."""
        if levels[-1][1]:
            return self._down(place, levels)
        levels.pop()
        if not levels:
            return place
        outer = os.open("..", ENTER, dir_fd=place)
        os.close(place)
        if os.fstat(outer).st_ino != levels[-1][0]:
            levels.clear()  # moved elsewhere while it was looked at; the next count sees it there
        return outer

    def _down(self, place: int, levels: list[tuple[int, list[str]]]) -> int:
        try:
            inner = os.open(levels[-1][1].pop(), ENTER, dir_fd=place)
        except OSError:  # gone, or closed to us
            return place
        os.close(place)
        levels.append((os.fstat(inner).st_ino, self._counted(inner)))
        return inner

    def _counted(self, place: int) -> list[str]:
        """Add what a directory holds; return the names of its directories."""
        inner = []
        with os.scandir(place) as entries:
            for entry in entries:
                if self._over():
                    break
                with contextlib.suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    if facts.st_dev == self._device:
                        self._add(facts)
                        inner += [entry.name] if stat.S_ISDIR(facts.st_mode) else []
        return inner

    def _add(self, facts: os.stat_result) -> None:
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
            if facts.st_ino in self._seen:
                return
            self._seen.add(facts.st_ino)
        self._used += facts.st_blocks * BLOCK
