"""Read archives that gzip, xz or zstd has compressed.

What gzip compressed is read as it is. The others are unpacked into a temporary file first, within
bounds of memory and size, because archives are read out of order. The standard library reads zstd
since Python 3.14; before, the program `zstd` does.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import tempfile
from importlib import import_module
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, cast

from agentbay_local.images.unpack import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["uncompressed"]

MOST_BYTES = 24 * 1024**3
"""Bytes of an archive that are unpacked: a little more than a layer may have."""

_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_PIECE = 1024 * 1024
# What the strongest usual levels need; a hostile archive asks for gigabytes.
_XZ_MEMORY = 256 * 1024**2
_MOST_SAID = 300


def uncompressed(file: IO[bytes]) -> IO[bytes]:
    """Return a file to read what a compressed file holds; any other file as it is.

    Raises:
        ArchiveError: It is damaged or too large, or nothing here can read it.
    """
    magic = file.read(len(_XZ))
    file.seek(0)
    if magic.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if magic == _XZ:
        return _unpacked(_pieces(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)))
    if magic.startswith(_ZSTD):
        return _unpacked(_zstd_pieces(file))
    return file


def _unpacked(pieces: Iterator[bytes]) -> IO[bytes]:
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads it
    try:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > MOST_BYTES:
                raise ArchiveError(f"the archive would have more than {MOST_BYTES} bytes")
            target.write(piece)
    except BaseException as error:
        target.close()
        if isinstance(error, (EOFError, lzma.LZMAError)):
            raise ArchiveError(f"the archive is damaged: {error}") from error
        raise
    target.seek(0)
    return cast("IO[bytes]", target)


# The decompressors of lzma and of zstd have the same methods.
def _pieces(file: IO[bytes], start: Callable[[], Any]) -> Iterator[bytes]:
    """Yield the content of the streams in a file, one after the other, in bounded pieces."""
    current, data = start(), file.read(_PIECE)
    is_open = True
    while data:
        yield current.decompress(data, _PIECE)
        while not (current.eof or current.needs_input):
            yield current.decompress(b"", _PIECE)
        is_open, data = not current.eof, b""
        if current.eof:
            # Zeros may fill up the end of a stream.
            data, current = current.unused_data.lstrip(b"\0"), start()
        data = data or file.read(_PIECE)
        if not is_open:
            data = data.lstrip(b"\0")
    if is_open:
        raise EOFError("it ends too early")


def _zstd_pieces(file: IO[bytes]) -> Iterator[bytes]:
    if find_spec("compression") is not None:
        zstd = import_module("compression.zstd")
        try:
            yield from _pieces(file, zstd.ZstdDecompressor)
        except zstd.ZstdError as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error
        return
    program = shutil.which("zstd")
    if program is None:
        raise ArchiveError(
            "the archive is compressed with zstd, which needs Python 3.14 or the program zstd: "
            "install zstd, or save the archive with gzip"
        )
    yield from _output_of([program, "-dcq"], file)


def _output_of(command: list[str], file: IO[bytes]) -> Iterator[bytes]:
    # A blob within an archive has no descriptor of its own.
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
        shutil.copyfileobj(file, source)
        source.seek(0)
        process = subprocess.Popen(  # noqa: S603 - a program of this machine, without a shell
            command, stdin=source, stdout=subprocess.PIPE, stderr=errors
        )
        with process, cast("IO[bytes]", process.stdout) as output:
            try:
                yield from iter(lambda: output.read(_PIECE), b"")
            except BaseException:  # the reader has had enough
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            said = errors.read(_MOST_SAID).decode("utf-8", "replace").strip()
            raise ArchiveError(f"the archive is damaged: {said}")
