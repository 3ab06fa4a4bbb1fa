"""Pack the files of a session into one archive in its context, and unpack it.

The archive is a gzipped tar, which every client can open, named `ARCHIVE` at the top of the
context. Its paths are relative to the mount, where it is unpacked, so ``extractToCurrentFolder``
makes no difference. Other archives in a context are ordinary files and are never unpacked.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO

from agentbay_local.trees.copying import write_sparsely
from agentbay_local.trees.manifest import (
    DIRECTORY,
    FILE,
    LINK,
    Manifest,
    Stamp,
    UnstableFileError,
    stamp_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from agentbay_local.trees.atomic_write import AtomicWriter, Source
    from agentbay_local.trees.budget import Budget

__all__ = ["ARCHIVE", "DamagedArchiveError", "list_members", "pack", "unpack"]

ARCHIVE = ".agentbay-archive.tar.gz"

_CHUNK = 64 * 1024
_MOST_HEADERS = 1 << 20
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
# The kernel takes all these, in seconds; text may say more.
_MTIME = re.compile(r"-?\d{1,10}(\.\d*)?", re.ASCII)


class DamagedArchiveError(ValueError):
    """An archive is not a gzipped tar, or is not whole, or was made to do harm."""


def pack(
    source: Source,
    manifest: Manifest,
    target: Path,
    old: BinaryIO | None = None,
    carried: Collection[str] = (),
) -> Manifest:
    """Write the entries of a manifest into a new archive; return them as they were packed.

    Args:
        source: The tree of the entries.
        manifest: The entries.
        target: The path of the new archive.
        old: An archive to take members from. It is not trusted.
        carried: The members of `old` that the new archive has too.

    Raises:
        UnstableFileError: A file changed meanwhile.
        DamagedArchiveError: The old archive is invalid.
        BudgetExceededError: They are larger than the budget allows; here holes count.
        OSError: A file cannot be read or written.
    """
    packed: Manifest = {}
    with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
        for path, stamp in manifest.items():
            packed[path] = stamp
            if stamp.kind == FILE:
                packed[path] = _add_file(archive, path, source)
            else:
                archive.addfile(_header(path, stamp))
        if old is not None and carried:
            source.budget.start_again()
            _carry(archive, old, carried, source.budget)
    return packed


def _add_file(archive: tarfile.TarFile, path: str, source: Source) -> Stamp:
    with os.fdopen(source.open(path), "rb") as file:
        stamp = stamp_of(os.fstat(file.fileno()))
        if stamp is None:
            raise UnstableFileError(path)
        source.budget.take_bytes(stamp.size)
        try:
            archive.addfile(_header(path, stamp), file)
        except OSError as error:
            if error.errno is None:  # it was cut short
                raise UnstableFileError(path) from None
            raise
        if stamp_of(os.fstat(file.fileno())) != stamp:
            raise UnstableFileError(path)
    return stamp


def _header(path: str, stamp: Stamp) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    if stamp.kind == FILE:
        member.size, member.mode = stamp.size, stamp.mode
        # As text, because a float would lose the nanoseconds that change detection compares.
        member.pax_headers = {"mtime": f"{stamp.mtime // 10**9}.{stamp.mtime % 10**9:09}"}
    else:
        member.type = tarfile.DIRTYPE if stamp.kind == DIRECTORY else tarfile.SYMTYPE
        member.linkname, member.mode = stamp.target, 0o755
    return member


def _carry(
    target: tarfile.TarFile, old: BinaryIO, carried: Collection[str], budget: Budget
) -> None:
    """Copy members of an archive into another one."""
    with _open_archive(old, budget) as archive:
        for path, member, stamp in _members(archive):
            if path not in carried:
                continue
            # A sparse member unpacks to more than it takes in the archive.
            budget.take_bytes(stamp.size)
            content = archive.open(member) if stamp.kind == FILE else None
            target.addfile(_header(path, stamp), content)


def list_members(source: BinaryIO, budget: Budget) -> Manifest:
    """Read an archive to its end; return the members that `unpack` would write.

    Raises:
        DamagedArchiveError: It cannot be unpacked.
        BudgetExceededError: It holds more than the budget allows.
    """
    with _open_archive(source, budget) as archive:
        return {path: stamp for path, _, stamp in _members(archive)}


def unpack(
    source: BinaryIO, writer: AtomicWriter, wanted: Callable[[str], bool], budget: Budget
) -> Manifest:
    """Extract an archive into a tree; return the entries that were written.

    Args:
        source: The archive, which is not trusted.
        writer: The tree to write to.
        wanted: Returns whether to extract a path.
        budget: Counts all bytes and entries of the archive.

    Raises:
        DamagedArchiveError: The archive is invalid.
        BudgetExceededError: It holds more than the budget allows.
        OSError: A file cannot be written.
    """
    extracted: Manifest = {}
    with _open_archive(source, budget) as archive:
        for path, member, stamp in _members(archive):
            if wanted(path):
                _extract(archive, member, path, stamp, writer)
                extracted[path] = stamp
    return extracted


def _extract(
    archive: _Archive, member: tarfile.TarInfo, path: str, stamp: Stamp, writer: AtomicWriter
) -> None:
    if stamp.kind == DIRECTORY:
        writer.make_directory(path)
        return
    if stamp.kind == LINK:
        writer.write_link(path, stamp.target)
        return
    content = archive.open(member)

    def write(target: int) -> Stamp:
        offset = 0
        while chunk := content.read(_CHUNK):
            write_sparsely(target, chunk, offset)
            offset += len(chunk)
        os.ftruncate(target, offset)
        return stamp

    writer.write_file(path, write)


def _stamp_of_member(member: tarfile.TarInfo) -> Stamp | None:
    """Return the stamp that a member has when it is unpacked, or None if it never is."""
    if member.isdir():
        return Stamp(DIRECTORY)
    if member.issym():
        return Stamp(LINK, target=member.linkname)
    if not member.isreg():
        return None
    return Stamp(FILE, member.size, _mtime_ns(member), member.mode & 0o777)


def _mtime_ns(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime", "") or str(int(member.mtime))
    if not _MTIME.fullmatch(text):
        raise DamagedArchiveError("the archive has a file with an impossible time")
    seconds, _, rest = text.partition(".")
    return int(seconds) * 10**9 + int(f"{rest:0<9.9}" or 0)


class _Unpacked:
    """The unpacked bytes of an archive, read forward only and counted.

    Attributes:
        headers_left: Bytes that the headers of the next member may have, or None while its content
            is read. `tarfile` reads headers into memory, however large they say they are.
    """

    def __init__(self, file: gzip.GzipFile, budget: Budget) -> None:
        self.headers_left: int | None = None
        self._file = file
        self._budget = budget
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Read as many bytes, or less at the end."""
        if self.headers_left is not None:
            self.headers_left -= size
            if size < 0 or self.headers_left < 0:
                raise DamagedArchiveError("the archive has a header that is too large")
        data = self._file.read(size)
        self._position += len(data)
        self._budget.take_bytes(len(data))
        return data

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Skip forward to a position, or to the end."""
        if whence != os.SEEK_SET or position < self._position:
            raise DamagedArchiveError("the archive has parts in a wrong order")
        while self._position < position:
            data = self._file.read(min(_CHUNK, position - self._position))
            if not data:
                break
            self._position += len(data)
            self._budget.take_bytes(len(data))
        return self._position

    def write(self, data: bytes) -> int:
        """Refuse: `tarfile` wants the method and never calls it."""
        raise OSError("the archive is open for reading")

    def close(self) -> None:
        """Do nothing; the caller closes the archive."""


class _Archive:
    """An open archive.

    Attributes:
        budget: Counts its members.
    """

    def __init__(self, unpacked: _Unpacked, budget: Budget) -> None:
        self.budget = budget
        self._unpacked = unpacked
        unpacked.headers_left = _MOST_HEADERS
        self._tar = tarfile.TarFile(fileobj=unpacked, mode="r")

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member, or None at the end."""
        self._unpacked.headers_left = _MOST_HEADERS
        member = self._tar.next()
        self._unpacked.headers_left = None
        # Or it would keep every member in memory. The attribute has no public name.
        self._tar.members.clear()  # type: ignore[attr-defined]
        return member

    def open(self, member: tarfile.TarInfo) -> IO[bytes]:
        """Open the content of a file, to be read before the next member."""
        content = self._tar.extractfile(member)
        if content is None:
            raise DamagedArchiveError("the archive has a file without content")
        return content


