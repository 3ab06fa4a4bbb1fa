"""Putting files into a tree so that nobody ever sees half of one.

Each file is written under a hidden name beside its place and renamed over it. Nothing follows a
link at the last step, and links on the way lead nowhere outside the tree.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from functools import partial
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.offline_files import copy_content
from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.trees.manifest import FILE, Stamp, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PARTIAL", "AtomicWriter", "UnstableFileError", "open_source"]

PARTIAL = ".agentbay-partial-"
"""How names of files begin that are being written; they are never copied anywhere."""

_PARENT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UnstableFileError(OSError):
    """A file changed again and again while it was copied."""


def open_source(top: int, path: str) -> int:
    """Open a regular file below a directory for reading, without ever waiting.

    Raises:
        OSError: There is none, or it is something else.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    source = open_beneath(top, path, flags)
    if not stat.S_ISREG(os.fstat(source).st_mode):
        os.close(source)
        raise IsADirectoryError(path)
    return source


@attrs.frozen
class AtomicWriter:
    """A tree that files are put into.

    Attributes:
        top: The open directory.
        owner: The user id everything belongs to, or None for the service's own.
        least_mode: Permission bits that every file gets beside its own.
    """

    top: int
    owner: int | None = None
    least_mode: int = 0

    def directory(self, path: str) -> None:
        """Make a directory and its parents; an existing one is fine."""
        so_far = ""
        for name in path.split("/"):
            with self._parent(so_far) as parent, contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=parent)
                self._own(parent, name)
            so_far = f"{so_far}/{name}" if so_far else name

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link."""
        with self._placing(path) as (parent, name):
            os.symlink(target, name, dir_fd=parent)
            self._own(parent, name)

    def file(self, path: str, write: Callable[[int], Stamp]) -> Stamp:
        """Put a file: `write` fills the open descriptor and says what it has written."""
        with self._placing(path) as (parent, name):
            target = os.open(name, _FRESH, 0o600, dir_fd=parent)
            try:
                mark = write(target)
                os.fchmod(target, mark.mode | self.least_mode)
                os.utime(target, ns=(mark.mtime, mark.mtime))
                self._own(parent, name)
            finally:
                os.close(target)
        return mark

    def copy(self, path: str, source_top: int) -> Stamp:
        """Copy the file at the same path of another tree; return the stamp of the original.

        Raises:
            UnstableFileError: It kept changing.
            OSError: It cannot be read or written.
        """
        for _ in range(5):
            source = open_source(source_top, path)
            try:
                before = stamp_of(os.fstat(source))
                copied = self.file(path, partial(_copied, source))
                if copied == before == stamp_of(os.fstat(source)):
                    return copied
            finally:
                os.close(source)
        raise UnstableFileError(f"{path} kept changing while it was copied")

    def adopt(self, path: str, file: Path) -> Stamp:
        """Put a file that is complete already, without copying it."""
        with self._placing(path) as (parent, name):
            os.link(file, name, dst_dir_fd=parent)
        facts = file.stat()
        return Stamp(FILE, facts.st_size, facts.st_mtime_ns, facts.st_mode & 0o777)

    @contextlib.contextmanager
    def _placing(self, path: str) -> Iterator[tuple[int, str]]:
        """Give a hidden name to write under; rename it into place when all went well."""
        place, _, name = path.rpartition("/")
        hidden = f"{PARTIAL}{secrets.token_hex(8)}"
        if place:
            self.directory(place)
        with self._parent(place) as parent:
            try:
                yield parent, hidden
                os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden, dir_fd=parent)
                raise

    @contextlib.contextmanager
    def _parent(self, place: str) -> Iterator[int]:
        parent = open_beneath(self.top, place or ".", _PARENT)
        try:
            yield parent
        finally:
            os.close(parent)

    def _own(self, parent: int, name: str) -> None:
        if self.owner is not None:
            os.chown(name, self.owner, self.owner, dir_fd=parent, follow_symlinks=False)


def _copied(source: int, target: int) -> Stamp:
    facts = os.fstat(source)
    size = copy_content(source, target)
    return Stamp(FILE, size, facts.st_mtime_ns, facts.st_mode & 0o777)
