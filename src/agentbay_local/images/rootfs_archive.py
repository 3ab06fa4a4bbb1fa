"""Root file systems of other machines: an OCI image layout, or a tar archive of all files.

The layout is a directory or a tar archive: `index.json` names manifests, these name layers, and
each of them is a blob that is named after its SHA-256. Container engines write it with `save`; the
archive of all files is what they write with `export`.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import platform
import re
import tarfile
from typing import IO, TYPE_CHECKING, Any

import attrs

from agentbay_local.images.apt import sha256_of
from agentbay_local.images.decompression import uncompressed
from agentbay_local.images.unpack import ArchiveError, BoundedMember
from agentbay_local.sandbox.host.openat import open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agentbay_local.images.unpack import Unpacker

__all__ = ["RootArchives", "open_archives", "unpack_root"]

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
_OF_LAYOUT = frozenset({"blobs", "index.json", "manifest.json", "oci-layout", "repositories"})
_MAX_DOCUMENT = 4 * 1024 * 1024
_MAX_LAYERS = 500
_MAX_NESTING = 4
_MAX_MEMBERS = 100_000


@attrs.frozen
class RootArchives:
    """The archives of a root file system.

    Attributes:
        streams: Uncompressed tar archives, the lowest first; each is to be read before the next.
        whiteouts: They name files of the archives before that are gone.
    """

    streams: Iterator[IO[bytes]]
    whiteouts: bool


def unpack_root(source: Path, unpacker: Unpacker) -> None:
    """Unpack a root file system.

    Raises:
        ArchiveError: It is damaged, hostile, too large or something else.
        OSError: It cannot be read, or the layer cannot be written.
    """
    with open_archives(source) as archives:
        for archive in archives.streams:
            unpacker.unpack(archive, whiteouts=archives.whiteouts)


@contextlib.contextmanager
def open_archives(source: Path) -> Iterator[RootArchives]:
    """Open a root file system.

    Raises:
        ArchiveError: It is damaged, or something else.
        OSError: It cannot be read.
    """
    with contextlib.ExitStack() as stack:
        if source.is_dir():
            yield RootArchives(_layers(_open_directory(source, stack)), whiteouts=True)
            return
        file = stack.enter_context(source.open("rb"))
        opened = stack.enter_context(uncompressed(file))
        with _as_archive_error(source):
            first = _first_name(opened)
        opened.seek(0)
        if first in _OF_LAYOUT:
            with _as_archive_error(source):
                layout = _open_tar(opened, stack)
            yield RootArchives(_layers(layout), whiteouts=True)
        else:
            yield RootArchives(iter([opened]), whiteouts=False)


@contextlib.contextmanager
def _as_archive_error(source: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, RecursionError, gzip.BadGzipFile) as error:
        raise ArchiveError(f"{source.name} is not a tar archive, or is damaged: {error}") from error


def _first_name(file: IO[bytes]) -> str:
    """Return the first part of the first name in an archive, which tells what it is."""
    with tarfile.open(fileobj=file, mode="r|", tarinfo=BoundedMember) as tar:
        for _ in range(_MAX_NESTING):
            member = tar.next()
            name = "" if member is None else member.name.removeprefix("./").split("/")[0]
            if name not in ("", "."):
                return name
    return ""


def _open_directory(source: Path, stack: contextlib.ExitStack) -> Callable[[str], IO[bytes]]:
    """Return a function that opens a file of a layout; its links lead nowhere else."""
    root = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, root)

    def open_file(path: str) -> IO[bytes]:
        try:
            return os.fdopen(open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise ArchiveError(f"{source.name} has no {path}, so it is no OCI layout") from error

    return open_file


def _open_tar(file: IO[bytes], stack: contextlib.ExitStack) -> Callable[[str], IO[bytes]]:
    # Closed by the stack.
    opened = tarfile.open(fileobj=file, mode="r:", tarinfo=BoundedMember)  # noqa: SIM115
    tar = stack.enter_context(opened)
    members: dict[str, tarfile.TarInfo] = {}
    while (member := tar.next()) is not None:
        members[member.name.removeprefix("./")] = member
        if len(members) > _MAX_MEMBERS:
            raise ArchiveError("the archive of the layout has too many members")

    def open_file(path: str) -> IO[bytes]:
        found = members.get(path)
        content = tar.extractfile(found) if found is not None and found.isreg() else None
        if content is None:
            raise ArchiveError(
                f"the archive has no {path}, so it is no OCI layout: save it as one, for example "
                "with `podman save --format oci-archive` or `docker save` of Docker 25 or newer"
            )
        return content

    return open_file


def _layers(open_file: Callable[[str], IO[bytes]]) -> Iterator[IO[bytes]]:
    """Yield the layers of the one image in a layout that is for this machine."""
    with open_file("index.json") as file:
        index = _document(file)
    manifest = _manifest(open_file, index, 0)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= _MAX_LAYERS:
        raise ArchiveError("the manifest of the layout names no layers, or too many")
    for layer in layers:
        with _open_blob(open_file, layer) as blob, uncompressed(blob) as opened:
            yield opened


def _manifest(
    open_file: Callable[[str], IO[bytes]], index: Mapping[str, Any], depth: int
) -> Mapping[str, Any]:
    entries = index.get("manifests")
    if entries is None and depth:
        return index
    suitable = [one for one in entries if _is_suitable(one)] if isinstance(entries, list) else []
    if len(suitable) != 1 or depth >= _MAX_NESTING:
        raise ArchiveError(
            f"the layout has {len(suitable)} images for Linux on {_machine()}; it must have one"
        )
    with _open_blob(open_file, suitable[0]) as blob:
        return _manifest(open_file, _document(blob), depth + 1)


def _is_suitable(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    wanted = entry.get("platform")
    if not isinstance(wanted, dict):
        return True
    return wanted.get("os") == "linux" and wanted.get("architecture") == _machine()


def _machine() -> str:
    return _MACHINES.get(platform.machine(), platform.machine())


def _open_blob(open_file: Callable[[str], IO[bytes]], descriptor: object) -> IO[bytes]:
    """Open a blob after a comparison with its name."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    found = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if found is None:
        raise ArchiveError("the layout names a blob otherwise than by its SHA-256")
    blob = open_file(f"blobs/sha256/{found[1]}")
    if sha256_of(blob) != found[1]:
        blob.close()
        raise ArchiveError(f"blob {found[1][:12]} of the layout is damaged")
    blob.seek(0)
    return blob


def _document(file: IO[bytes]) -> dict[str, Any]:
    content = file.read(_MAX_DOCUMENT + 1)
    try:
        values = json.loads(content) if len(content) <= _MAX_DOCUMENT else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ArchiveError("a document of the layout is damaged or too long")
    return values
