"""The recording proxy: passes requests on to the service, and records them with their answers.

It listens on the loopback. Clients get a key of its own, which is replaced by the real one on the
way to the service, so that the recorded program need not know it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import socket
from contextlib import AsyncExitStack
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from agentbay_async._protocol import error_codes
from agentbay_async._protocol.byte_calls import TAKES_BYTES
from agentbay_async._protocol.codec import compact_json
from agentbay_local.cassettes.cassette import (
    CLIENT,
    SERVICE,
    WEBSOCKET,
    Exchange,
    Request,
    Response,
)
from agentbay_local.http.bodies import BODY_LIMIT
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.proxy_headers import AUTOMATIC_HEADERS, end_to_end
from agentbay_local.http.websocket_proxy import MAX_MESSAGE, relay
from agentbay_local.protocol.errors import ApiError
from agentbay_local.recording.origins import PREFIX, ProxiedOrigins
from agentbay_local.recording.tape import Capture, Tape, bounded_fields, captured
from agentbay_local.urls import LINK_SUFFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from multidict import CIMultiDict

__all__ = ["RecordingProxy"]

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_CONNECT_WITHIN = 30.0
_CHUNK = 256 * 1024

# The headers that a cassette keeps; all others are of the connection, or of the machine.
_SENT = frozenset(
    {
        "authorization",
        "content-type",
        "range",
        "user-agent",
        "x-access-token",
        "x-acs-action",
        "x-acs-version",
    }
)
_RECEIVED = frozenset(
    {
        "content-md5",
        "content-range",
        "content-type",
        "etag",
        "location",
        "retry-after",
        "x-acs-retry-after",
        "x-oss-object-type",
        "x-oss-server-side-encryption",
    }
)
# Different in each request, and of no meaning.
_NOISE = frozenset({"SignatureNonce", "Timestamp"})
_DECODED = frozenset({"content-encoding", "content-length"})

_REGION = re.compile(r"((?:^|[?&])LoginRegionId=)[^&]*")

# In JSON text inside JSON.
_BYTES_MARK = rf"\"{TAKES_BYTES}\":true".encode()

_FAILURES = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class RecordingProxy:
    """A reverse proxy for one service.

    Args:
        upstream: The URL of the service.
        api_key: The key of the service.
        tape: Where to record.
        region_id: The region that requests are to name, or None to leave them as they are.

    Attributes:
        endpoint: ``http://HOST:PORT`` of the proxy while it runs.
        api_key: The key for its clients.
    """

    def __init__(
        self, upstream: str, api_key: str, tape: Tape, region_id: str | None = None
    ) -> None:
        self.endpoint = ""
        self.api_key = f"akm-record-{secrets.token_hex(16)}"
        self._upstream = upstream.rstrip("/")
        self._service_key = api_key
        self._region_id = region_id
        self._tape = tape
        self._origins = ProxiedOrigins()
        self._stack = AsyncExitStack()
        self._client: aiohttp.ClientSession | None = None
        tape.redactor.learn_key(api_key)
        tape.redactor.learn_key(self.api_key)
        own = re.escape(self.api_key)
        self._own_key = re.compile(rf"((?:^|[?&])Authorization=Bearer(?:\+|%20)){own}(?=&|$)")

    async def start(self) -> None:
        """Listen on a free port.

        Raises:
            OSError: The port cannot be used.
        """
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", PREFIX + "{label:[^/?]+}{rest:(?s:/.*)?}", self._serve_origin)
        app.router.add_route("*", "/{rest:(?s:.*)}", self._act)
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            shutdown_timeout=1,
            # A command ends when its client hangs up, so the service has to hear of it.
            handler_cancellation=True,
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        connector = aiohttp.TCPConnector(limit=0, resolver=_Resolver())
        self._client = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_WITHIN),
        )
        self._stack.push_async_callback(self._client.close)
        site = web.TCPSite(runner, _HOST, 0)
        await site.start()
        port = runner.addresses[0][1]
        self.endpoint = self._origins.proxy = f"http://{_HOST}:{port}"

    async def stop(self) -> None:
        """Close all connections."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def _act(self, request: web.Request) -> web.StreamResponse:
        """Pass an action on, or a request for health."""
        content = await request.read()
        sent = self._adapted(content.decode("latin-1")).encode("latin-1")
        path = self._adapted(request.raw_path)
        headers = self._headers(request)
        if headers.get("Authorization") == f"Bearer {self.api_key}":
            headers["Authorization"] = f"Bearer {self._service_key}"
        parts = urlsplit(path)
        form, body = _form_of(request, sent)
        exchange = self._tape.begin(
            Request(
                request.method,
                parts.path,
                _without_noise(dict(parse_qsl(parts.query, keep_blank_values=True))),
                form,
                _kept(headers, _SENT),
                body,
            )
        )
        target = f"{self._upstream}{path}"
        return await self._forward(request, exchange, target, headers, sent)

    def _adapted(self, text: str) -> str:
        """Return a query or a form with the key and the region of the service."""
        key = quote_plus(self._service_key)
        text = self._own_key.sub(lambda found: f"{found[1]}{key}", text)
        region = self._region_id
        return _REGION.sub(lambda found: f"{found[1]}{region}", text) if region else text

    def _headers(self, request: web.Request) -> CIMultiDict[str]:
        headers = end_to_end(request.headers, {"host"})
        # Compressed answers would have to be unpacked, to be recorded and to be rewritten.
        headers["Accept-Encoding"] = "identity"
        return headers

    async def _serve_origin(self, request: web.Request) -> web.StreamResponse:
        """Pass on a request to a URL that an answer has given out."""
        label = request.match_info["label"]
        origin = self._origins.origin_of(label)
        if origin is None:
            return _refusal("This URL was not given out by the proxy.", 404)
        target = origin + request.raw_path[len(PREFIX) + len(label) :]
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._connect(request, target)
        kept = _kept(request.headers, _SENT)
        if request.method == "POST":
            content = await request.read()
            exchange = self._tape.begin(
                Request(request.method, target, headers=kept, body=captured(content))
            )
            return await self._forward(request, exchange, target, self._headers(request), content)
        upload = Capture()
        exchange = self._tape.begin(Request(request.method, target, headers=kept))
        stream = _captured_chunks(request, upload) if request.can_read_body else None
        try:
            return await self._forward(request, exchange, target, self._headers(request), stream)
        finally:
            exchange.request = Request(request.method, target, headers=kept, body=upload.body())
            self._tape.redactor.learn(exchange.request.body, is_answer=False)

    async def _forward(
        self,
        request: web.Request,
        exchange: Exchange,
        target: str,
        headers: CIMultiDict[str],
        content: bytes | BytesIO | AsyncIterator[bytes] | None,
    ) -> web.StreamResponse:
        if isinstance(content, bytes):
            headers.popall("Content-Length", None)
            # aiohttp sends a file in pieces, and bytes at once.
            content = BytesIO(content) if content else None
        response: web.StreamResponse | None = None
        try:
            async with self._http().request(
                request.method,
                URL(target, encoded=True),
                data=content,
                headers=headers,
                skip_auto_headers=AUTOMATIC_HEADERS,
                allow_redirects=False,
            ) as found:
                if request.method == "POST" or request.path == "/":
                    return await self._rewritten(exchange, found, request.path)
                response = web.StreamResponse(
                    status=found.status, headers=self._response_headers(found)
                )
                await self._stream(request, exchange, found, response)
        except _FAILURES as error:
            return self._failed(request, exchange, error, response)
        return response

    async def _rewritten(
        self, exchange: Exchange, found: aiohttp.ClientResponse, request_path: str
    ) -> web.StreamResponse:
        """Return the answer to an action or a tool call, its URLs leading through the proxy."""
        content = await found.read()
        if request_path == "/":
            content = _without_bytes(content)
        body = captured(content)
        self._tape.finish(exchange, Response(found.status, _kept(found.headers, _RECEIVED), body))
        if b"://" in content:
            content = self._rewrite(content)
        headers = self._response_headers(found)
        headers.popall("Content-Length", None)
        return web.Response(body=content, status=found.status, headers=headers)

    def _rewrite(self, content: bytes) -> bytes:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return content
        rewritten = self._origins.rewrite(value)
        return content if rewritten == value else compact_json(rewritten).encode("ascii")

    async def _stream(
        self,
        request: web.Request,
        exchange: Exchange,
        found: aiohttp.ClientResponse,
        response: web.StreamResponse,
    ) -> None:
        """Send an answer on as it comes."""
        download = Capture()
        await response.prepare(request)
        async for chunk in found.content.iter_chunked(_CHUNK):
            await response.write(download.add(chunk))
        await response.write_eof()
        kept = _kept(found.headers, _RECEIVED)
        self._tape.finish(exchange, Response(found.status, kept, download.body()))

    def _response_headers(self, found: aiohttp.ClientResponse) -> CIMultiDict[str]:
        packed = "Content-Encoding" in found.headers
        headers = end_to_end(found.headers, _DECODED if packed else frozenset())
        if "Location" in headers:
            origin = str(found.url.origin())
            headers["Location"] = self._origins.rewrite_location(headers["Location"], origin)
        return headers

    def _failed(
        self,
        request: web.Request,
        exchange: Exchange,
        error: Exception,
        response: web.StreamResponse | None,
    ) -> web.StreamResponse:
        """Record that the service did not answer, and say so to the client."""
        # Without its text, which may hold a URL.
        reason = f"the connection to the service failed ({type(error).__name__})"
        self._tape.finish(exchange, Response(failed=reason))
        if response is not None and response.prepared:
            if request.transport is not None:
                request.transport.abort()
            return response
        return _refusal(f"{reason[0].upper()}{reason[1:]}.", 502)

    async def _connect(self, request: web.Request, target: str) -> web.StreamResponse:
        """Join a WebSocket to that of the service, and record its frames."""
        scheme = "wss" if target.startswith("https") else "ws"
        target = f"{scheme}://{target.partition('://')[2]}"
        kept = _kept(request.headers, _SENT)
        exchange = self._tape.begin(Request("GET", target, headers=kept))
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        try:
            inside = await self._http().ws_connect(
                URL(target, encoded=True),
                protocols=[name.strip() for name in offered if name.strip()],
                headers=_handshake_headers(request),
                max_msg_size=MAX_MESSAGE,
            )
        except aiohttp.WSServerHandshakeError as error:
            self._tape.finish(exchange, Response(error.status))
            return web.Response(status=error.status)
        except _FAILURES as error:
            return self._failed(request, exchange, error, None)
        async with inside:
            self._tape.finish(exchange, Response(WEBSOCKET))
            chosen = [inside.protocol] if inside.protocol else []
            outside = web.WebSocketResponse(protocols=chosen, max_msg_size=MAX_MESSAGE)
            await outside.prepare(request)

            def record(end: object, message: str | bytes) -> None:
                sender = CLIENT if end is outside else SERVICE
                content = message.encode() if isinstance(message, str) else message
                self._tape.add_frame(exchange, sender, content)

            await relay(outside, inside, record)
        return outside

    def _http(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the proxy is not running")
        return self._client


class _Resolver(AbstractResolver):
    """Finds the names below ``localhost`` at the loopback: not every system does."""

    def __init__(self) -> None:
        self._usual = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        return await self._usual.resolve(
            _HOST if host.endswith(LINK_SUFFIX) else host, port, family
        )

    async def close(self) -> None:
        """Release the resolver."""
        await self._usual.close()


async def _captured_chunks(request: web.Request, upload: Capture) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_chunked(_CHUNK):
        yield upload.add(chunk)


def _form_of(request: web.Request, content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the fields of a form, or the body that is none."""
    if content and request.content_type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
        return bounded_fields(_without_noise(dict(pairs))), {}
    return {}, captured(content)


def _without_bytes(content: bytes) -> bytes:
    """Return an answer whose list of tools does not say which of them take bytes.

    So that clients send all calls as JSON, in which secrets are found and calls can be compared.
    """
    if _BYTES_MARK not in content:
        return content
    try:
        value = json.loads(content)
        tools = json.loads(value["Data"]["ToolList"])
        for tool in tools:
            tool.pop(TAKES_BYTES, None)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return content
    value["Data"]["ToolList"] = compact_json(tools)
    return compact_json(value).encode("ascii")


def _without_noise(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in _NOISE}


def _kept(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in names}


def _handshake_headers(request: web.Request) -> CIMultiDict[str]:
    headers = end_to_end(request.headers, {"host", "origin"})
    for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
        headers.popall(name, None)
    return headers


def _refusal(message: str, status: int) -> web.Response:
    return error_response(ApiError(error_codes.SERVICE_UNAVAILABLE, message, status))
