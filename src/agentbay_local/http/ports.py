"""Ports of sessions: what a session serves, reached through the service by HTTP and WebSocket.

``/port/<token>/path`` is ``/path`` at the port that the token stands for. The token is the whole
permission: it is signed, names one session and one port, and ends with the session. It is in no log
line. Web pages may come here, as they are what sessions serve.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import attrs
from aiohttp import web
from yarl import URL

from agentbay_async._protocol import error_codes
from agentbay_local.http import proxy_headers
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.websocket_proxy import LARGEST, relay
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.urls import PORT_PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.client_proto import ResponseHandler

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

__all__ = ["add"]

_AT_ONCE = 100
_CONNECTED_WITHIN = 30.0


def add(app: web.Application, state: ServiceState) -> None:
    """Add the route."""
    ports = _Ports(state)
    app.router.add_route("*", PORT_PREFIX + "{token:[^/]+}{rest:(?s:/.*)?}", ports.serve)
    app.cleanup_ctx.append(ports.client)


@attrs.frozen
class _Target:
    """Where a request goes: a port of a session, and the path of the request there."""

    session: Session
    port: int
    prefix: str
    path: str

    @property
    def url(self) -> URL:
        # The host is not looked up: `_Inside` dials into the session of that name.
        return URL(f"http://{self.session.id}:{self.port}{self.path}", encoded=True)


class _Inside(aiohttp.BaseConnector):
    """Connections into sessions: the host of a URL is the id of a session."""

    def __init__(self, state: ServiceState) -> None:
        super().__init__(force_close=True, limit=0, limit_per_host=_AT_ONCE)
        self._state = state

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: object, timeout: object
    ) -> ResponseHandler:
        del traces, timeout
        key = req.connection_key
        sandbox = await self._state.sandboxes.get(key.host)
        sock = await sandbox.dial(key.port or 0)
        try:
            _, protocol = await self._loop.create_connection(self._factory, sock=sock)
        except BaseException:
            sock.close()
            raise
        return protocol


class _Ports:
    """The handler, and the client by which it asks what is inside."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._client: aiohttp.ClientSession | None = None

    async def client(self, app: web.Application) -> AsyncIterator[None]:
        """Open the client when the service starts, and close it when it stops."""
        del app
        async with aiohttp.ClientSession(
            connector=_Inside(self._state),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECTED_WITHIN),
        ) as self._client:
            yield

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hand a request to the session and its answer back, both as they come."""
        try:
            target = self._target(request)
            with self._state.lifecycle.using(target.session):
                if request.headers.get("Upgrade", "").lower() == "websocket":
                    return await self._connect(request, target)
                return await self._forward(request, target)
        except ApiError as error:
            return error_response(error, _status(error))

    def _target(self, request: web.Request) -> _Target:
        grant = self._state.signer.open("port", request.match_info["token"])
        if grant is None:
            raise ApiError(error_codes.NOT_LOGIN, "The link is not one of this service.", 403)
        session = self._state.session(grant["session"])
        # As it was sent: what the session serves decides what its paths mean.
        _, _, token, *rest = request.raw_path.split("/", 3)
        token, mark, query = token.partition("?")
        path = f"/{rest[0] if rest else ''}{mark}{query}"
        return _Target(session, grant["port"], f"{PORT_PREFIX}{token}", path)

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the service is not running")
        return self._client

    async def _forward(self, request: web.Request, target: _Target) -> web.StreamResponse:
        body = request.content if request.can_read_body else None
        response: web.StreamResponse | None = None
        try:
            async with self._opened().request(
                request.method,
                target.url,
                headers=proxy_headers.asked(request, target.prefix),
                skip_auto_headers=proxy_headers.ADDED_BY_AIOHTTP,
                data=body,
                allow_redirects=False,
            ) as found:
                response = web.StreamResponse(
                    status=found.status,
                    reason=found.reason,
                    headers=proxy_headers.answered(found.headers, request, target.prefix),
                )
                await response.prepare(request)
                async for piece in found.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
        except (aiohttp.ClientError, SandboxError, asyncio.TimeoutError, OSError) as error:
            if response is None or not response.prepared:
                raise _unreachable(target.port, error) from error
            _break_off(request)
        return response

    async def _connect(self, request: web.Request, target: _Target) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        try:
            inside = await self._opened().ws_connect(
                target.url,
                protocols=[name.strip() for name in offered if name.strip()],
                headers=proxy_headers.asked(request, target.prefix),
                max_msg_size=LARGEST,
            )
        except aiohttp.WSServerHandshakeError as error:
            status = error.status if error.status >= 400 else 502
            message = f"What listens on port {target.port} refused the WebSocket: {error.status}."
            raise ApiError(error_codes.SERVICE_UNAVAILABLE, message, status) from error
        except (aiohttp.ClientError, SandboxError, asyncio.TimeoutError, OSError) as error:
            raise _unreachable(target.port, error) from error
        async with inside:
            chosen = [inside.protocol] if inside.protocol else []
            outside = web.WebSocketResponse(protocols=chosen, max_msg_size=LARGEST)
            await outside.prepare(request)
            await relay(outside, inside)
        return outside


def _status(problem: ApiError) -> int:
    """Return the status for clients that know nothing of the envelope."""
    known = {error_codes.SESSION_NOT_FOUND: 404, error_codes.SESSION_STATE: 409}
    return known.get(problem.code, problem.http_status)


def _unreachable(port: int, error: Exception) -> ApiError:
    if isinstance(error, SandboxOSError):
        message = f"Nothing answers on port {port} of this session: {error.strerror}."
    else:
        message = f"What listens on port {port} of this session broke off: {type(error).__name__}."
    return ApiError(error_codes.SERVICE_UNAVAILABLE, message, 502)


def _break_off(request: web.Request) -> None:
    """Let whoever asked see that the answer is not whole."""
    if request.transport is not None:
        request.transport.abort()