@contextmanager
def _open_archive(source: BinaryIO, budget: Budget) -> Iterator[_Archive]:
    """Open an archive, and turn every error of its content into `DamagedArchiveError`."""
    try:
        with gzip.open(source) as file:
            yield _Archive(_Unpacked(file, budget), budget)
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise DamagedArchiveError(f"the archive is damaged: {error}") from error


def _members(archive: _Archive) -> Iterator[tuple[str, tarfile.TarInfo, Stamp]]:
    """Yield the members that can be unpacked, with a path that stays inside."""
    while (member := archive.next()) is not None:
        path = member.name.strip("/")
        archive.budget.take_entry(path)
        if not path or {"", ".", ".."} & set(path.split("/")):
            continue
        stamp = _stamp_of_member(member)
        if stamp is None:
            continue
        if not _can_exist(path) or not (stamp.kind != LINK or _can_lead(stamp.target)):
            # Found before anything is unpacked, and not when half of the files are written.
            raise DamagedArchiveError("the archive has a name that no file can have")
        yield path, member, stamp


def _can_exist(path: str) -> bool:
    names = os.fsencode(path).split(b"/")
    return _can_lead(path) and max(map(len, names)) <= _LONGEST_NAME


def _can_lead(target: str) -> bool:
    return 0 < len(os.fsencode(target)) <= _LONGEST_PATH and "\0" not in target
