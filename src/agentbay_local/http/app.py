"""HTTP: one route for all actions, one for health, and the files behind signed URLs.

Everything but health and signed URLs needs the API key, in the form, the query or the header
``Authorization``, as clients of different ages send it. Requests that a web page makes are refused
by their ``Origin``. The ``Host`` header is never looked at: the official client puts a whole URL in
it.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http import HttpProcessingError

from agentbay_async._protocol import error_codes
from agentbay_async._protocol.forms import decode_request
from agentbay_local.actions import ROUTES
from agentbay_local.http import control, direct_call, error_responses, files, ports, websocket
from agentbay_local.http.middleware import Middleware, Reply, refused, reply
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError, invalid, missing
from agentbay_local.testing.faults import Call
from agentbay_local.urls import FILE_PREFIX, PORT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from agentbay_local.state import ServiceState

__all__ = ["BODY_LIMIT", "Front", "application", "server_log"]

_log = logging.getLogger(__name__)

server_log = logging.getLogger(f"{__name__}.server")
"""What aiohttp says about requests, but for those that are no HTTP: who sent them is told that."""

BODY_LIMIT = 64 * 1024 * 1024
_MOST_FIELDS = 1000


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, web.RequestPayloadError))


server_log.addFilter(_is_ours)


def application(state: ServiceState, api_key: str) -> web.Application:
    """Build the web application of a service."""
    middleware = Middleware(state.instruments)
    front = Front(state, api_key, middleware)
    app = web.Application(
        client_max_size=BODY_LIMIT, middlewares=[refuse_web_pages, refuse_broken_bodies]
    )
    app.router.add_post("/", front.act)
    app.router.add_get("/healthz", front.health)
    files.add(app, state, middleware)
    ports.add(app, state)
    direct_call.add(app, state, middleware)
    websocket.add(app, state)
    control.add(app, state, api_key)
    return app


@web.middleware
async def refuse_web_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a browser sends on behalf of some page: no page has business here."""
    if "Origin" in request.headers and not request.path.startswith(PORT_PREFIX):
        problem = ApiError(error_codes.NOT_LOGIN, "Requests from web pages are not accepted.", 403)
        return refused(problem).response
    return await handler(request)


@web.middleware
async def refuse_broken_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body that is packed, cut up in another way than its headers say, or not whole."""
    try:
        if _is_packed(request):
            return _refused_body("is packed; send it plain.")
        return await handler(request)
    except web.RequestPayloadError:
        return _refused_body("is not cut up as its headers say.")
    except ConnectionError:
        if request.transport is not None:
            raise
        # The client has hung up in the middle, and this goes nowhere.
        return web.Response(status=400)


def _is_packed(request: web.Request) -> bool:
    passed_on = request.path.startswith((PORT_PREFIX, FILE_PREFIX))
    return not passed_on and request.headers.get("Content-Encoding", "identity") != "identity"


def _refused_body(why: str) -> web.Response:
    return error_responses.refused(invalid("The body", why))


class Front:
    """Turns requests into calls of handlers, and what they return or raise into answers."""

    def __init__(self, state: ServiceState, api_key: str, middleware: Middleware) -> None:
        self._state = state
        self._key = api_key.encode()
        self._middleware = middleware

    async def health(self, request: web.Request) -> web.Response:
        """Say that the service answers, and how well it isolates."""
        del request
        level = self._state.sandboxes.isolation.value
        return web.json_response({"status": "ok", "isolation": level})

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Answer one action."""
        try:
            fields = await _fields(request)
        except ApiError as problem:
            return refused(problem).response
        name = fields.get("Action") or request.headers.get("x-acs-action") or ""

        async def handle(_cut: int | None) -> Reply:
            return await self._reply(name, fields, request)

        return await self._middleware.pass_through(request, _call(name, fields), handle)

    async def _reply(self, name: str, fields: Mapping[str, str], request: web.Request) -> Reply:
        try:
            self._check_key(fields, request)
            identity = answers.request_id()
            found = await self._answer(name, fields)
            return reply(await answers.success(found, identity), identity)
        except ApiError as problem:
            return refused(problem)
        except Exception:
            fault = ApiError(
                error_codes.INTERNAL, "The local service failed; its log says why.", 500
            )
            said = refused(fault)
            _log.exception("request %s failed", said.request_id)
            return said

    async def _answer(self, name: str, fields: Mapping[str, str]) -> answers.Answer:
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
        return await route.handle(self._state, decoded)

    def _check_key(self, fields: Mapping[str, str], request: web.Request) -> None:
        given = fields.get("Authorization") or request.headers.get("Authorization") or ""
        word, _, key = given.partition(" ")
        right = hmac.compare_digest(key.strip().encode("utf-8", "replace"), self._key)
        if not right or word.lower() != "bearer":
            raise ApiError(error_codes.NOT_LOGIN, "The API key is missing or wrong.")


def _call(name: str, fields: Mapping[str, str]) -> Call:
    """Return what faults and the journal see: everything but the key."""
    form = {field: value for field, value in fields.items() if field != "Authorization"}
    return Call(name, form)


async def _fields(request: web.Request) -> dict[str, str]:
    """Return the fields of query and form; the query wins, as it does at the gateway."""
    try:
        body = await request.read()
        form: dict[str, Any] = dict(
            parse_qsl(body.decode("utf-8", "replace"), True, max_num_fields=_MOST_FIELDS)
        )
    except web.HTTPRequestEntityTooLarge as error:
        message = f"The request has more than {BODY_LIMIT} bytes."
        raise ApiError(error_codes.INVALID_PARAMETER, message, 413) from error
    except ValueError as error:
        raise ApiError(
            error_codes.INVALID_PARAMETER, f"The form has over {_MOST_FIELDS} fields."
        ) from error
    return {**form, **request.query}
