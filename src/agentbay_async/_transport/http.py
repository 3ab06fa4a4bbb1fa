"""The default transport: HTTP by aiohttp, with aiohttp's exceptions translated to ours."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import aiohttp

from agentbay_async._transport.base import HttpResponse
from agentbay_async._transport.pool import parse_url, proxy_for
from agentbay_async.errors import (
    BadAnswerError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    from agentbay_async._transport.base import HttpRequest
    from agentbay_async._transport.pool import Pools

CONNECT_TIMEOUT = 15.0
# Larger bodies are sent as a file, because aiohttp sends bytes in one go and blocks the loop.
_LARGE_BODY = 256 * 1024
# Origins for which the proxy is remembered; each session may have its own.
_KNOWN_ORIGINS = 1024

#: What aiohttp and the operating system raise when an exchange fails.
CAUGHT = (aiohttp.ClientError, asyncio.TimeoutError, OSError)

# After these, nothing has reached the service.
_NOT_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)


class AiohttpTransport:
    """The default :class:`~agentbay_async.Transport`.

    Args:
        pools: The connection pools, one for each event loop.
    """

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        # Looking up a proxy reads the whole environment.
        self._proxy_for = lru_cache(maxsize=_KNOWN_ORIGINS)(proxy_for)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send `request` once. Its timeout starts when a connection of the pool is free."""
        url = parse_url(request.url, "http", "https")
        if url is None:
            raise ConnectionFailedError(f"{request.action}: not a valid HTTP URL")
        pool = await self._pools.current()
        async with pool as session:
            try:
                async with session.request(
                    request.method,
                    url,
                    data=_payload(request.body),
                    headers=request.headers,
                    timeout=_time_limits(request.timeout),
                    proxy=self._proxy_for(f"{url.scheme}://{url.raw_authority}"),
                    allow_redirects=False,
                ) as response:
                    return HttpResponse(response.status, await response.read(), response.headers)
            except CAUGHT as error:
                raise translate_error(error, request.action, request.timeout) from None

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._pools.aclose()


@lru_cache(maxsize=64)
def _time_limits(timeout: float) -> aiohttp.ClientTimeout:
    # Connecting has its own limit: a request that was certainly not sent may be sent again.
    return aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, CONNECT_TIMEOUT))


def _payload(body: bytes) -> aiohttp.BytesPayload | BytesIO:
    return aiohttp.BytesPayload(body) if len(body) <= _LARGE_BODY else BytesIO(body)


def translate_error(error: Exception, action: str, timeout: float) -> TransportError:
    """Return our error for one of aiohttp's, without its text: a URL in it may hold a signature.

    Args:
        error: One of :data:`CAUGHT`.
        action: What was being done, for the message.
        timeout: The time limit that applied, in seconds.
    """
    if isinstance(error, _NOT_SENT):
        return ConnectionFailedError(f"{action}: no connection could be made ({_cause(error)})")
    if isinstance(error, asyncio.TimeoutError):
        return RequestTimeoutError(f"{action}: no answer within {timeout:.3g} s")
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ClientResponseError)):
        cause = _cause(error)
        return BadAnswerError(f"{action}: the answer was cut short or is not HTTP ({cause})")
    return ConnectionLostError(f"{action}: the connection broke ({_cause(error)})")


def _cause(error: BaseException) -> str:
    """Return the operating system's text for an error, or the name of its class."""
    inner = getattr(error, "os_error", error)
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__
