"""Reverse proxy for the ports of sessions, by HTTP and WebSocket.

A port has two addresses. ``http://127.0.0.1:PORT/port/<token>/path`` is for programs.
``http://<label>.localhost:PORT/path`` is for browsers: each port has a host of its own there, so
pages of sessions share neither origin nor cookies with each other or with other local servers.
Token and label are the only credential: signed, for one session and one port, until the session
ends, and never logged.
"""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING

import aiohttp
import attrs
from aiohttp import web
from yarl import URL

from agentbay_async._protocol import error_codes
from agentbay_local.http.connections import trust
from agentbay_local.http.dashboard import Dashboard
from agentbay_local.http.devtools import as_from_inside, describes, forward_description
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.hosts import host_name, is_own_name, link_label
from agentbay_local.http.pages import page
from agentbay_local.http.proxy_headers import (
    AUTOMATIC_HEADERS,
    request_headers,
    response_headers,
)
from agentbay_local.http.websocket_proxy import MAX_MESSAGE, relay
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.urls import PORT_PREFIX, devtools_session, page_port, page_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.typedefs import Handler
    from multidict import CIMultiDict

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session
    from agentbay_local.websocket.hub import Hub

__all__ = ["SERVE_BY_HOST", "add"]

SERVE_BY_HOST: web.AppKey[Callable[..., Awaitable[web.StreamResponse]]] = web.AppKey(
    "SERVE_BY_HOST"
)
"""The key of the middleware for requests whose host may be that of a link."""

_MAX_CONNECTIONS = 100
_CONNECT_WITHIN = 30.0
_FOR_PROGRAMS = "The address of a browser is for programs such as Playwright, not for web pages."


def add(app: web.Application, state: ServiceState, hub: Hub) -> None:
    """Add the route."""
    ports = _Ports(state, Dashboard(state, hub))
    app.router.add_route("*", PORT_PREFIX + "{token:[^/]+}{rest:(?s:/.*)?}", ports.serve)
    app[SERVE_BY_HOST] = ports.serve_by_host
    app.cleanup_ctx.append(ports.client)


@attrs.frozen
class _Target:
    """The destination of a request: a port of a session, and the path there."""

    session: Session
    port: int
    prefix: str
    path: str
    is_devtools: bool = False

    @property
    def url(self) -> URL:
        # `_SessionConnector` takes the host as the id of a session; there is no name resolution.
        return URL(f"http://{self.session.id}:{self.port}{self.path}", encoded=True)


