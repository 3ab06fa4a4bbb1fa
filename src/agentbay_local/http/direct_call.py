"""Tools called directly at a session's own address, with its token and no key of the account."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_async._protocol.codec import to_json
from agentbay_local.actions import tools
from agentbay_local.http.direct import refused, session_of
from agentbay_local.http.middleware import Reply
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.protocol.json import dump_json
from agentbay_local.testing.faults import Call

if TYPE_CHECKING:
    from agentbay_local.http.middleware import Middleware
    from agentbay_local.state import ServiceState

__all__ = ["add"]

_log = logging.getLogger(__name__)


def add(app: web.Application, state: ServiceState, middleware: Middleware) -> None:
    """Add the route."""
    app.router.add_post("/link/{session}/callTool", _Link(state, middleware).call)


@attrs.frozen
class _Link:
    """The handler."""

    state: ServiceState
    middleware: Middleware

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Call a tool; whatever it says is an answer, what keeps it from being called a refusal."""
        try:
            session = session_of(self.state, request)
            document = await _document(request)
        except ApiError as problem:
            return refused(problem)

        async def handle(_cut: int | None) -> Reply:
            return await self._perform(session.id, document)

        tool = document.get("tool")
        form = {"SessionId": session.id, "Name": tool if isinstance(tool, str) else ""}
        return await self.middleware.pass_through(request, Call("callTool", form), handle)

    async def _perform(self, session_id: str, document: dict[str, Any]) -> Reply:
        try:
            name, values = document.get("tool"), document.get("args") or {}
            if not isinstance(name, str) or not isinstance(values, dict):
                raise invalid("tool", "must be a name, and args an object.")
            answer = await tools.perform(self.state, session_id, name, values)
        except ApiError as problem:
            return Reply(refused(problem), problem.code)
        except Exception:
            _log.exception("a tool that was called directly failed")
            fault = ApiError(
                error_codes.INTERNAL, "The local service failed; its log says why.", 500
            )
            return Reply(refused(fault), fault.code)
        data = {"result": to_json(answer)}
        said = {"code": 200, "requestId": _request_id(document), "data": data}
        text = await dump_json(said, tools.text_size(answer))
        return Reply(web.Response(text=text, content_type="application/json"))


def _request_id(document: dict[str, Any]) -> str | int | None:
    # Anything else might be read and yet be nested too deeply to be written.
    name = document.get("requestId")
    return name if isinstance(name, (str, int)) else None


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except web.HTTPRequestEntityTooLarge as error:
        raise ApiError(error_codes.INVALID_PARAMETER, "The request is too large.", 413) from error
    except (ValueError, RecursionError) as error:
        raise invalid("The body", "must be JSON.") from error
    if not isinstance(document, dict):
        raise invalid("The body", "must be a JSON object.")
    return document
