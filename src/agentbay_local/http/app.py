"""HTTP: one route for all actions, one for health, and the files behind signed URLs.

Everything but health and signed URLs needs the API key, in the query, the header ``Authorization``
or the form, as clients of different ages send it. A key in the head is checked before the body is
read. Requests from web pages are refused by their ``Origin``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import HttpProcessingError
from yarl import URL

from agentbay_async._protocol import error_codes, schema
from agentbay_async._protocol.forms import decode_request
from agentbay_local.actions import ROUTES
from agentbay_local.http import control, direct_call, files, ports, websocket
from agentbay_local.http.bodies import BODY_LIMIT, decode_form, read_body, read_form
from agentbay_local.http.connections import CONNECTIONS, Connections, credential_shown, trust
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.hosts import host_name, is_own_name
from agentbay_local.http.middleware import (
    Middleware,
    Reply,
    check_api_key,
    check_request,
    end_with_client,
    outlive_client,
)
from agentbay_local.http.replay import Replay
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError, missing
from agentbay_local.testing.faults import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.state import ServiceState
    from agentbay_local.testing.fault_actions import Effect

__all__ = ["application", "server_log"]

_KEY = "Authorization"
_NAME_SHOWN = 100

server_log = logging.getLogger(f"{__name__}.server")
"""The log of aiohttp's server, without requests that are not HTTP: their sender gets an answer."""


def _is_server_failure(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, web.RequestPayloadError))


server_log.addFilter(_is_server_failure)


def application(state: ServiceState, api_key: str) -> web.Application:
    """Build the web application of a service."""
    middleware = Middleware(state.instruments)
    actions = _Actions(state, api_key, middleware)
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[outlive_client, check_request])
    app[CONNECTIONS] = Connections()
    app.router.add_post("/", actions.act)
    # Clients in TypeScript send some actions by GET, with all fields in the query.
    app.router.add_get("/", actions.act, allow_head=False)
    app.router.add_get("/healthz", actions.health)
    files.add(app, state, middleware)
    ports.add(app, state, websocket.add(app, state))
    direct_call.add(app, state, middleware)
    control.add(app, state, api_key)
    if actions.replay is not None:
        actions.replay.add(app)
    return app


class _Actions:
    """The handlers of actions and of health."""

    def __init__(self, state: ServiceState, api_key: str, middleware: Middleware) -> None:
        self._state = state
        self._check_key = partial(check_api_key, api_key=api_key.encode())
        self._middleware = middleware
        player = state.player
        self.replay = None if player is None else Replay(state, player, api_key, middleware)

    async def health(self, request: web.Request) -> web.Response:
        """Say that the service answers, and name its isolation level."""
        if not is_own_name(host_name(request.headers), URL(self._state.endpoint).host or ""):
            message = "The Host header is not an address of this service."
            return error_response(ApiError(error_codes.NOT_LOGIN, message, 421))
        level = self._state.sandboxes.isolation.value
        return web.json_response({"status": "ok", "isolation": level})

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Answer one action."""
        try:
            fields = await self._fields(request)
        except ApiError as error:
            # Without a key, a client leaves only a name in the journal.
            call = Call(_action_in_head(request)[:_NAME_SHOWN], {})
            return await self._middleware.respond(request, call, partial(_raise, error))
        name = fields.get("Action") or _action_in_head(request)
        if name == schema.CallMcpTool.ACTION:
            end_with_client(fields.get("Name"))
        handle = partial(self._handle, name, fields)
        return await self._middleware.respond(request, Call(name, fields), handle)

    async def _fields(self, request: web.Request) -> dict[str, str]:
        """Return the fields of query and form; the query wins, as it does at the gateway.

        Raises:
            ApiError: The key is missing or wrong, or the form is invalid.
        """
        given = _key_in_head(request)
        if given is None:
            form = await read_form(request, self._check_key)
        else:
            self._check_key(given)
            if credential_shown.get() is not None:
                trust(request)
            form = await decode_form(await read_body(request))
        form.update(request.query)
        form.pop(_KEY, None)
        return form

    async def _handle(self, name: str, fields: Mapping[str, str], _effect: Effect | None) -> Reply:
        if not name:
            raise missing("Action")
        if self.replay is not None:
            return self.replay.act(name, fields)
        route = ROUTES.get(name)
        if route is None:
            raise ApiError(
                error_codes.UNSUPPORTED_ACTION,
                f"The local service does not offer action {name!r:.80}; the cloud service may.",
            )
        try:
            decoded = decode_request(route.kind, fields)
        except (ValueError, RecursionError) as error:
            raise ApiError(error_codes.INVALID_PARAMETER, f"{error!s:.300}") from error
        answer = await route.handle(self._state, decoded)
        request_id = answers.request_id()
        body = await answers.success(answer, request_id)
        response = web.Response(body=body, content_type="application/json", charset="utf-8")
        return Reply(response, request_id=request_id)


def _action_in_head(request: web.Request) -> str:
    return request.query.get("Action") or request.headers.get("x-acs-action") or ""


def _key_in_head(request: web.Request) -> str | None:
    """Return the key of the query or the header; None if the form has to have it."""
    if _KEY in request.query:
        return request.query[_KEY]
    header = request.headers.get(_KEY, "")
    # HTTP clients add credentials of their own, such as those of ~/.netrc.
    return header if header[:7].lower() == "bearer " else None


async def _raise(error: ApiError, _effect: Effect | None) -> Reply:
    raise error
