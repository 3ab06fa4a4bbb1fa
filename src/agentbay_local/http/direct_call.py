"""Direct tool calls: at a session's own address, with its token and without the API key."""

from __future__ import annotations

import json
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from agentbay_async._protocol import schema
from agentbay_async._protocol.byte_calls import MEDIA_TYPE, split_call
from agentbay_async._protocol.codec import to_json
from agentbay_local.actions.tools import call_tool
from agentbay_local.http.bodies import read_body
from agentbay_local.http.error_responses import direct_error_response
from agentbay_local.http.middleware import Reply, check_session_token, end_with_client
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.protocol.json import encode_json
from agentbay_local.testing.faults import Call

if TYPE_CHECKING:
    from agentbay_local.http.middleware import Middleware
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session
    from agentbay_local.testing.fault_actions import Effect

__all__ = ["add"]


def add(app: web.Application, state: ServiceState, middleware: Middleware) -> None:
    """Add the route."""
    app.router.add_post("/link/{session}/callTool", _DirectCalls(state, middleware).call)


@attrs.frozen
class _DirectCalls:
    """The handler."""

    state: ServiceState
    middleware: Middleware

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Call a tool: a failure of the tool is an answer, all else an error."""
        try:
            # The token before the body, which a stranger must not make the service read.
            session_id = check_session_token(self.state, request)
            document = await _document(request)
            # Nothing is awaited between the look-up of the session and the work in it.
            session = self.state.session(session_id)
        except ApiError as error:
            return direct_error_response(error)
        tool = document.get("tool")
        end_with_client(tool)
        form = {"SessionId": session.id, "Name": tool if isinstance(tool, str) else ""}
        return await self.middleware.respond(
            request,
            Call("callTool", form),
            partial(
                self._handle, session, document, MEDIA_TYPE in request.headers.get("Accept", "")
            ),
            on_error=_error_reply,
        )

    async def _handle(
        self,
        session: Session,
        document: dict[str, Any],
        bytes_accepted: bool,
        effect: Effect | None,
    ) -> Reply:
        name, values = document.get("tool"), document.get("args") or {}
        if not isinstance(name, str) or not isinstance(values, dict):
            raise invalid("tool", "must be a name, and args an object.")
        if effect is not None:
            # The fault may have taken time, in which the session may have changed.
            session = self.state.session(session.id)
        answer, size = await call_tool(self.state, session, name, values)
        if isinstance(answer, schema.BytesAnswer):
            if bytes_accepted:
                # A server sends a file in pieces, and would copy bytes twice.
                return Reply(web.Response(body=BytesIO(answer.body), content_type=MEDIA_TYPE))
            answer = answer.as_text()
        request_id = document.get("requestId")
        if not isinstance(request_id, (str, int)):
            # Any other value might be nested too deeply to be written.
            request_id = None
        envelope = {"code": 200, "requestId": request_id, "data": {"result": to_json(answer)}}
        body = await encode_json(envelope, size)
        return Reply(web.Response(body=body, content_type="application/json", charset="utf-8"))


def _error_reply(error: ApiError) -> Reply:
    return Reply(direct_error_response(error), error.code)


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        content = request.content
        # Small bodies have come with the head.
        body = content.read_nowait() if content.is_eof() else await read_body(request)
        argument = None
        if request.headers.get("Content-Type") == MEDIA_TYPE:
            body, argument = split_call(body)
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid("The body", "must be JSON.") from error
    if not isinstance(document, dict):
        raise invalid("The body", "must be a JSON object.")
    if argument is not None and isinstance(document.get("args"), dict):
        document["args"]["content"] = argument
    return document
