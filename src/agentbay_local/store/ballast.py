"""Ballast: disk space that is reserved for the rows, and released when the disk is full."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Ballast"]

_SIZE = 2 * 1024 * 1024
# Below this much free space the ballast is released before a write, not only after a failure:
# a transaction that fails at its commit cannot be repeated.
_LOW = 256 * 1024
# Well above `_SIZE`, so that the file does not come and go on a disk that is nearly full.
_PLENTY = 4 * _SIZE


@attrs.define
class Ballast:
    """A file that only takes up space, beside the file of the rows.

    Attributes:
        path: The file.
    """

    path: Path
    _kept: bool = False

    def free_space(self) -> int:
        """Return the free bytes of the disk for this user."""
        status = os.statvfs(self.path.parent)
        return status.f_bavail * status.f_frsize

    def adjust(self) -> None:
        """Release the space if the disk is nearly full; reserve it again if there is plenty."""
        free = self.free_space()
        if free < _LOW:
            self.release()
        elif not self._kept and free >= _PLENTY:
            self._take()

    def release(self) -> bool:
        """Release the space; return whether there was any."""
        self._kept = False
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _take(self) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _SIZE)
        except OSError:
            self.release()  # the disk was filled meanwhile, or cannot reserve space
        self._kept = True
        os.close(fd)
