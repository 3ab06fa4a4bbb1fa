"""A port of this machine that leads to a port of a session, over the session's link.

The link takes HTTP and WebSockets, so this is a reverse proxy for those.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from agentbay_local.loopback import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

__all__ = ["forward"]

# Of one connection (RFC 9110, 7.6.1), and what belongs to this address or is made anew.
_NOT_PASSED = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "origin",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # By these the link tells a browser, which it leads to another address.
        "upgrade-insecure-requests",
    }
)
_CHUNK = 64 * 1024
# Seconds without a byte; answers of servers in sessions may take long.
_SILENCE = 600.0


async def forward(
    link: str, port: int, context: ssl.SSLContext | None, ready: Callable[[int], None]
) -> None:
    """Serve a port of the loopback interface until the task is cancelled.

    Args:
        link: The link to the port of the session.
        port: The port to listen on; 0 takes a free one.
        context: Whom to trust; None is whom the system trusts.
        ready: Called with the port.

    Raises:
        OSError: The port cannot be used.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE)
    connector = aiohttp.TCPConnector(ssl=context or True, limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, trust_env=True
    ) as client:
        server = web.Server(_Proxy(client, URL(link)).handle)
        runner = web.ServerRunner(server)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            ready(runner.addresses[0][1])
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


class _Proxy:
    """Passes requests on to a link."""

    def __init__(self, client: aiohttp.ClientSession, link: URL) -> None:
        self._client = client
        self._link = link

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        # A page of another site reaches this port under its own name (DNS rebinding).
        if not is_loopback(request.url.host or ""):
            return web.Response(status=421, text="This port is for this machine.\n")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._join(request)
        response = web.StreamResponse()
        try:
            return await self._pass(request, response)
        except aiohttp.ClientError as error:
            if response.prepared:
                # Another answer would be a part of this one, which the client must not take for
                # complete.
                if request.transport is not None:
                    request.transport.abort()
                return response
            # Without its text, which may have the link.
            text = f"The session does not answer ({type(error).__name__}).\n"
            return web.Response(status=502, text=text)

    async def _pass(
        self, request: web.BaseRequest, response: web.StreamResponse
    ) -> web.StreamResponse:
        body = request.content.iter_chunked(_CHUNK) if request.body_exists else None
        async with self._client.request(
            request.method,
            self._target(request),
            headers=_passed(request.headers),
            data=body,
            allow_redirects=False,
        ) as answer:
            response.set_status(answer.status, answer.reason)
            response.headers.extend(_passed(answer.headers))
            if "Content-Length" in answer.headers:
                response.content_length = answer.content_length
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _join(self, request: web.BaseRequest) -> web.StreamResponse:
        """Connect two WebSockets."""
        protocols = request.headers.get("Sec-WebSocket-Protocol", "")
        offered = [one.strip() for one in protocols.split(",") if one.strip()]
        try:
            far = await self._client.ws_connect(self._target(request), protocols=offered)
        except aiohttp.ClientError:
            return web.Response(status=502, text="The session takes no WebSocket here.\n")
        near = web.WebSocketResponse(protocols=[far.protocol] if far.protocol else [])
        async with far:
            await near.prepare(request)
            ways = [asyncio.create_task(_copy(*way)) for way in ((near, far), (far, near))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await near.close(code=far.close_code or aiohttp.WSCloseCode.GOING_AWAY)
        return near

    def _target(self, request: web.BaseRequest) -> URL:
        link = str(self._link.with_query(None)).rstrip("/")
        found = URL(f"{link}{request.raw_path}", encoded=True)
        return found.update_query(self._link.query) if self._link.query else found


def _passed(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _NOT_PASSED and not name.lower().startswith("sec-")
    ]


async def _copy(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
