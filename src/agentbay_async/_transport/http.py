"""The default transport: HTTP by aiohttp, with aiohttp's exceptions translated to ours."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import zlib
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from yarl import URL

from agentbay_async._transport.base import HttpResponse
from agentbay_async.errors import (
    AnswerTooLargeError,
    BadAnswerError,
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator

    from aiohttp.abc import AbstractStreamWriter

    from agentbay_async._transport.base import HttpRequest


CONNECT_TIMEOUT = 15.0
# Larger bodies are sent in pieces, because aiohttp sends bytes in one go and blocks the loop.
_LARGE_BODY = 256 * 1024
# URLs whose parts are remembered; each session may have its own.
_KNOWN_TARGETS = 1024

# What _decompress can read, and what zlib calls the format.
_ENCODINGS = frozenset({"gzip", "deflate"})
_ZLIB_METHOD = 8
_DETECT_HEADER = 32

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
        # Parsing a URL is a large part of the cost of a call, and looking up a proxy reads the
        # whole environment. Only the query differs from call to call.
        self._target = lru_cache(maxsize=_KNOWN_TARGETS)(_parse_target)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send `request` once. Its timeout starts when a connection of the pool is free."""
        base, _, query = request.url.partition("?")
        target = self._target(base)
        if target is None:
            raise ConnectionFailedError(f"{request.action}: not a valid HTTP URL")
        scheme, authority, path, proxy = target
        url = URL.build(
            scheme=scheme, authority=authority, path=path, query_string=query, encoded=True
        )
        body = request.body
        data = aiohttp.BytesPayload(body) if len(body) <= _LARGE_BODY else _Pieces(body)
        # Not by `session()`: each call would pay for a generator.
        pool = await self._pools.acquire()
        try:
            async with pool.session.request(
                request.method,
                url,
                data=data,
                headers=request.headers,
                timeout=_time_limits(request.timeout),
                proxy=proxy,
                allow_redirects=False,
            ) as response:
                body = await read_body(response, request.action, request.max_size)
                return HttpResponse(response.status, body, response.headers)
        except CAUGHT as error:
            raise translate_error(error, request.action, request.timeout) from None
        finally:
            pool.slots.release()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._pools.aclose()


