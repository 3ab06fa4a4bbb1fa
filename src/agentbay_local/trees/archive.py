"""Many files of a session as one archive in its context.

The archive is always called `ARCHIVE` and lies at the top of the context: a gzipped tar, because
that is what every client can open with what it has. It holds paths relative to the mount and is
unpacked there, so that files come back to where they were. (``extractToCurrentFolder`` therefore
changes nothing: for this archive both places are the same.) Archives that people have put into a
context themselves are files like any other and are never unpacked.
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

_PIECE = 1 << 20


def pack(top: int, manifest: Manifest, target: Path) -> None:
    """Write the entries of a manifest below an open directory into a new archive.

    Raises:
        OSError: Something could not be read or written.
    """
    with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
        for path, mark in manifest.items():
            member = tarfile.TarInfo(path)
            if mark.kind == FILE:
                _add_file(archive, member, open_source(top, path))
            else:
                member.type = tarfile.DIRTYPE if mark.kind == DIRECTORY else tarfile.SYMTYPE
                member.linkname, member.mode = mark.target, 0o755
                archive.addfile(member)


def _add_file(archive: tarfile.TarFile, member: tarfile.TarInfo, source: int) -> None:
    with os.fdopen(source, "rb") as file:
        facts = os.fstat(source)
        member.size, member.mode = facts.st_size, facts.st_mode & 0o777
        # Text, because a float would lose the nanoseconds by which changes are found.
        member.pax_headers = {
            "mtime": f"{facts.st_mtime_ns // 10**9}.{facts.st_mtime_ns % 10**9:09}"
        }
        archive.addfile(member, file)


def unpack(source: BinaryIO, landing: AtomicWriter, wanted: Callable[[str], bool]) -> Manifest:
    """Put the files of an archive into a tree; return what was put.

    Args:
        source: The archive; its content is not trusted.
        landing: Where to.
        wanted: Which paths.

    Raises:
        OSError: Something could not be written.
        tarfile.TarError: It is no archive.
    """
    put: Manifest = {}
    with tarfile.open(fileobj=source, mode="r|gz") as archive:
        for member in archive:
            path = member.name.strip("/")
            safe = bool(path) and not {"", ".", ".."} & set(path.split("/"))
            if safe and wanted(path):
                mark = _put(archive, member, path, landing)
                if mark is not None:
                    put[path] = mark
    return put


def _put(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, landing: AtomicWriter
) -> Stamp | None:
    if member.isdir():
        landing.directory(path)
        return Stamp(DIRECTORY)
    if member.issym():
        landing.link(path, member.linkname)
        return Stamp(LINK, target=member.linkname)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        return None
    mark = Stamp(FILE, member.size, _nanoseconds(member), member.mode & 0o777)

    def write(target: int) -> Stamp:
        while piece := content.read(_PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
        return mark

    return landing.file(path, write)


def _nanoseconds(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime", "") or str(int(member.mtime))
    seconds, _, rest = text.partition(".")
    return int(seconds) * 10**9 + int(f"{rest:0<9.9}" or 0)
