"""HTTP: one route for all actions, one for health, and the files behind signed URLs.

Everything but health and signed URLs needs the API key, in the form, the query or the header
``Authorization``, as clients of different ages send it. Requests from web pages are refused by
their ``Origin``. The ``Host`` header is ignored: the official client puts a whole URL in it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http import HttpProcessingError

from agentbay_async._protocol import error_codes, schema
from agentbay_async._protocol.forms import decode_request
from agentbay_local.actions import ROUTES
from agentbay_local.http import control, direct_call, files, ports, websocket
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.middleware import (
    Middleware,
    Reply,
    check_api_key,
    check_request,
    end_with_client,
)
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError, missing
from agentbay_local.testing.faults import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.state import ServiceState
    from agentbay_local.testing.fault_actions import Effect

__all__ = ["BODY_LIMIT", "application", "server_log"]

server_log = logging.getLogger(f"{__name__}.server")
"""The log of aiohttp's server, without requests that are not HTTP: their sender gets an answer."""

BODY_LIMIT = 64 * 1024 * 1024
_MAX_FIELDS = 1000


def _is_server_failure(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, web.RequestPayloadError))


server_log.addFilter(_is_server_failure)


def application(state: ServiceState, api_key: str) -> web.Application:
    """Build the web application of a service."""
    middleware = Middleware(state.instruments)
    actions = _Actions(state, api_key, middleware)
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[check_request])
    app.router.add_post("/", actions.act)
    app.router.add_get("/healthz", actions.health)
    files.add(app, state, middleware)
    ports.add(app, state)
    direct_call.add(app, state, middleware)
    websocket.add(app, state)
    control.add(app, state, api_key)
    return app


class _Actions:
    """The handlers of actions and of health."""

    def __init__(self, state: ServiceState, api_key: str, middleware: Middleware) -> None:
        self._state = state
        self._key = api_key.encode()
        self._middleware = middleware

    async def health(self, request: web.Request) -> web.Response:
        """Say that the service answers, and name its isolation level."""
        del request
        level = self._state.sandboxes.isolation.value
        return web.json_response({"status": "ok", "isolation": level})

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Answer one action."""
        try:
            fields = await _fields(request)
        except ApiError as error:
            return error_response(error)
        headers = request.headers
        authorization = fields.pop("Authorization", "") or headers.get("Authorization", "")
        name = fields.get("Action") or headers.get("x-acs-action") or ""
        if name == schema.CallMcpTool.ACTION:
            end_with_client(fields.get("Name"))
        handle = partial(self._handle, name, fields, authorization)
        return await self._middleware.respond(request, Call(name, fields), handle)

    async def _handle(
        self, name: str, fields: Mapping[str, str], authorization: str, _effect: Effect | None
    ) -> Reply:
        check_api_key(authorization, self._key)
        if not name:
            raise missing("Action")
        route = ROUTES.get(name)
        if route is None:
            raise ApiError(
                error_codes.UNSUPPORTED_ACTION,
                f"The local service does not offer action {name!r:.80}.",
            )
        try:
            decoded = decode_request(route.kind, fields)
        except (ValueError, RecursionError) as error:
            raise ApiError(error_codes.INVALID_PARAMETER, f"{error!s:.300}") from error
        answer = await route.handle(self._state, decoded)
        request_id = answers.request_id()
        text = await answers.success(answer, request_id)
        response = web.Response(text=text, content_type="application/json")
        return Reply(response, request_id=request_id)


async def _fields(request: web.Request) -> dict[str, str]:
    """Return the fields of query and form; the query wins, as it does at the gateway."""
    try:
        body = await request.read()
        form: dict[str, Any] = dict(
            parse_qsl(body.decode("utf-8", "replace"), True, max_num_fields=_MAX_FIELDS)
        )
    except web.HTTPRequestEntityTooLarge as error:
        message = f"The request has more than {BODY_LIMIT} bytes."
        raise ApiError(error_codes.INVALID_PARAMETER, message, 413) from error
    except ValueError as error:
        raise ApiError(
            error_codes.INVALID_PARAMETER, f"The form has more than {_MAX_FIELDS} fields."
        ) from error
    return {**form, **request.query}