class _SessionConnector(aiohttp.BaseConnector):
    """Connects into sessions: the host of a URL is the id of a session."""

    def __init__(self, state: ServiceState) -> None:
        super().__init__(force_close=True, limit=0, limit_per_host=_MAX_CONNECTIONS)
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
    """The handler, and its HTTP client for servers inside sessions."""

    def __init__(self, state: ServiceState, dashboard: Dashboard) -> None:
        self._state = state
        self._dashboard = dashboard
        self._client: aiohttp.ClientSession | None = None

    async def client(self, app: web.Application) -> AsyncIterator[None]:
        """Open the client when the service starts, and close it when it stops."""
        del app
        async with aiohttp.ClientSession(
            connector=_SessionConnector(self._state),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_WITHIN),
        ) as self._client:
            yield

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Forward a request of a program."""
        try:
            target = self._target(request)
            name = host_name(request.headers)
            if not is_own_name(name, URL(self._state.endpoint).host or ""):
                raise ApiError(error_codes.NOT_LOGIN, _wrong_host(name), 421)
            if _is_from_page(request):
                if target.is_devtools:
                    raise ApiError(error_codes.NOT_LOGIN, _FOR_PROGRAMS, 403)
                url = page_url(self._state, target.session.id, target.port)
                return _page_address(f"{url}{target.path}")
            return await self._pass_on(request, target)
        except ApiError as error:
            return error_response(error, _status(error))

    async def serve_by_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Forward a request of a browser to the host of a link; leave others to `handler`."""
        label = link_label(request.headers)
        if label is None:
            return await handler(request)
        for_people = await self._dashboard.answer(request, label)
        if for_people is not None:
            return for_people
        try:
            target = self._devtools_target(request, label) or self._page_target(request, label)
            if not target.is_devtools:
                self._check_origin(request, target.session)
            elif _is_from_page(request):
                raise ApiError(error_codes.NOT_LOGIN, _FOR_PROGRAMS, 403)
            return await self._pass_on(request, target)
        except ApiError as error:
            return error_response(error, _status(error))

    async def _pass_on(self, request: web.Request, target: _Target) -> web.StreamResponse:
        """Forward a request to the session, and stream the answer back."""
        with self._state.lifecycle.using(target.session):
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._connect(request, target)
            if target.is_devtools and describes(target.path):
                return await self._describe(request, target)
            return await self._forward(request, target)

    def _target(self, request: web.Request) -> _Target:
        sealed = request.match_info["token"]
        grant = self._state.signer.open("port", sealed)
        of_browser = self._state.signer.open("devtools", sealed) if grant is None else None
        found = grant or of_browser
        if found is None:
            raise _wrong_link()
        trust(request)
        session = self._state.session(found["session"])
        port = found["port"] if of_browser is None else self._devtools_port(session)
        # The raw path: only the server inside knows the meaning of its escapes.
        _, _, token, *rest = request.raw_path.split("/", 3)
        token, mark, query = token.partition("?")
        path = f"/{rest[0] if rest else ''}{mark}{query}"
        return _Target(session, port, f"{PORT_PREFIX}{token}", path, of_browser is not None)

    def _devtools_port(self, session: Session) -> int:
        browser = self._state.browsers.alive(session.id)
        if browser is None:
            message = "The browser of this session does not run; ask for its address again."
            raise ApiError(error_codes.SERVICE_UNAVAILABLE, message, 502)
        return browser.port

    def _devtools_target(self, request: web.Request, label: str) -> _Target | None:
        session_id = devtools_session(self._state, label)
        if session_id is None:
            return None
        trust(request)
        session = self._state.session(session_id)
        path = _absolute_path(request)
        return _Target(session, self._devtools_port(session), "", path, is_devtools=True)

    def _page_target(self, request: web.Request, label: str) -> _Target:
        found = page_port(self._state, label)
        if found is None:
            raise _wrong_link()
        trust(request)
        session_id, port = found
        return _Target(self._state.session(session_id), port, "", _absolute_path(request))

    def _check_origin(self, request: web.Request, session: Session) -> None:
        """Raise an error if a page of anything but the session sends a request.

        A server inside often trusts its clients, as one does that listens on the loopback.
        """
        origin = request.headers.get("Origin")
        if origin is None:
            return
        scheme, _, host = origin.partition("://")
        label = link_label({"Host": host}) if scheme == request.scheme else None
        found = page_port(self._state, label) if label else None
        if found is None or found[0] != session.id:
            raise ApiError(
                error_codes.NOT_LOGIN, "Requests from pages of others are not accepted.", 403
            )

    def _open_client(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the service is not running")
        return self._client

    async def _describe(self, request: web.Request, target: _Target) -> web.StreamResponse:
        """Return what the DevTools of a browser say of themselves."""
        scheme = "wss" if request.scheme == "https" else "ws"
        try:
            return await forward_description(
                self._open_client(),
                request.method,
                target.url,
                _headers(request, target),
                f"{scheme}://{request.host}{target.prefix}",
            )
        except (aiohttp.ClientError, SandboxError, OSError) as error:
            raise _unreachable(target.port, error) from error

    async def _forward(self, request: web.Request, target: _Target) -> web.StreamResponse:
        body = request.content if request.can_read_body else None
        response: web.StreamResponse | None = None
        try:
            async with self._open_client().request(
                request.method,
                target.url,
                headers=_headers(request, target),
                skip_auto_headers=AUTOMATIC_HEADERS,
                data=body,
                allow_redirects=False,
            ) as found:
                response = web.StreamResponse(
                    status=found.status,
                    reason=found.reason,
                    headers=response_headers(found.headers, request, target.prefix),
                )
                await response.prepare(request)
                async for chunk in found.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
        except (aiohttp.ClientError, SandboxError, asyncio.TimeoutError, OSError) as error:
            if response is None or not response.prepared:
                raise _unreachable(target.port, error) from error
            _abort(request)
        return response

    async def _connect(self, request: web.Request, target: _Target) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        try:
            inside = await self._open_client().ws_connect(
                target.url,
                protocols=[name.strip() for name in offered if name.strip()],
                headers=_headers(request, target),
                max_msg_size=MAX_MESSAGE,
            )
        except aiohttp.WSServerHandshakeError as error:
            status = error.status if error.status >= 400 else 502
            message = f"The server on port {target.port} refused the WebSocket with {error.status}."
            raise ApiError(error_codes.SERVICE_UNAVAILABLE, message, status) from error
        except (aiohttp.ClientError, SandboxError, asyncio.TimeoutError, OSError) as error:
            raise _unreachable(target.port, error) from error
        async with inside:
            chosen = [inside.protocol] if inside.protocol else []
            outside = web.WebSocketResponse(protocols=chosen, max_msg_size=MAX_MESSAGE)
            await outside.prepare(request)
            await relay(outside, inside)
        return outside


def _absolute_path(request: web.Request) -> str:
    path = request.raw_path
    if not path.startswith("/"):
        raise invalid("The path", "must begin with a slash.")
    return path


def _headers(request: web.Request, target: _Target) -> CIMultiDict[str]:
    headers = request_headers(request, target.prefix)
    return as_from_inside(headers, target.port) if target.is_devtools else headers


def _is_from_page(request: web.Request) -> bool:
    """Return whether a browser sends a request; programs do not send these headers."""
    sent = {name.lower(): value for name, value in request.headers.items()}
    fetch = {name: value for name, value in sent.items() if name.startswith("sec-fetch-")}
    # The fetch function of Node.js sends one of them too.
    if fetch and fetch != {"sec-fetch-mode": "cors"}:
        return True
    # Browsers send no Sec-Fetch header to an address that is neither loopback nor encrypted. Some
    # WebSocket clients send the address of the server as the origin.
    own = f"{request.scheme}://{sent.get('host', '')}"
    return "upgrade-insecure-requests" in sent or sent.get("origin", own) != own


def _page_address(url: str) -> web.Response:
    """Return a page that leads a browser to the host of a link."""
    shown = html.escape(url)
    return page(
        f'This address is for programs. In a browser, open <a href="{shown}">{shown}</a>.',
        status=403,
    )


def _wrong_link() -> ApiError:
    return ApiError(error_codes.NOT_LOGIN, "The link does not belong to this service.", 403)


def _wrong_host(name: str) -> str:
    return f"{name!r:.80} is not an address of this service; use the link as it was returned."


def _status(error: ApiError) -> int:
    """Return the HTTP status, which plain HTTP clients read instead of the envelope."""
    known = {error_codes.SESSION_NOT_FOUND: 404, error_codes.SESSION_STATE: 409}
    return known.get(error.code, error.http_status)


def _unreachable(port: int, error: Exception) -> ApiError:
    if isinstance(error, SandboxOSError):
        message = f"Nothing answers on port {port} of this session: {error.strerror}."
    else:
        name = type(error).__name__
        message = f"The server on port {port} of this session closed the connection: {name}."
    return ApiError(error_codes.SERVICE_UNAVAILABLE, message, 502)


def _abort(request: web.Request) -> None:
    """Abort the connection, so that the client sees an incomplete answer."""
    if request.transport is not None:
        request.transport.abort()
