"""The pages for people: of the service, and of each session at the ``ResourceUrl`` of its clients.

Each page has a host of its own, ``<label>.localhost``. The label is signed and the only credential,
as in the links to ports. So the pages of two sessions share no origin, and no other page of a
browser can read one. They only show, except that a session's page has a second host, whose label
allows input: mouse and keys for what runs in the session. Only the overview leads there.
"""

from __future__ import annotations

import html
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agentbay_local.dashboard.pictures import Pictures
from agentbay_local.dashboard.service_facts import service_facts
from agentbay_local.dashboard.session_facts import SessionFacts
from agentbay_local.dashboard.session_input import SessionInput
from agentbay_local.http.bodies import read_body
from agentbay_local.http.connections import trust
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.pages import page
from agentbay_local.protocol.arguments import Arguments
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.store import states
from agentbay_local.urls import control_session, is_overview, resource_session

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session
    from agentbay_local.websocket.hub import Hub

__all__ = ["Dashboard"]

_TYPES = {
    "overview.html": "text/html",
    "session.html": "text/html",
    "dashboard.css": "text/css",
    "overview.js": "text/javascript",
    "session.js": "text/javascript",
    "input.js": "text/javascript",
    "tables.js": "text/javascript",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The characters of a path of Linux.
_MAX_PATH = 4096
_LONGEST_INPUT = 128 * 1024


class Dashboard:
    """Answers requests to the hosts of the pages.

    Args:
        state: The service.
        hub: The terminals of the sessions.
    """

    def __init__(self, state: ServiceState, hub: Hub) -> None:
        self._state = state
        self._pictures = Pictures(state)
        self._sessions = SessionFacts(state, hub, self._pictures)
        self._input = SessionInput(state, hub, self._pictures)

    async def answer(self, request: web.Request, label: str) -> web.Response | None:
        """Answer a request to a host that begins with `label`; None if that is no page's."""
        controlled = control_session(self._state, label)
        session_id = controlled or resource_session(self._state, label)
        if session_id is None and not is_overview(self._state, label):
            return None
        trust(request)
        try:
            if controlled is not None and (request.method, request.path) == ("POST", "/input"):
                return await self._take_input(request, controlled)
            if request.method != "GET":
                return page("This page only shows.", status=405)
            if session_id is None:
                return self._overview(request)
            return await self._session(request, session_id, may_control=controlled is not None)
        except ApiError as error:
            return error_response(error, 404)

    def _overview(self, request: web.Request) -> web.Response:
        if request.path == "/":
            return _static("overview.html")
        if request.path == "/facts":
            return _json(service_facts(self._state, _number(request, "after")))
        return _static(request.path[1:])

    async def _take_input(self, request: web.Request, session_id: str) -> web.Response:
        """Pass on what a person does on the page of a session."""
        # A page of another origin can send such a request, but neither of these headers with it.
        own = request.headers.get("Origin") == f"{request.scheme}://{request.host}"
        if not own or request.content_type != "application/json":
            return _json({"error": "Only the page of the session may send input."}, status=403)
        session = self._state.running_session(session_id)
        given = _parse_input(await read_body(request, _LONGEST_INPUT))
        return _json({"error": await self._input.perform(session, given)})

    async def _session(
        self, request: web.Request, session_id: str, *, may_control: bool
    ) -> web.Response:
        session = self._state.store.sessions.get(session_id)
        if session is None or session.status not in states.LIVE:
            return _ended(request, session)
        if request.path == "/":
            return _static("session.html")
        if request.path == "/facts":
            directory = request.query.get("directory", "")
            if len(directory) > _MAX_PATH or "\0" in directory:
                raise invalid("directory", "must be a path.")
            after = _number(request, "after")
            facts = await self._sessions.collect(session, after, directory)
            return _json({**facts, "input": may_control})
        if request.path == "/usage":
            return _json(await self._sessions.usage(session))
        if request.path == "/browser":
            return _picture(await self._pictures.of_browser(session_id))
        if request.path == "/desktop":
            return _picture(await self._pictures.of_desktop(session_id))
        return _static(request.path[1:])


def _parse_input(body: bytearray) -> Arguments:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("to") not in ("desktop", "browser", "terminal"):
        raise invalid("The input", "must be for the desktop, the browser or a terminal.")
    return Arguments(value.pop("to"), value)


def _ended(request: web.Request, session: Session | None) -> web.Response:
    """Say why a session is no more: to a person, or to the script of a page that is open."""
    reason = session.end_reason if session else "it is no longer on record"
    if request.path == "/":
        return page(f"This session has ended: {html.escape(reason)}.", status=410)
    return _json({"reason": reason}, status=410)


def _static(name: str) -> web.Response:
    if name not in _TYPES:
        return page("There is no such page here.", status=404)
    return web.Response(
        body=_content(name), content_type=_TYPES[name], charset="utf-8", headers=_HEADERS
    )


@cache
def _content(name: str) -> bytes:
    return (files("agentbay_local.dashboard") / "static" / name).read_bytes()


def _json(facts: Any, *, status: int = 200) -> web.Response:
    body = json.dumps(facts).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=_HEADERS)


def _picture(content: bytes | None) -> web.Response:
    if content is None:
        return page("There is no picture.", status=404)
    return web.Response(body=content, content_type="image/png", headers=_HEADERS)


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise invalid(name, "must be a whole number.")
    return int(text)
