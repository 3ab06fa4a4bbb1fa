"""Pack the files of a session into one archive in its context, and unpack it.

The archive is a gzipped tar, which every client can open, named `ARCHIVE` at the top of the
context. Its paths are relative to the mount, where it is unpacked, so ``extractToCurrentFolder``
makes no difference. Other archives in a context are ordinary files and are never unpacked.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentbay_local.trees.atomic_write import AtomicWriter, Source
    from agentbay_local.trees.budget import Budget

__all__ = ["ARCHIVE", "DamagedArchiveError", "measure", "pack", "unpack"]

ARCHIVE = ".agentbay-archive.tar.gz"

_CHUNK = 64 * 1024
_MOST_HEADERS = 1 << 20


class DamagedArchiveError(ValueError):
    """An archive is not a gzipped tar, or is not whole, or was made to do harm."""


def pack(source: Source, manifest: Manifest, target: Path) -> Manifest:
    """Write the entries of a manifest into a new archive; return them as they were packed.

    Raises:
        UnstableFileError: A file changed meanwhile.
        BudgetExceededError: They are larger than the budget allows; here holes count.
        OSError: A file cannot be read or written.
    """
    packed: Manifest = {}
    with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
        for path, stamp in manifest.items():
            member = tarfile.TarInfo(path)
            packed[path] = stamp
            if stamp.kind == FILE:
                packed[path] = _add_file(archive, member, source)
            else:
                member.type = tarfile.DIRTYPE if stamp.kind == DIRECTORY else tarfile.SYMTYPE
                member.linkname, member.mode = stamp.target, 0o755
                archive.addfile(member)
    return packed


def _add_file(archive: tarfile.TarFile, member: tarfile.TarInfo, source: Source) -> Stamp:
    with os.fdopen(source.open(member.name), "rb") as file:
        stamp = stamp_of(os.fstat(file.fileno()))
        if stamp is None:
            raise UnstableFileError(member.name)
        source.budget.take_bytes(stamp.size)
        member.size, member.mode = stamp.size, stamp.mode
        # As text, because a float would lose the nanoseconds that change detection compares.
        member.pax_headers = {"mtime": f"{stamp.mtime // 10**9}.{stamp.mtime % 10**9:09}"}
        try:
            archive.addfile(member, file)
        except OSError as error:
            if error.errno is None:  # it was cut short
                raise UnstableFileError(member.name) from None
            raise
        if stamp_of(os.fstat(file.fileno())) != stamp:
            raise UnstableFileError(member.name)
    return stamp


def measure(source: BinaryIO, wanted: Callable[[str], bool], budget: Budget) -> int:
    """Read an archive to its end without writing; return the size of the wanted files.

    Raises:
        DamagedArchiveError: It cannot be unpacked.
        BudgetExceededError: It holds more than the budget allows, wanted or not.
    """
    size = 0
    with _open_archive(source, budget) as archive:
        for path, member in _members(archive):
            budget.take_entry(path)
            if wanted(path) and member.isreg():
                size += member.size
    return size


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
        for path, member in _members(archive):
            budget.take_entry(path)
            if wanted(path):
                stamp = _extract(archive, member, path, writer)
                if stamp is not None:
                    extracted[path] = stamp
    return extracted


def _extract(
    archive: _Archive, member: tarfile.TarInfo, path: str, writer: AtomicWriter
) -> Stamp | None:
    if member.isdir():
        writer.make_directory(path)
        return Stamp(DIRECTORY)
    if member.issym():
        writer.write_link(path, member.linkname)
        return Stamp(LINK, target=member.linkname)
    content = archive.tar.extractfile(member) if member.isreg() else None
    if content is None:
        return None
    stamp = Stamp(FILE, member.size, _mtime_ns(member), member.mode & 0o777)

    def write(target: int) -> Stamp:
        offset = 0
        while chunk := content.read(_CHUNK):
            write_sparsely(target, chunk, offset)
            offset += len(chunk)
        os.ftruncate(target, offset)
        return stamp

    return writer.write_file(path, write)


def _mtime_ns(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime", "") or str(int(member.mtime))
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
        tar: Its reader.
    """

    def __init__(self, unpacked: _Unpacked) -> None:
        self._unpacked = unpacked
        unpacked.headers_left = _MOST_HEADERS
        self.tar = tarfile.TarFile(fileobj=unpacked, mode="r")

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member, or None at the end."""
        self._unpacked.headers_left = _MOST_HEADERS
        member = self.tar.next()
        self._unpacked.headers_left = None
        # Or it would keep every member in memory. The attribute has no public name.
        self.tar.members.clear()  # type: ignore[attr-defined]
        return member


@contextmanager
def _open_archive(source: BinaryIO, budget: Budget) -> Iterator[_Archive]:
    """Open an archive, and turn every error of its content into `DamagedArchiveError`."""
    try:
        with gzip.open(source) as file:
            yield _Archive(_Unpacked(file, budget))
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise DamagedArchiveError(f"the archive is damaged: {error}") from error


def _members(archive: _Archive) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the members with a path that stays inside, with that path."""
    while (member := archive.next()) is not None:
        path = member.name.strip("/")
        if path and not {"", ".", ".."} & set(path.split("/")):
            yield path, member
