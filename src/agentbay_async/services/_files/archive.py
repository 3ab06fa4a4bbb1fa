"""Pack a local directory into a tar archive, and unpack one safely.

An archive from a session is not trusted. Names and links that lead out of the target directory,
devices and sparse files are refused. Links are created last, so that nothing is written through
them.
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
    """An archive has an entry that must not be written to this machine."""


def pack(source: Path, archive: Path) -> None:
    """Write the files, directories and links below `source` to a new archive."""
    with tarfile.open(archive, "x", format=tarfile.PAX_FORMAT) as tar:
        for entry in sorted(source.iterdir()):
            tar.add(entry, entry.name, filter=_filter_member)


def _filter_member(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Drop owners, and leave out sockets, pipes and devices."""
    if not _is_plain(member):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isfile() or member.isdir() or member.issym() or member.islnk()


def unpack(archive: Path, target: Path) -> None:
    """Write the content of an archive below the directory `target`, and overwrite files there.

    Raises:
        UnsafeArchiveError: A name or link leads out of `target`, or there is a device.
    """
    with tarfile.open(archive, "r:") as tar:
        members = list(_resolve_members(tar, target))
        for member, path in members:
            _clear(path, target, keep_directory=member.isdir())
            if member.isdir():
                path.mkdir(exist_ok=True)
            elif member.isfile():
                _write(tar, member, path)
        written = {path for member, path in members if member.isfile()}
        for member, path in members:
            if member.islnk():
                shutil.copy2(_link_source(member, target, written), path)
        for member, path in members:
            if member.issym():
                path.symlink_to(_check_link(member))


def _resolve_members(tar: tarfile.TarFile, target: Path) -> Iterator[tuple[tarfile.TarInfo, Path]]:
    for member in tar:
        name = PurePosixPath(member.name)
        if name == PurePosixPath():
            continue
        # A sparse file of a terabyte fits into an archive of a kilobyte.
        if not _is_plain(member) or member.issparse():
            raise UnsafeArchiveError(f"{member.name} is not a plain file, directory or link")
        if member.issym():
            _check_link(member)
        yield member, _join(target, name)


def _join(target: Path, name: PurePosixPath) -> Path:
    if name.is_absolute() or ".." in name.parts:
        raise UnsafeArchiveError(f"{name} is outside the directory")
    return target.joinpath(*name.parts)


def _link_source(member: tarfile.TarInfo, target: Path, written: set[Path]) -> Path:
    """Return the file that a hard link refers to; it must come from this archive."""
    source = _join(target, PurePosixPath(member.linkname))
    if source not in written:
        raise UnsafeArchiveError(
            f"{member.name} is a hard link to a file that is not in the archive"
        )
    return source


def _check_link(member: tarfile.TarInfo) -> str:
    """Return the target of a symbolic link, if it is below the target directory.

    Only leading parts may be ``..``: after the name of another link they could lead anywhere.
    """
    parts = PurePosixPath(member.linkname).parts
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    depth = len(PurePosixPath(member.name).parent.parts)
    if os.path.isabs(member.linkname) or ".." in parts[ups:] or ups > depth:
        raise UnsafeArchiveError(f"{member.name} points to {member.linkname}")
    return member.linkname


def _clear(path: Path, target: Path, *, keep_directory: bool) -> None:
    """Remove links at `path` and in its parents below `target`, and create those parents."""
    for parent in reversed([*path.relative_to(target).parents][:-1]):
        _unlink(target / parent)
        (target / parent).mkdir(exist_ok=True)
    if not (keep_directory and path.is_dir() and not path.is_symlink()):
        _unlink(path, files=True)


def _unlink(path: Path, *, files: bool = False) -> None:
    """Remove a symbolic link; with `files` also anything else but a directory."""
    if path.is_symlink() or (files and path.exists() and not path.is_dir()):
        path.unlink()


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise UnsafeArchiveError(f"{member.name} has no content")
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(member.mode & 0o777)
