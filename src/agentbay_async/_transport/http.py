"""One exchange with the service: a request out, status, headers and body back.

No policy lives here: what a status means, and whether to try again, is decided above. What aiohttp
raises is turned into our errors at this border, by what may have reached the service.
"""

from __future__ import annotations

import asyncio
import platform
import random
import time
from functools import cache, lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus

import aiohttp
from multidict import CIMultiDict, istr
from yarl import URL

from agentbay_async._protocol.forms import encode_request
from agentbay_async._transport.pool import Pools, proxy_for
from agentbay_async._version import __version__
from agentbay_async.errors import (
    BadAnswerError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async._protocol.schema import Request

_VERSION = "2025-05-06"
_CONNECT_TIMEOUT = 15.0
# Bytes of a body that are handed over in one piece.
_AT_ONCE = 256 * 1024
_USER_AGENT = f"agentbay-python/{__version__} Python/{platform.python_version()}"

#: What aiohttp and the operating system raise when an exchange fails.
CAUGHT = (aiohttp.ClientError, asyncio.TimeoutError, OSError)

# Of these, the ones after which nothing has reached the service.
_UNSENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)


class Reply(NamedTuple):
    """An answer, unread: what it means is for :mod:`agentbay_async._protocol.envelope` to say."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Carries requests to one service.

    Args:
        endpoint: Its URL, without a trailing slash.
        api_key: The key, sent as a form field as the protocol wants it, never in the URL.
        pools: The connections to use.
    """

    def __init__(self, endpoint: str, api_key: str, pools: Pools) -> None:
        self._base = URL(f"{endpoint}/", encoded=True)
        self._authorization = f"Authorization=Bearer+{quote_plus(api_key)}"
        self._pools = pools
        self._proxy = proxy_for(endpoint)
        self._stamp = (0, "")

    async def send(self, request: Request[Any], timeout: float) -> Reply:
        """Send `request` once.

        Args:
            request: What to ask.
            timeout: Seconds for the whole exchange, counted from when a connection can be had.

        Raises:
            TransportError: There was no answer; the class says what may have reached the service.
        """
        query, form = encode_request(request)
        body = f"{self._authorization}&{form}" if form else self._authorization
        pool = await self._pools.current()
        async with pool as session:
            try:
                async with session.post(
                    self._url(request.ACTION, query),
                    data=body_of(body),
                    headers=_headers(request.ACTION),
                    timeout=limits(timeout),
                    proxy=self._proxy,
                    allow_redirects=False,
                ) as response:
                    return Reply(response.status, response.headers, await response.read())
            except CAUGHT as error:
                raise translated(error, request.ACTION, timeout) from None

    def _url(self, action: str, query: str) -> URL:
        # Nonce and time sign nothing, but the gateway's protocol lists them as required.
        nonce = f"{random.getrandbits(128):032x}"
        own = f"&{query}" if query else ""
        # Built of parts, because a text that is new each time has to be taken apart each time.
        return URL.build(
            scheme=self._base.scheme,
            authority=self._base.raw_authority,
            path=self._base.raw_path,
            query_string=(
                f"Format=json&Version={_VERSION}&Action={action}"
                f"&Timestamp={self._now()}&SignatureNonce={nonce}{own}"
            ),
            encoded=True,
        )

    def _now(self) -> str:
        second = int(time.time())
        if self._stamp[0] != second:
            text = time.strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ", time.gmtime(second))
            self._stamp = (second, text)
        return self._stamp[1]


@lru_cache(maxsize=64)
def limits(timeout: float) -> aiohttp.ClientTimeout:
    """Return the time limits of an exchange that may take `timeout` seconds in all.

    Connecting has a limit of its own, because a request that was surely not sent may be repeated.
    """
    return aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_TIMEOUT))


def body_of(text: str) -> aiohttp.BytesPayload | BytesIO:
    """Return a body of ASCII; a large one as a file, which aiohttp sends between other work."""
    body = text.encode("ascii")
    return aiohttp.BytesPayload(body) if len(body) <= _AT_ONCE else BytesIO(body)


@cache
def _headers(action: str) -> CIMultiDict[str]:
    # In the form that aiohttp would bring them into, request after request.
    return CIMultiDict(
        {
            istr("x-acs-version"): _VERSION,
            istr("x-acs-action"): action,
            istr("User-Agent"): _USER_AGENT,
            istr("Content-Type"): "application/x-www-form-urlencoded",
        }
    )


def translated(error: Exception, what: str, timeout: float) -> TransportError:
    """Return our error for one of aiohttp's: never its text, since a URL may hold a signature."""
    if isinstance(error, _UNSENT):
        return ConnectionFailedError(f"{what}: no connection could be made ({_cause(error)})")
    if isinstance(error, asyncio.TimeoutError):
        return RequestTimeoutError(f"{what}: no answer within {timeout:.3g} s")
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ClientResponseError)):
        return BadAnswerError(f"{what}: the answer was cut short or is not HTTP ({_cause(error)})")
    return ConnectionLostError(f"{what}: the connection broke ({_cause(error)})")


def _cause(error: BaseException) -> str:
    """Name an error without its text, unless the operating system wrote it."""
    inner = getattr(error, "os_error", error)
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__
