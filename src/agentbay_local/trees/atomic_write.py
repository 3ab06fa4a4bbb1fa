"""Write files into a tree atomically: a reader sees the old file or the new one, never a part.

Each file is written under a hidden name in its directory and then renamed over the old one. A link
at the last component of a path is replaced and not followed; links before it cannot lead out of the
tree. A tree of a session is read and written with the rights of the session's user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from functools import partial
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.credentials import acting_as
from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.trees.copying import copy_content
from agentbay_local.trees.manifest import FILE, Stamp, UnstableFileError, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentbay_local.trees.budget import Budget

__all__ = ["PARTIAL_PREFIX", "AtomicWriter", "Source", "open_source"]

PARTIAL_PREFIX = ".agentbay-partial-"
"""Prefix of the names of unfinished files, which are never copied."""

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_ATTEMPTS = 5


def open_source(top: int, path: str) -> int:
    """Open a regular file below a directory for reading.

    Raises:
        OSError: It does not exist, or is not a regular file.
    """
    # O_NONBLOCK, because opening a FIFO would wait for a writer, and a leased file for its holder.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    source = open_beneath(top, path, flags)
    if not stat.S_ISREG(os.fstat(source).st_mode):
        os.close(source)
        raise IsADirectoryError(errno.EISDIR, "Not a regular file", path)
    return source


@attrs.frozen
class Source:
    """A tree to copy from.

    Attributes:
        top: The open directory.
        budget: Counts what is copied.
        owner: User id with whose rights it is read, or None for those of the service.
    """

    top: int
    budget: Budget
    owner: int | None = None

    def open(self, path: str) -> int:
        """Open a regular file; errors as `open_source`."""
        with acting_as(self.owner):
            return open_source(self.top, path)


@attrs.frozen
class AtomicWriter:
    """Writes into a tree.

    Attributes:
        top: The open directory.
        owner: User id with whose rights all is written, or None for those of the service.
        least_mode: Permission bits that every file has in addition to its own.
    """

    top: int
    owner: int | None = None
    least_mode: int = 0

    def make_directory(self, path: str) -> None:
        """Make a directory and its parents, unless they exist."""
        with acting_as(self.owner):
            parent_path = ""
            for name in path.split("/"):
                with self._open_parent(parent_path) as parent, contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=parent)
                parent_path = f"{parent_path}/{name}" if parent_path else name

    def write_link(self, path: str, target: str) -> None:
        """Write a symbolic link."""
        with self._replacing(path) as (parent, name):
            os.symlink(target, name, dir_fd=parent)

    def write_file(self, path: str, write: Callable[[int], Stamp]) -> Stamp:
        """Write a file: `write` fills the open descriptor and returns the stamp of the content."""
        with self._replacing(path) as (parent, name):
            target = os.open(name, _CREATE_FLAGS, 0o600, dir_fd=parent)
            try:
                stamp = write(target)
                os.fchmod(target, stamp.mode | self.least_mode)
                os.utime(target, ns=(stamp.mtime, stamp.mtime))
            finally:
                os.close(target)
        return stamp

    def copy_file(self, path: str, source: Source) -> Stamp:
        """Copy the file at the same path of another tree; return the stamp of the original.

        Raises:
            UnstableFileError: It changed during every attempt.
            BudgetExceededError: It is larger than the budget allows.
            OSError: It cannot be read or written.
        """
        # A running session may write to the file meanwhile; a copy counts only if the stamp is the
        # same before and after.
        taken = source.budget.taken_bytes()
        for _ in range(_COPY_ATTEMPTS):
            source.budget.rewind(taken)  # each attempt replaces the copy of the one before
            original = source.open(path)
            try:
                before = stamp_of(os.fstat(original))
                copied = self.write_file(path, partial(_copy, original, source.budget))
                if copied == before == stamp_of(os.fstat(original)):
                    return copied
            finally:
                os.close(original)
        raise UnstableFileError(path)

    def link_file(self, path: str, file: Path) -> Stamp:
        """Hard-link a complete file into the tree."""
        with self._replacing(path) as (parent, name):
            os.link(file, name, dst_dir_fd=parent)
        status = file.stat()
        return Stamp(FILE, status.st_size, status.st_mtime_ns, status.st_mode & 0o777)

    @contextlib.contextmanager
    def _replacing(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield a hidden name to write to; rename it over `path` if the block succeeds."""
        directory, _, name = path.rpartition("/")
        hidden = f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
        if directory:
            self.make_directory(directory)
        with acting_as(self.owner), self._open_parent(directory) as parent:
            try:
                yield parent, hidden
                os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden, dir_fd=parent)
                raise

    @contextlib.contextmanager
    def _open_parent(self, path: str) -> Iterator[int]:
        parent = open_beneath(self.top, path or ".", _DIRECTORY_FLAGS)
        try:
            yield parent
        finally:
            os.close(parent)


def _copy(source: int, budget: Budget, target: int) -> Stamp:
    status = os.fstat(source)
    size = copy_content(source, target, budget)
    return Stamp(FILE, size, status.st_mtime_ns, status.st_mode & 0o777)
