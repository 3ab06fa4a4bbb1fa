"""Connections to the service: one pool for each event loop.

A pool belongs to the loop in which it was made, so pools are kept by the loop object. A client may
thus be used in one ``asyncio.run`` after another, and by several loops at once.
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

# Shorter than the idle timeout of common gateways (60 s), so that a connection is seldom used in
# the moment in which the other side closes it.
_KEEP_ALIVE = 45.0


@attrs.define(eq=False)
class Pool:
    """The connections of one loop.

    Attributes:
        session: The aiohttp session.
    """

    session: aiohttp.ClientSession
    _turn: asyncio.Semaphore
    _keeper: AsyncGenerator[None, None]

    @property
    def usable(self) -> bool:
        """Whether requests can be sent."""
        return not self.session.closed

    async def __aenter__(self) -> aiohttp.ClientSession:
        """Wait for a connection to be free, and hold it until the end of the block.

        The time to answer thus counts from when a connection can be had, and not from when one
        began to queue.

        Raises:
            ClosedError: The client was closed meanwhile.
        """
        await self._turn.acquire()
        if not self.usable:
            self._turn.release()
            raise ClosedError("this client was closed", hint="Make a new one")
        return self.session

    async def __aexit__(self, *_: object) -> None:
        self._turn.release()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._keeper.aclose()


class Pools:
    """The pools of one client.

    Args:
        limit: Connections that a pool keeps open at most.
        ssl_context: TLS settings; ``None`` takes aiohttp's own context, which trusts the system's
            certificates and is built once for the whole process, when aiohttp is imported.
    """

    def __init__(self, limit: int, ssl_context: ssl.SSLContext | None = None) -> None:
        self._limit = limit
        self._ssl = ssl_context
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}

    async def current(self) -> Pool:
        """Return the pool of the running loop; make it when it is missing."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or not pool.usable:
            pool = self._pools[loop] = await self._open(loop)
        return pool

    async def _open(self, loop: asyncio.AbstractEventLoop) -> Pool:
        # Requests are counted by the pool itself; the connector does not count, because a WebSocket
        # would hold its place for hours, and a hundred of them would leave none for requests.
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_KEEP_ALIVE, ssl=self._ssl or True
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The environment's proxies are looked up by ourselves: aiohttp's own look-up reads
            # passwords out of ~/.netrc as well, and repeats the work for each request.
            trust_env=False,
        )
        keeper = self._keep(loop, session)
        await anext(keeper)
        return Pool(session, asyncio.Semaphore(self._limit), keeper)

    async def _keep(
        self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession
    ) -> AsyncGenerator[None, None]:
        """Close the session, and let go of the loop, when the loop ends, or before.

        ``asyncio.run`` finishes the asynchronous generators that were begun in its loop while the
        loop still works; nothing else is told that a loop is about to end.
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


def address(url: str, *schemes: str) -> URL | None:
    """Return a URL that the service gave, as it is, or ``None`` if it is none of `schemes`.

    What is wrong with it is not said, for it may hold a secret.
    """
    try:
        parsed = URL(url, encoded=True)
        return parsed if parsed.scheme in schemes and parsed.host else None
    except ValueError:
        return None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`, with regard to ``NO_PROXY``."""
    parts = urlsplit(url)
    # Each look reads all variables, and a direct call has no time to lose: one, as a rule.
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or parts.hostname is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy
