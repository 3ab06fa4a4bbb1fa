"""Tools called directly at a session's own address, with its token and no key of the account."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from agentbay_async._wire import codes
from agentbay_async._wire.codec import compact_json
from agentbay_local.actions import tools
from agentbay_local.dialect.problems import Problem, invalid
from agentbay_local.web.direct import refused, session_of

if TYPE_CHECKING:
    from agentbay_local.state import State

__all__ = ["add"]

_log = logging.getLogger(__name__)


def add(app: web.Application, state: State) -> None:
    """Add the route."""
    app.router.add_post("/link/{session}/callTool", _Link(state).call)


@attrs.frozen
class _Link:
    """The handler."""

    state: State

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Call a tool; whatever it says is an answer, what keeps it from being called a refusal."""
        try:
            session = session_of(self.state, request)
            document = await _document(request)
            name, values = document.get("tool"), document.get("args") or {}
            if not isinstance(name, str) or not isinstance(values, dict):
                raise invalid("tool", "must be a name, and args an object.")
            answer = await tools.perform(self.state, session.id, name, values)
        except Problem as problem:
            return refused(problem)
        except Exception:
            _log.exception("a tool that was called directly failed")
            fault = Problem(codes.INTERNAL, "The local service failed; its log says why.", 500)
            return refused(fault)
        said = {"code": 200, "requestId": document.get("requestId"), "data": {"result": answer}}
        return web.Response(text=compact_json(said), content_type="application/json")


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except web.HTTPRequestEntityTooLarge as error:
        raise Problem(codes.INVALID_PARAMETER, "The request is too large.", 413) from error
    except (ValueError, RecursionError) as error:
        raise invalid("The body", "must be JSON.") from error
    if not isinstance(document, dict):
        raise invalid("The body", "must be a JSON object.")
    return document
