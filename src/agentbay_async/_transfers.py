"""Whole files between this machine and a context: streamed, verified, all or nothing.

A download is written beside its target and renamed when it is complete and verified, so a target is
either the old file or the new one. Checksums are compared when the store's ETag is an MD5, as it is
for files that were uploaded in one piece.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

from agentbay_async._retry import RetryPolicy, next_wait
from agentbay_async.context_records import TransferProgress, TransferReceipt
from agentbay_async.errors import (
    ArgumentTypeError,
    InvalidArgumentError,
    TransferError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async._api import Api

    Progress = Callable[[TransferProgress], Awaitable[None] | None]

_MD5 = re.compile(r"[0-9a-fA-F]{32}\Z")
_ACCEPTED = frozenset({200, 201, 204})
_CHUNK = 256 * 1024


class _Sink(Protocol):
    """Takes the chunks of a download."""

    async def write(self, chunk: bytes) -> object: ...


class _Meter:
    """Counts and digests what passes, and tells the caller."""

    def __init__(self, total: int | None, progress: Progress | None) -> None:
        self.done = 0
        self._total = total
        self._progress = progress
        self._digest = hashlib.md5(usedforsecurity=False)

    async def saw(self, chunk: bytes) -> None:
        """Count a chunk."""
        self.done += len(chunk)
        self._digest.update(chunk)
        if self._progress is not None:
            waiting = self._progress(TransferProgress(self.done, self._total))
            if waiting is not None:
                await waiting

    def receipt(self, path: str, etag: str, what: str) -> TransferReceipt:
        """Return the receipt.

        Raises:
            TransferError: The store's checksum is another.
        """
        comparable = _MD5.match(etag) is not None
        if comparable and etag.lower() != self._digest.hexdigest():
            raise failure(f"{what} of {path}: the checksum does not match", path)
        return TransferReceipt(path, self.done, etag, verified=comparable)


def failure(message: str, path: str, http_status: int | None = None) -> TransferError:
    """Return the error for a file that could not be carried."""
    error = TransferError(message, http_status=http_status)
    error.path = path
    return error


def check_source(source: object) -> bytes | Path:
    """Return what to upload: bytes, or an existing file.

    Raises:
        InvalidArgumentError: There is no such file.
        ArgumentTypeError: It is neither bytes nor a path.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if not isinstance(source, (str, os.PathLike)):
        raise ArgumentTypeError(f"source must be bytes or a path, not {type(source).__name__}")
    path = Path(source)
    if not path.is_file():
        raise InvalidArgumentError(f"source must be an existing file: {str(path)!r} is none")
    return path


def check_target(target: object) -> Path:
    """Return where a download goes.

    Raises:
        InvalidArgumentError: Its directory does not exist, or it is a directory itself.
        ArgumentTypeError: It is not a path.
    """
    if not isinstance(target, (str, os.PathLike)):
        raise ArgumentTypeError(f"target must be a path, not {type(target).__name__}")
    path = Path(target)
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidArgumentError(f"target must be a file in an existing directory: {str(path)!r}")
    return path


async def upload(
    api: Api,
    path: str,
    url: Callable[[], Awaitable[str]],
    source: bytes | Path,
    progress: Progress | None,
) -> TransferReceipt:
    """Upload `source` to the URL that `url` fetches; a fresh one for each attempt."""
    from agentbay_async._wire import blobs

    async def attempt() -> TransferReceipt:
        size = await _size(source)
        meter = _Meter(size, progress)
        stored = await blobs.put(
            api.pools, await url(), _read(source, meter), size, silence=api.settings.timeout
        )
        if stored.status not in _ACCEPTED:
            raise failure(f"upload of {path}: HTTP {stored.status}", path, stored.status)
        if meter.done != size:
            raise failure(f"upload of {path}: the file changed while it was read", path)
        return meter.receipt(path, stored.etag, "upload")

    return await _persistently(api, attempt)


async def _size(source: bytes | Path) -> int:
    return len(source) if isinstance(source, bytes) else (await anyio.Path(source).stat()).st_size


async def _read(source: bytes | Path, meter: _Meter) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), _CHUNK):
            yield source[start : start + _CHUNK]
            await meter.saw(source[start : start + _CHUNK])
        return
    async with await anyio.open_file(source, "rb") as file:
        while chunk := await file.read(_CHUNK):
            yield chunk
            await meter.saw(chunk)


async def download(
    api: Api, path: str, url: Callable[[], Awaitable[str]], target: Path, progress: Progress | None
) -> TransferReceipt:
    """Download the URL that `url` fetches to `target`; a fresh one for each attempt."""
    from agentbay_async._wire import blobs

    async def attempt() -> TransferReceipt:
        async with blobs.get(api.pools, await url(), silence=api.settings.timeout) as fetched:
            if fetched.status != 200:
                reason = "there is no such file" if fetched.status == 404 else "refused"
                raise failure(
                    f"download of {path}: {reason} [HTTP {fetched.status}]", path, fetched.status
                )
            meter = _Meter(fetched.size, progress)
            async with _replacing(target) as sink:
                async for chunk in fetched.chunks:
                    await sink.write(chunk)
                    await meter.saw(chunk)
                if fetched.size not in (None, meter.done):
                    raise failure(f"download of {path}: {meter.done} of {fetched.size} bytes", path)
                return meter.receipt(path, fetched.etag, "download")

    return await _persistently(api, attempt)


@asynccontextmanager
async def _replacing(target: Path) -> AsyncIterator[_Sink]:
    """Write beside `target` and take its place at the end, unless there was an error."""
    partial = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        async with await anyio.open_file(partial, "xb") as file:
            yield file
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


async def _persistently(
    api: Api, attempt: Callable[[], Awaitable[TransferReceipt]]
) -> TransferReceipt:
    """Try again after a broken line: writing a file twice does no more than writing it once."""
    policy = RetryPolicy()
    for number in range(1, policy.attempts + 1):
        try:
            return await attempt()
        except TransportError as error:
            wait = next_wait(
                policy, number, error, repeatable=True, remaining=api.settings.deadline
            )
            if wait is None:
                raise
        await api.clock.sleep(wait)
    raise AssertionError("the last attempt returns or raises")
