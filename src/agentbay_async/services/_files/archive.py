"""Directories of this machine as one archive, and back.

What comes out of a session is not trusted: names that lead out of the target, devices and links
that point elsewhere are refused, and links are made last, so that nothing is written through them.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnsafeArchiveError(OSError):
    """An archive holds what must not be written to this machine."""


def pack(source: Path, archive: Path) -> None:
    """Write what is in the directory `source` to a new archive: files, directories, links."""
    with tarfile.open(archive, "x", format=tarfile.PAX_FORMAT) as tar:
        for entry in sorted(source.iterdir()):
            tar.add(entry, entry.name, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out whose a file is, and what is no file: sockets, pipes, devices."""
    if not _is_plain(member):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isfile() or member.isdir() or member.issym() or member.islnk()


def unpack(archive: Path, target: Path) -> None:
    """Write the content of an archive below the directory `target`, over what is there.

    Raises:
        UnsafeArchiveError: It holds a name or link that leads out of `target`, or a device.
    """
    with tarfile.open(archive, "r:") as tar:
        members = list(_placed(tar, target))
        for member, place in members:
            _clear(place, target, keep_directory=member.isdir())
            if member.isdir():
                place.mkdir(exist_ok=True)
            elif member.isfile():
                _write(tar, member, place)
        written = {place for member, place in members if member.isfile()}
        for member, place in members:
            if member.islnk():
                shutil.copy2(_linked(member, target, written), place)
        for member, place in members:
            if member.issym():
                place.symlink_to(_kept_inside(member))


def _placed(tar: tarfile.TarFile, target: Path) -> Iterator[tuple[tarfile.TarInfo, Path]]:
    for member in tar:
        name = PurePosixPath(member.name)
        if name == PurePosixPath():
            continue
        # A sparse file of a terabyte fits into an archive of a kilobyte.
        if not _is_plain(member) or member.issparse():
            raise UnsafeArchiveError(f"{member.name} is no plain file, directory or link")
        if member.issym():
            _kept_inside(member)
        yield member, _inside(target, name)


def _inside(target: Path, name: PurePosixPath) -> Path:
    if name.is_absolute() or ".." in name.parts:
        raise UnsafeArchiveError(f"{name} leads out of the directory")
    return target.joinpath(*name.parts)


def _linked(member: tarfile.TarInfo, target: Path, written: set[Path]) -> Path:
    """Return the file that a hard link is another name of."""
    source = _inside(target, PurePosixPath(member.linkname))
    if source not in written:
        raise UnsafeArchiveError(f"{member.name} is another name of what is not in the archive")
    return source


def _kept_inside(member: tarfile.TarInfo) -> str:
    """Return where a symbolic link points, if that is below the directory that is written.

    Only its first parts may be ``..``: behind the name of another link they lead anywhere.
    """
    parts = PurePosixPath(member.linkname).parts
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    depth = len(PurePosixPath(member.name).parent.parts)
    if os.path.isabs(member.linkname) or ".." in parts[ups:] or ups > depth:
        raise UnsafeArchiveError(f"{member.name} points to {member.linkname}")
    return member.linkname


def _clear(place: Path, target: Path, *, keep_directory: bool) -> None:
    """Make room for an entry: no link may stand in its place or on the way to it."""
    for parent in reversed([*place.relative_to(target).parents][:-1]):
        _unlink(target / parent)
        (target / parent).mkdir(exist_ok=True)
    if not (keep_directory and place.is_dir() and not place.is_symlink()):
        _unlink(place, whatever=True)


def _unlink(place: Path, *, whatever: bool = False) -> None:
    if place.is_symlink() or (whatever and place.exists() and not place.is_dir()):
        place.unlink()


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise UnsafeArchiveError(f"{member.name} has no content")
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)
    place.chmod(member.mode & 0o777)
