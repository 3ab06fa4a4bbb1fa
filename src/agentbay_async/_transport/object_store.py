"""Upload and download files by presigned URLs: streamed, never whole in memory.

A presigned URL grants access by itself, so no key is sent with it, and no message shows it.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
import attrs

from agentbay_async._protocol.codec import decode_base64
from agentbay_async._transport.http import (
    CAUGHT,
    CONNECT_TIMEOUT,
    parse_url,
    proxy_for,
    read_body,
    translate_error,
)
from agentbay_async.errors import BadAnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from yarl import URL

    from agentbay_async._transport.http import Pools

# The answer to an upload is empty, or an error as XML.
_MAX_ANSWER = 1024 * 1024
# The message of an error is near its beginning.
_LONGEST_ERROR = 8192
_MD5_SIZE = 16
# The fewest bytes of a chunk of a download, because each chunk costs a switch to a thread; and the
# most that one read returns.
_LEAST_CHUNK = 64 * 1024
_MOST_CHUNK = 512 * 1024

_MESSAGE = re.compile(r'<Message>([^<]+)</Message>|"Message": *"((?:[^"\\]|\\.)+)"')


@attrs.frozen
class UploadResponse:
    """The answer of the store to an upload.

    Attributes:
        status: The HTTP status.
        etag: The store's tag; it need not be a checksum.
        md5: The MD5 of the content, in hexadecimal, or ``""``.
        reason: The message of the store if it refused.
    """

    status: int
    etag: str
    md5: str
    reason: str = ""


@attrs.define
class Download:
    """A download in progress. ``size`` is ``None`` and ``md5`` is ``""`` if the store sent none."""

    status: int
    etag: str
    md5: str
    size: int | None
    compressed: bool
    chunks: AsyncIterator[bytes]


async def put(
    pools: Pools,
    url: str,
    body: AsyncIterable[bytes],
    size: int,
    *,
    idle_timeout: float,
    content_type: str = "",
) -> UploadResponse:
    """Upload `body` to `url`.

    Args:
        pools: The connection pools.
        url: A presigned URL.
        body: The content, in chunks.
        size: The length of the content, in bytes.
        idle_timeout: Seconds without any data after which the transfer has failed.
        content_type: The content type to store; the signature of the URL must cover it.

    Raises:
        TransportError: The upload failed, or the URL is invalid.
    """
    target = _parse(url)
    async with pools.session() as session:
        try:
            async with session.put(
                target,
                data=body,
                headers={
                    "Content-Length": str(size),
                    **({"Content-Type": content_type} if content_type else {}),
                },
                # The signature of the URL covers the headers, so none may be added.
                skip_auto_headers=("Content-Type",),
                timeout=_time_limits(idle_timeout),
                proxy=proxy_for(url),
            ) as response:
                text = await read_body(response, "upload", _MAX_ANSWER)
                reason = _reason(text) if response.status >= 400 else ""
                return UploadResponse(response.status, _etag(response), _md5(response), reason)
        except CAUGHT as error:
            raise translate_error(error, "upload", idle_timeout) from None


@asynccontextmanager
async def get(pools: Pools, url: str, *, idle_timeout: float) -> AsyncIterator[Download]:
    """Download the content of `url`; see :func:`put` for the arguments and errors."""
    target = _parse(url)
    async with pools.session() as session:
        try:
            response = await session.get(
                target,
                # Compression would change the length and the checksum.
                headers={"Accept-Encoding": "identity"},
                read_bufsize=_MOST_CHUNK,
                timeout=_time_limits(idle_timeout),
                proxy=proxy_for(url),
            )
        except CAUGHT as error:
            raise translate_error(error, "download", idle_timeout) from None
        async with response:
            chunks = _chunks(response, idle_timeout)
            encoding = response.headers.get("Content-Encoding", "identity").lower()
            yield Download(
                response.status,
                _etag(response),
                _md5(response),
                response.content_length,
                encoding != "identity",
                chunks,
            )


async def _chunks(response: aiohttp.ClientResponse, idle_timeout: float) -> AsyncIterator[bytes]:
    # Translated here and not around the caller's block, whose own errors must pass unchanged.
    content = response.content
    while not content.at_eof():
        gathered: list[bytes] = []
        size = 0
        try:
            while size < _LEAST_CHUNK and (part := await content.read(_MOST_CHUNK)):
                gathered.append(part)
                size += len(part)
        except CAUGHT as error:
            raise translate_error(error, "download", idle_timeout) from None
        if gathered:
            yield b"".join(gathered)


def _parse(url: str) -> URL:
    parsed = parse_url(url, "http", "https")
    if parsed is None:
        raise BadAnswerError("the service sent a file URL that is not HTTP")
    return parsed


def _time_limits(idle_timeout: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=idle_timeout)


def _reason(body: bytes) -> str:
    """Return the message in an error of a store: XML of an object store, or JSON."""
    found = _MESSAGE.search(body[:_LONGEST_ERROR].decode("utf-8", "replace"))
    return found[1] or found[2] if found is not None else ""


def _md5(response: aiohttp.ClientResponse) -> str:
    """Return the MD5 of the content in hexadecimal, or ``""`` if the store sends none.

    An ETag is the MD5 only of objects that were written in one piece and are not encrypted, which
    OSS says by ``x-oss-object-type``. ``Content-MD5`` always is.
    """
    headers = response.headers
    with suppress(ValueError):
        if len(digest := decode_base64(headers.get("Content-MD5", ""))) == _MD5_SIZE:
            return digest.hex()
    plain = headers.get("x-oss-object-type") == "Normal"
    if plain and "x-oss-server-side-encryption" not in headers:
        return _etag(response).lower()
    return ""


def _etag(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("ETag", "").strip('"')
