"""Pack the files of a session into one archive in its context, and unpack it.

The archive is a gzipped tar, which every client can open, named `ARCHIVE` at the top of the
context. Its paths are relative to the mount, where it is unpacked, so ``extractToCurrentFolder``
makes no difference. Other archives in a context are ordinary files and are never unpacked.
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, BinaryIO

from agentbay_local.trees.atomic_write import AtomicWriter, open_source
from agentbay_local.trees.manifest import DIRECTORY, FILE, LINK, Manifest, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ARCHIVE", "pack", "unpack"]

ARCHIVE = ".agentbay-archive.tar.gz"

_CHUNK = 1 << 20


def pack(top: int, manifest: Manifest, target: Path) -> None:
    """Write the entries of a manifest below an open directory into a new archive.

    Raises:
        OSError: A file cannot be read or written.
    """
    with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
        for path, stamp in manifest.items():
            member = tarfile.TarInfo(path)
            if stamp.kind == FILE:
                _add_file(archive, member, open_source(top, path))
            else:
                member.type = tarfile.DIRTYPE if stamp.kind == DIRECTORY else tarfile.SYMTYPE
                member.linkname, member.mode = stamp.target, 0o755
                archive.addfile(member)


def _add_file(archive: tarfile.TarFile, member: tarfile.TarInfo, source: int) -> None:
    with os.fdopen(source, "rb") as file:
        status = os.fstat(source)
        member.size, member.mode = status.st_size, status.st_mode & 0o777
        # As text, because a float would lose the nanoseconds that change detection compares.
        member.pax_headers = {
            "mtime": f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09}"
        }
        archive.addfile(member, file)


def unpack(source: BinaryIO, writer: AtomicWriter, wanted: Callable[[str], bool]) -> Manifest:
    """Extract an archive into a tree; return the entries that were written.

    Args:
        source: The archive, which is not trusted.
        writer: The tree to write to.
        wanted: Returns whether to extract a path.

    Raises:
        OSError: A file cannot be written.
        tarfile.TarError: The archive is invalid.
    """
    extracted: Manifest = {}
    with tarfile.open(fileobj=source, mode="r|gz") as archive:
        for member in archive:
            path = member.name.strip("/")
            safe = bool(path) and not {"", ".", ".."} & set(path.split("/"))
            if safe and wanted(path):
                stamp = _extract(archive, member, path, writer)
                if stamp is not None:
                    extracted[path] = stamp
    return extracted


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, writer: AtomicWriter
) -> Stamp | None:
    if member.isdir():
        writer.make_directory(path)
        return Stamp(DIRECTORY)
    if member.issym():
        writer.write_link(path, member.linkname)
        return Stamp(LINK, target=member.linkname)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        return None
    stamp = Stamp(FILE, member.size, _mtime_ns(member), member.mode & 0o777)

    def write(target: int) -> Stamp:
        while chunk := content.read(_CHUNK):
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
        return stamp

    return writer.write_file(path, write)


def _mtime_ns(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime", "") or str(int(member.mtime))
    seconds, _, rest = text.partition(".")
    return int(seconds) * 10**9 + int(f"{rest:0<9.9}" or 0)
