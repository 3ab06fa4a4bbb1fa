"""Files to and from the URLs that the service hands out: streamed, never whole in memory.

Such a URL carries its own permission, so no key is sent along, and it is never shown.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import attrs
from yarl import URL

from agentbay_async._wire.http import CAUGHT, translated
from agentbay_async._wire.pool import proxy_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping

    from agentbay_async._wire.pool import Pools

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
        TransportError: It did not get through.
    """
    pool = await pools.current()
    headers: Mapping[str, str] = {"Content-Length": str(size)}
    async with pool as session:
        try:
            async with session.put(
                URL(url, encoded=True),
                data=body,
                headers=headers,
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
    pool = await pools.current()
    async with pool as session:
        try:
            async with session.get(
                URL(url, encoded=True),
                # Compressed on the way, the length and checksum would be of something else.
                headers={"Accept-Encoding": "identity"},
                timeout=_limits(silence),
                proxy=proxy_for(url),
            ) as response:
                chunks = response.content.iter_chunked(CHUNK)
                yield Fetched(response.status, _etag(response), response.content_length, chunks)
        except CAUGHT as error:
            raise translated(error, "download", silence) from None


def _limits(silence: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=silence)


def _etag(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("ETag", "").strip('"')