class _Pieces(aiohttp.Payload):
    """A large body. A file of aiohttp's would be copied once to measure it, and once to send it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text."""
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it; others have their turn between two pieces."""
        view = memoryview(self._value)
        for start in range(0, len(view), _LARGE_BODY):
            await writer.write(view[start : start + _LARGE_BODY])
            await asyncio.sleep(0)


def _parse_target(url: str) -> tuple[str, str, str, str | None] | None:
    """Return scheme, authority and path of a URL without a query, and the proxy for it."""
    parsed = parse_url(url, "http", "https")
    if parsed is None:
        return None
    return parsed.scheme, parsed.raw_authority, parsed.raw_path, proxy_for(url)


@lru_cache(maxsize=64)
def _time_limits(timeout: float) -> aiohttp.ClientTimeout:
    # Connecting has its own limit: a request that was certainly not sent may be sent again.
    return aiohttp.ClientTimeout(
        total=timeout,
        sock_connect=min(timeout, CONNECT_TIMEOUT),
        # aiohttp would round limits of 5 s and more up to whole seconds, beyond our deadlines.
        ceil_threshold=math.inf,
    )


def translate_error(error: Exception, action: str, timeout: float) -> TransportError:
    """Return our error for one of aiohttp's, without its text: a URL in it may hold a signature.

    Args:
        error: One of :data:`CAUGHT`.
        action: What was being done, for the message.
        timeout: The time limit that applied, in seconds.
    """
    if isinstance(error, aiohttp.ClientSSLError):
        # A second handshake would fail in the same way.
        reason = getattr(error.os_error, "reason", None) or _cause(error)
        return ConnectionFailedError(f"{action}: TLS failed ({reason})", retryable=False)
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


async def read_body(response: aiohttp.ClientResponse, action: str, limit: int) -> bytes:
    """Return the whole body of a response, decompressed.

    Args:
        response: The response. Its connection is closed if the body is too large.
        action: What was being done, for the message.
        limit: The most bytes to read, and to decompress to.

    Raises:
        AnswerTooLargeError: The body is larger.
        BadAnswerError: The body cannot be decompressed.
    """
    if (response.content_length or 0) > limit:
        raise _too_large(action, limit)
    if response.content_length is not None:
        body = await response.read()
    else:
        buffer = bytearray()
        async for chunk in response.content.iter_any():
            buffer += chunk
            if len(buffer) > limit:
                raise _too_large(action, limit)
        body = bytes(buffer)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    return body if encoding == "identity" else _decompress(body, encoding, action, limit)


def _decompress(body: bytes, encoding: str, action: str, limit: int) -> bytes:
    """Decompress a body. aiohttp would decompress a whole chunk before anyone can count it."""
    if encoding not in _ENCODINGS:
        raise BadAnswerError(f"{action}: the answer has an unknown Content-Encoding")
    # Some servers mean raw deflate by "deflate", others the zlib format.
    raw = encoding == "deflate" and body[:1] and body[0] & 0x0F != _ZLIB_METHOD
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | _DETECT_HEADER)
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error:
        raise BadAnswerError(f"{action}: the answer cannot be decompressed") from None
    if len(plain) > limit:
        raise _too_large(action, limit)
    if not decompressor.eof or decompressor.unused_data:
        raise BadAnswerError(f"{action}: the answer cannot be decompressed")
    return plain


def _too_large(action: str, limit: int) -> AnswerTooLargeError:
    error = AnswerTooLargeError(
        f"{action}: the answer has more than {limit >> 20} MiB",
        hint="Let the session write a file, and download it",
    )
    error.limit = limit
    return error


# Shorter than the idle timeout of common gateways (60 s), so that a connection is seldom used at
# the moment when the other side closes it.
_KEEP_ALIVE = 45.0


@attrs.define(eq=False)
class _Pool:
    """The connections of one loop.

    Attributes:
        session: The aiohttp session.
        slots: Counts the requests that are under way.
        closer: Closes all connections when it is closed.
    """

    session: aiohttp.ClientSession
    slots: asyncio.Semaphore
    closer: AsyncGenerator[None, None]


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
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Hold a slot in the pool of the running loop during the block; see :meth:`acquire`."""
        pool = await self.acquire()
        try:
            yield pool.session
        finally:
            pool.slots.release()

    async def acquire(self) -> _Pool:
        """Return the pool of the running loop once it has a free slot, which the caller releases.

        Time limits of requests thus start when a connection is free, not while they queue.

        Raises:
            ClosedError: The client was closed while this call waited.
        """
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.session.closed:
            pool = self._pools[loop] = await self._open(loop)
        await pool.slots.acquire()
        if pool.session.closed:
            pool.slots.release()
            raise ClosedError("this client is closed", hint="Make a new one")
        return pool

    async def _open(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        # The pool counts requests itself, and the connector has no limit: a WebSocket would hold a
        # place in it for hours, and a hundred of them would leave none for requests.
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_KEEP_ALIVE, ssl=self._ssl or spare_trust() or True
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "gzip, deflate"},
            # proxy_for() reads the environment's proxies. aiohttp's own look-up reads passwords
            # from ~/.netrc as well, and repeats the work for each request.
            trust_env=False,
        )
        closer = self._close_with_loop(loop, session)
        await anext(closer)
        return _Pool(session, asyncio.Semaphore(self._limit), closer)

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
            pool = self._pools.get(loop)
            # A pool whose session the program has closed is replaced before its generator ends.
            if pool is not None and pool.session is session:
                del self._pools[loop]
            await session.close()

    async def aclose(self) -> None:
        """Close the pool of the running loop. Those of other loops end with their loops."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            await pool.closer.aclose()


def spare_trust() -> ssl.SSLContext | None:
    """Return TLS settings with the certificates of certifi, where the system has none.

    So it is with Python from python.org on macOS. ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` count as
    the system's.

    Returns:
        ``None`` if the system has certificates, or certifi is not installed.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    # Windows keeps its certificates elsewhere.
    if sys.platform == "win32" or paths.cafile or (paths.capath and os.listdir(paths.capath)):
        return None
    try:
        certificates: str = import_module("certifi").where()
    except ImportError:
        return None
    return ssl.create_default_context(cafile=certificates)


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
