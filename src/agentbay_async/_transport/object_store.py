"""Files to and from the URLs that the service hands out: streamed, never whole in memory.

Such a URL carries its own permission, so no key is sent along, and it is never shown.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import attrs

from agentbay_async._transport.http import CAUGHT, translated
from agentbay_async._transport.pool import address, proxy_for
from agentbay_async.errors import BadAnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from yarl import URL

    from agentbay_async._transport.pool import Pools

_CONNECT_TIMEOUT = 15.0
CHUNK = 256 * 1024


@attrs.frozen
class Stored:
    """What the store said after an upload."""

    status: int
    etag: str


@attrs.define
class Fetched:
    """A download under way. ``size`` is ``None`` when the store did not say."""

    status: int
    etag: str
    size: int | None
    chunks: AsyncIterator[bytes]


async def put(
    pools: Pools, url: str, body: AsyncIterable[bytes], size: int, *, silence: float
) -> Stored:
    """Send `body`, which has `size` bytes, to `url`.

    Args:
        pools: The connections to use.
        url: A URL that carries its own permission.
        body: The content, in chunks.
        size: How many bytes it has in all.
        silence: Seconds for which nothing may move before it counts as broken.

    Raises:
        TransportError: It did not get through, or the URL is none.
    """
    target = _address(url)
    pool = await pools.current()
    async with pool as session:
        try:
            async with session.put(
                target,
                data=body,
                headers={"Content-Length": str(size)},
                # The store's signature covers the headers, so no others are added.
                skip_auto_headers=("Content-Type",),
                timeout=_limits(silence),
                proxy=proxy_for(url),
            ) as response:
                await response.read()
                return Stored(response.status, _etag(response))
        except CAUGHT as error:
            raise translated(error, "upload", silence) from None


@asynccontextmanager
async def get(pools: Pools, url: str, *, silence: float) -> AsyncIterator[Fetched]:
    """Fetch the content of `url`; see :func:`put` for the arguments and errors."""
    target = _address(url)
    pool = await pools.current()
    async with pool as session:
        try:
            response = await session.get(
                target,
                # Compressed on the way, the length and checksum would be of something else.
                headers={"Accept-Encoding": "identity"},
                timeout=_limits(silence),
                proxy=proxy_for(url),
            )
        except CAUGHT as error:
            raise translated(error, "download", silence) from None
        async with response:
            chunks = _chunks(response, silence)
            yield Fetched(response.status, _etag(response), response.content_length, chunks)


async def _chunks(response: aiohttp.ClientResponse, silence: float) -> AsyncIterator[bytes]:
    # Errors are translated here and not around the caller's block, whose own are none of ours.
    chunks = response.content.iter_chunked(CHUNK)
    while True:
        try:
            chunk = await anext(chunks, None)
        except CAUGHT as error:
            raise translated(error, "download", silence) from None
        if chunk is None:
            return
        yield chunk


def _address(url: str) -> URL:
    found = address(url, "http", "https")
    if found is None:
        raise BadAnswerError("the service gave a URL for a file that is none of HTTP")
    return found


def _limits(silence: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=silence)


def _etag(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("ETag", "").strip('"')
