"""The page of a session for people, at the ``ResourceUrl`` that clients get.

Each session has a host of its own, ``<label>.localhost``. The label is signed and the only
credential, as in the links to ports.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from agentbay_local.http.connections import trust
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.pages import page
from agentbay_local.protocol.errors import ApiError
from agentbay_local.urls import resource_session

if TYPE_CHECKING:
    from aiohttp import web

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

__all__ = ["answer_page"]


def answer_page(state: ServiceState, request: web.Request, label: str) -> web.Response | None:
    """Answer a request to a host that begins with `label`; None if that is no session's page."""
    session_id = resource_session(state, label)
    if session_id is None:
        return None
    trust(request)
    if request.method != "GET" or request.path != "/":
        return page("There is only one page here.", status=404)
    try:
        return _describe(state, state.session(session_id))
    except ApiError as error:
        return error_response(error, 404)


def _describe(state: ServiceState, session: Session) -> web.Response:
    isolation = state.sandboxes.isolation.value
    return page(
        f"Session <b>{html.escape(session.id)}</b> of the local service of AgentBay.",
        f"Image: {html.escape(session.image)}. State: {html.escape(session.status)}. "
        f"Isolation: {html.escape(isolation)}.",
        "The live view of a session comes with a later version.",
    )
