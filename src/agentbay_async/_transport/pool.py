"""Connection pools: one aiohttp session for each event loop.

An aiohttp session works only in the loop that made it. A pool for each loop lets one client be used
in several ``asyncio.run`` calls, one after the other, and by several loops at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from yarl import URL

from agentbay_async.errors import ClosedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

# Shorter than the idle timeout of common gateways (60 s), so that a connection is seldom used at
# the moment when the other side closes it.
_KEEP_ALIVE = 45.0


@attrs.define(eq=False)
class Pool:
    """The connections of one loop.

    Attributes:
        session: The aiohttp session.
    """

    session: aiohttp.ClientSession
    _slots: asyncio.Semaphore
    _closer: AsyncGenerator[None, None]

    @property
    def usable(self) -> bool:
        """Whether requests can be sent."""
        return not self.session.closed

    async def __aenter__(self) -> aiohttp.ClientSession:
        """Wait for a free slot, and hold it until the end of the block.

        Time limits of requests thus start when a connection is free, not while they queue.

        Raises:
            ClosedError: The client was closed while this call waited.
        """
        await self._slots.acquire()
        if not self.usable:
            self._slots.release()
            raise ClosedError("this client is closed", hint="Make a new one")
        return self.session

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._closer.aclose()


class Pools:
    """The connection pools of one client.

    Args:
        limit: Most requests that a pool has under way at once.
        ssl_context: TLS settings. ``None`` takes aiohttp's own context, which trusts the system's
            certificates and is built once for the whole process, when aiohttp is imported.
    """

    def __init__(self, limit: int, ssl_context: ssl.SSLContext | None = None) -> None:
        self._limit = limit
        self._ssl = ssl_context
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}

    async def current(self) -> Pool:
        """Return the pool of the running loop; make it if it is missing."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or not pool.usable:
            pool = self._pools[loop] = await self._open(loop)
        return pool

    async def _open(self, loop: asyncio.AbstractEventLoop) -> Pool:
        # The pool counts requests itself, and the connector has no limit: a WebSocket would hold a
        # place in it for hours, and a hundred of them would leave none for requests.
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_KEEP_ALIVE, ssl=self._ssl or True
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # proxy_for() reads the environment's proxies. aiohttp's own look-up reads passwords
            # from ~/.netrc as well, and repeats the work for each request.
            trust_env=False,
        )
        closer = self._close_with_loop(loop, session)
        await anext(closer)
        return Pool(session, asyncio.Semaphore(self._limit), closer)

    async def _close_with_loop(
        self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession
    ) -> AsyncGenerator[None, None]:
        """Close the session when this generator is closed, at the latest with the loop.

        ``asyncio.run`` closes the asynchronous generators of its loop while the loop still works.
        There is no other hook for the end of a loop.
        """
        try:
            yield
        finally:
            self._pools.pop(loop, None)
            await session.close()

    async def aclose(self) -> None:
        """Close the pool of the running loop. Those of other loops end with their loops."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            await pool.aclose()


def parse_url(url: str, *schemes: str) -> URL | None:
    """Parse a percent-encoded URL; return ``None`` if it is invalid or not one of `schemes`.

    There is no error text, because the URL may hold a secret.
    """
    try:
        parsed = URL(url, encoded=True)
        return parsed if parsed.scheme in schemes and parsed.host else None
    except ValueError:
        return None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`, with regard to ``NO_PROXY``."""
    parts = urlsplit(url)
    # One look-up for both names: each reads the whole environment.
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or parts.hostname is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy
