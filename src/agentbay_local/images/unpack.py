"""Unpack archives of foreign origin into a layer.

Packages and root file systems come as tar archives. A member is placed by descriptors relative to
the layer, and links are resolved within it, so no archive writes outside. Owners, special bits,
devices and extended attributes are dropped: what is left are directories, files and links that
everybody may read. Size and number of members are bounded.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
import tarfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import attrs

from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.sandbox.host.removal import remove_tree_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ArchiveError", "BoundedMember", "Budget", "Unpacker"]

_KEPT = frozenset({"etc", "opt", "usr", "var"})
# Links into /usr on a merged system, which the archive may have as directories.
_MERGED = frozenset({"bin", "lib", "lib32", "lib64", "libx32", "sbin"})
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HEADERS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_MAX_HEADER = 1024 * 1024
_PIECE = 1024 * 1024
_MAX_DEPTH = 100
_LATEST = 2**33  # seconds; later dates do not fit everywhere
_PROC = Path("/proc/self/fd")


class ArchiveError(ValueError):
    """An archive is damaged, hostile or too large; nothing of it is used."""


@attrs.define
class Budget:
    """What may still be unpacked into one layer.

    Attributes:
        most_bytes: Bytes of all files together.
        most_entries: Members of all archives together.
    """

    most_bytes: int = 20 * 1024**3
    most_entries: int = 1_000_000
    _bytes: int = attrs.field(default=0, init=False)
    _entries: int = attrs.field(default=0, init=False)

    def take(self, size: int) -> None:
        """Count a member of `size` bytes.

        Raises:
            ArchiveError: It is more than the budget allows.
        """
        if size < 0:
            raise ArchiveError("a member has a negative size")
        self._bytes += size
        self._entries += 1
        if self._bytes > self.most_bytes:
            raise ArchiveError(f"the layer would have more than {self.most_bytes} bytes")
        if self._entries > self.most_entries:
            raise ArchiveError(f"the layer would have more than {self.most_entries} files")


class BoundedMember(tarfile.TarInfo):
    """A member whose headers are bounded before they are read into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> BoundedMember:
        """As in the base class, which documents it; refuse what the archive may not have."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > _MAX_HEADER:
            raise ArchiveError("a member has a header that is too long")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise ArchiveError("a member is a sparse file; pack the archive without them")
        return member

    def _refuse_sparse(self, *_: Any) -> NoReturn:
        raise ArchiveError("a member is a sparse file; pack the archive without them")

    # The maps of these formats have any length, and are read as a whole.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class Unpacker:
    """Unpacks archives into one layer, one over the other.

    Args:
        layer: The layer, an existing directory.
        budget: Bounds all archives together.

    Attributes:
        dropped: The number of members that a layer has no use for.
    """

    def __init__(self, layer: Path, budget: Budget) -> None:
        self._layer = layer
        self._budget = budget
        self.dropped = 0

    def unpack(self, stream: IO[bytes], *, whiteouts: bool = False) -> None:
        """Unpack a tar archive, which is not compressed.

        Args:
            stream: Where it is read from, once.
            whiteouts: Names that begin with ".wh." remove what archives before had.

        Raises:
            ArchiveError: It is damaged, hostile or too large.
            OSError: The layer cannot be written.
        """
        root = os.open(self._layer, _DIRECTORY)
        try:
            with _reading(stream) as next_member:
                _Pass(self, root, self._layer, self._budget, whiteouts).place_all(next_member)
        finally:
            os.close(root)


@contextlib.contextmanager
def _reading(
    stream: IO[bytes],
) -> Iterator[Callable[[], tuple[tarfile.TarInfo, IO[bytes] | None] | None]]:
    """Return a function that returns each member with its content, and None at the end."""
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=BoundedMember, errorlevel=2) as tar:

            def next_member() -> tuple[tarfile.TarInfo, IO[bytes] | None] | None:
                member = tar.next()
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep every member
                if member is None:
                    return None
                return member, tar.extractfile(member) if member.isreg() else None

            yield next_member
    except (tarfile.TarError, EOFError, RecursionError, ValueError, zlib.error) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"the archive is damaged: {error}") from error
    except OSError as error:
        if error.errno is None:  # of gzip and the like
            raise ArchiveError(f"the archive is damaged: {error}") from error
        raise


@attrs.define
class _Pass:
    """Unpacks one archive into a layer; `placed` has its paths and their parent directories."""

    unpacker: Unpacker
    root: int
    layer: Path
    budget: Budget
    whiteouts: bool
    placed: set[str] = attrs.field(factory=set, init=False)

    def place_all(
        self, next_member: Callable[[], tuple[tarfile.TarInfo, IO[bytes] | None] | None]
    ) -> None:
        while (found := next_member()) is not None:
            member, content = found
            self.budget.take(member.size)
            path = _inside(member.name, whiteouts=self.whiteouts)
            if path is None:
                self.unpacker.dropped += 1
            else:
                self._place(member, path, content)

    def _place(self, member: tarfile.TarInfo, path: str, content: IO[bytes] | None) -> None:
        directory, name = posixpath.split(path)
        try:
            if not name:
                return
            parent = self._open_directory(directory)
            try:
                if self.whiteouts and name.startswith(_WHITEOUT):
                    self._remove_below(parent, directory, name)
                else:
                    self._place_at(parent, name, member, content)
                    while path and path not in self.placed:
                        self.placed.add(path)
                        path = posixpath.dirname(path)
            finally:
                os.close(parent)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (
                errno.ENOSPC,
                errno.EDQUOT,
                errno.EIO,
            ):
                raise
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError(f"member {member.name!r:.200} cannot be placed: {error}") from error

    def _open_directory(self, path: str) -> int:
        """Open a directory of the layer, and make it and its parents where they are missing."""
        try:
            return open_beneath(self.root, path or ".", _DIRECTORY)
        except FileNotFoundError:
            above, name = posixpath.split(path)
            parent = self._open_directory(above)
            try:
                _new_directory(parent, name)
            finally:
                os.close(parent)
            return open_beneath(self.root, path, _DIRECTORY)

    def _place_at(
        self, parent: int, name: str, member: tarfile.TarInfo, content: IO[bytes] | None
    ) -> None:
        if member.isdir():
            _make_directory(parent, name)
        elif content is not None:
            _clear(parent, name)
            _write_file(parent, name, member, content)
        elif member.issym():
            _clear(parent, name)
            os.symlink(_link_target(member), name, dir_fd=parent)
        elif member.islnk():
            self._link(parent, name, member)
        else:
            self.unpacker.dropped += 1

    def _link(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        """Make a hard link to a file that was placed before."""
        target = _inside(member.linkname)
        if target is None:
            raise ArchiveError(
                f"member {member.name!r:.200} is a link to {member.linkname!r:.200}, outside"
            )
        directory, last = posixpath.split(target)
        above = open_beneath(self.root, directory or ".", _DIRECTORY)
        try:
            _clear(parent, name)
            os.link(last, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(above)

    def _remove_below(self, parent: int, directory: str, name: str) -> None:
        """Remove what lower archives have: one name, or with the opaque mark all in a directory."""
        if name != _OPAQUE:
            gone = name[len(_WHITEOUT) :]
            if posixpath.join(directory, gone) not in self.placed:
                _clear(parent, gone)
            return
        for one in os.listdir(parent):
            path = posixpath.join(directory, one)
            if path not in self.placed:
                _clear(parent, one)
            elif stat.S_ISDIR(os.stat(one, dir_fd=parent, follow_symlinks=False).st_mode):
                inner = os.open(one, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
                try:
                    self._remove_below(inner, path, name)
                finally:
                    os.close(inner)


def _inside(name: str, *, whiteouts: bool = False) -> str | None:
    """Return the path of a member in a layer; None if layers have no such place.

    Args:
        name: Its name in the archive.
        whiteouts: A name may be the mark of one that is gone.

    Raises:
        ArchiveError: The name leads out of the archive.
    """
    if name.startswith("/") or ".." in name.split("/"):
        raise ArchiveError(f"member {name!r:.200} leads out of the archive")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) > _MAX_DEPTH:
        raise ArchiveError(f"member {name!r:.80}... is nested too deeply")
    if whiteouts and len(parts) == 1 and parts[0].startswith(_WHITEOUT):
        gone = parts[0][len(_WHITEOUT) :]
        if parts[0] == _OPAQUE or gone in _KEPT:
            return parts[0]
        return f"usr/{parts[0]}" if gone in _MERGED else None
    if parts and parts[0] in _MERGED:
        # The directory itself, or the link that stands for it, is the machine's.
        return "/".join(["usr", *parts]) if parts[1:] else None
    return "/".join(parts) if parts and parts[0] in _KEPT else None


def _link_target(member: tarfile.TarInfo) -> str:
    """Return the target of a symbolic link; of one that moves into /usr, from where it leads."""
    name, target = member.name.removeprefix("./"), member.linkname
    moves = name.split("/")[0] in _MERGED
    if not moves or target.startswith("/") or not target.startswith("../"):
        return target
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(name), target))


def _make_directory(parent: int, name: str) -> None:
    """Make a directory; keep one that is there, and a link to one as package managers do."""
    try:
        _new_directory(parent, name)
    except FileExistsError:
        kind = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not (stat.S_ISDIR(kind.st_mode) or stat.S_ISLNK(kind.st_mode)):
            os.unlink(name, dir_fd=parent)
            _new_directory(parent, name)


def _new_directory(parent: int, name: str) -> None:
    os.mkdir(name, dir_fd=parent)
    # Whatever the umask says: other users must be able to read a layer.
    os.chmod(name, 0o755, dir_fd=parent)  # noqa: S103


def _write_file(parent: int, name: str, member: tarfile.TarInfo, content: IO[bytes]) -> None:
    """Write a file that everybody may read, and run if anybody may."""
    file = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        with os.fdopen(file, "wb", closefd=False) as opened:
            while piece := content.read(_PIECE):
                opened.write(piece)
            if opened.tell() != member.size:
                raise ArchiveError(f"member {member.name!r:.200} is not whole")
        os.fchmod(file, 0o755 if member.mode & 0o111 else 0o644)
        moment = min(max(member.mtime, 0), _LATEST)
        os.utime(file, (moment, moment))
    finally:
        os.close(file)


def _clear(parent: int, name: str) -> None:
    """Remove what has a name, so that nothing is written through it."""
    if name in ("", ".", ".."):
        raise ArchiveError("a name of the archive leads out of its directory")
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        remove_tree_now(_PROC / str(parent) / name)
