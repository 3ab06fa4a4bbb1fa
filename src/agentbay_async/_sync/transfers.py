"""Upload and download files of contexts: streamed, verified, all or nothing.

A download is written to a temporary file beside its target, and renamed when it is complete and
verified; so the target is either the old file or the complete new one. A checksum is compared
if the store or the session tells the MD5 of the content.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
import attrs
from anyio import to_thread

from agentbay_async._retry import RetryPolicy, next_wait
from agentbay_async.errors import (
    ArgumentTypeError,
    InvalidArgumentError,
    TransferError,
    TransportError,
)
from agentbay_async.models.contexts import TransferProgress, TransferReceipt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

    from agentbay_async._api import Api
    from agentbay_async._transport import object_store

    Progress = Callable[[TransferProgress], Awaitable[None] | None]

_ACCEPTED = frozenset({200, 201, 204})
# Bytes that one call on a thread reads or writes. To reach the thread takes a tenth of the time of
# hashing them.
CHUNK = 512 * 1024


def check_source(source: object) -> bytes | Path:
    """Check the source of an upload: bytes, or an existing file.

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
        raise InvalidArgumentError(
            f"source must be an existing file; there is no file {str(path)!r}"
        )
    return path


def check_target(target: object) -> Path:
    """Check the target of a download.

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
    content_type: str = "",
) -> TransferReceipt:
    """Upload `source` as the context's file `path`.

    Args:
        api: The service.
        path: Path of the file in the context, for messages.
        url: Fetches a URL to write to; called once for each attempt, since URLs expire.
        source: The content.
        progress: Called after each chunk.
        content_type: The content type to store, or ``""``.
    """

    async def attempt(address: str) -> TransferReceipt:
        async with opened(source, path) as reader:
            meter = Meter(reader.size, progress)
            # The connection closes the generator: it may still read after a cancel.
            stored = await _put(api, address, reader.chunks(meter), reader, content_type)
        if stored.status not in _ACCEPTED:
            reason = f" ({stored.reason})" if stored.reason else ""
            raise failed(f"upload of {path}: HTTP {stored.status}{reason}", path, stored.status)
        receipt = meter.receipt(path, stored.etag, "upload", stored.md5)
        return attrs.evolve(receipt, http_status=stored.status)

    return await _with_retries(api, url, attempt)


async def _put(
    api: Api,
    address: str,
    body: AsyncGenerator[bytes, None],
    reader: Reader,
    content_type: str,
) -> object_store.UploadResponse:
    from agentbay_async._transport import object_store

    try:
        return await object_store.put(
            api.pools,
            address,
            body,
            reader.size,
            idle_timeout=api.settings.timeout,
            content_type=content_type,
        )
    except TransportError:
        if reader.failure is None:
            raise
        # To the connection, an error of the reader looks like a broken connection.
        raise reader.failure from None


async def download(
    api: Api,
    path: str,
    url: Callable[[], Awaitable[str]],
    target: Path,
    progress: Progress | None,
    md5: Callable[[], Awaitable[str]] | None = None,
) -> TransferReceipt:
    """Download the context's file `path` to `target`; see :func:`upload` for the arguments.

    With `md5`, the content must have the checksum that it returns, in hexadecimal; ``""`` if that
    is unknown. It is called after the last byte, so that it can be found out meanwhile.
    """
    from agentbay_async._transport import object_store

    async def attempt(address: str) -> TransferReceipt:
        async with object_store.get(
            api.pools, address, idle_timeout=api.settings.timeout
        ) as fetched:
            if fetched.status != 200:
                reason = "there is no such file" if fetched.status == 404 else "it was refused"
                raise failed(
                    f"download of {path}: {reason} [HTTP {fetched.status}]", path, fetched.status
                )
            if fetched.compressed:
                reason = "the store compressed it, so it cannot be verified"
                raise failed(f"download of {path}: {reason}", path)
            meter = Meter(fetched.size, progress)
            async with replacing(target, path) as write:
                async for chunk in fetched.chunks:
                    await meter.save(chunk, write)
                if fetched.size not in (None, meter.done):
                    raise failed(f"download of {path}: {meter.done} of {fetched.size} bytes", path)
                told = "" if md5 is None else await _told_checksum(md5, path)
                receipt = meter.receipt(path, fetched.etag, "download", fetched.md5, told)
                return attrs.evolve(receipt, http_status=fetched.status)

    return await _with_retries(api, url, attempt)


async def _told_checksum(md5: Callable[[], Awaitable[str]], path: str) -> str:
    try:
        return await md5()
    except TransportError as error:
        # Not retried: another download of the same content would not tell it either.
        raise failed(f"download of {path}: its checksum is unknown ({error})", path) from error


def failed(message: str, path: str, http_status: int | None = None) -> TransferError:
    """Return the error for a failed transfer."""
    error = TransferError(message, http_status=http_status)
    error.path = path
    return error


class Meter:
    """Count and hash the transferred bytes, and report progress."""

    def __init__(self, total: int | None, progress: Progress | None) -> None:
        self.done = 0
        self._total = total
        self._progress = progress
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        """The checksum of the transferred bytes, in hexadecimal."""
        return self._digest.hexdigest()

    def hash(self, chunk: bytes) -> None:
        """Add a chunk to the checksum. Call it on a thread: a chunk takes up to a millisecond."""
        self._digest.update(chunk)

    async def save(self, chunk: bytes, write: Callable[[bytes], None]) -> None:
        """Write, hash and count a chunk."""

        def write_and_hash() -> None:
            write(chunk)
            self.hash(chunk)

        # Both in one call on a thread, because reaching a thread takes time.
        await to_thread.run_sync(write_and_hash)
        await self.count(chunk)

    async def count(self, chunk: bytes) -> None:
        """Count a chunk that is hashed, and report the progress."""
        self.done += len(chunk)
        if self._progress is not None:
            waiting = self._progress(TransferProgress(self.done, self._total))
            if waiting is not None:
                await waiting

    def receipt(self, path: str, etag: str, what: str, *md5: str) -> TransferReceipt:
        """Return the receipt.

        Args:
            path: Path of the file.
            etag: The store's tag. It need not be a checksum.
            what: ``"upload"`` or ``"download"``, for the message.
            md5: The checksums that the other sides tell, in hexadecimal, or ``""``.

        Raises:
            TransferError: The content does not match one of them.
        """
        checksums = [text for text in md5 if text]
        if any(text != self.md5 for text in checksums):
            raise failed(f"{what} of {path}: the checksum does not match", path)
        return TransferReceipt(path, self.done, etag, verified=bool(checksums), md5=self.md5)


class Reader:
    """The content of an upload, in chunks.

    Attributes:
        size: Bytes in the content.
        failure: The error that stopped the reading, or ``None``.
    """

    def __init__(self, file: IO[bytes], size: int, path: str) -> None:
        self.size = size
        self.failure: Exception | None = None
        self._file = file
        self._path = path

    async def chunks(self, meter: Meter) -> AsyncGenerator[bytes, None]:
        """Yield the content. Chunks are counted first, because the last yield may not return."""
        try:
            while chunk := await to_thread.run_sync(self._read_and_hash, meter):
                await meter.count(chunk)
                if meter.done > self.size:
                    break
                yield chunk
            if meter.done != self.size:
                raise failed(f"upload of {self._path}: it changed while it was read", self._path)
        except Exception as error:
            self.failure = error
            raise

    def _read_and_hash(self, meter: Meter) -> bytes:
        with _disk(self._path, "read"):
            chunk = self._file.read(CHUNK)
        meter.hash(chunk)
        return chunk


@asynccontextmanager
async def opened(source: bytes | Path, path: str) -> AsyncIterator[Reader]:
    # The caller closes the file: the connection may leave the generator unfinished.
    if isinstance(source, bytes):
        yield Reader(BytesIO(source), len(source), path)
        return
    with _disk(path, "read"):
        file = await anyio.open_file(source, "rb")
    async with file:
        yield Reader(file.wrapped, os.fstat(file.wrapped.fileno()).st_size, path)


@asynccontextmanager
async def replacing(target: Path, path: str) -> AsyncIterator[Callable[[bytes], None]]:
    """Yield a function that writes a temporary file; replace `target` if no error occurs.

    The function is for a thread.
    """
    partial = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        with _disk(path, "written"):
            file = await anyio.open_file(partial, "xb")

        def write(chunk: bytes) -> None:
            with _disk(path, "written"):
                file.wrapped.write(chunk)

        async with file:
            yield write
        with _disk(path, "written"):
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _disk(path: str, what: str) -> Iterator[None]:
    """Convert an OSError of a local file, so that it is not taken for a network error."""
    try:
        yield
    except OSError as error:
        local = error.filename or "the local file"
        raise failed(f"{path}: {local} cannot be {what} ({error.strerror})", path) from error


async def _with_retries(
    api: Api,
    url: Callable[[], Awaitable[str]],
    attempt: Callable[[str], Awaitable[TransferReceipt]],
) -> TransferReceipt:
    """Retry after a broken connection: writing a file twice is harmless."""
    policy = RetryPolicy()
    number = 1
    while True:
        address = await url()
        try:
            return await attempt(address)
        except TransportError as error:
            wait = next_wait(
                policy, number, error, repeatable=True, remaining=api.settings.deadline
            )
            if wait is None:
                raise
        await api.clock.sleep(wait)
        number += 1
