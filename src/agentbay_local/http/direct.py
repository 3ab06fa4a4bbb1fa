"""What the direct channels share: who is let in, and how they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.urls import TOKEN_HEADER, authorize_session

if TYPE_CHECKING:
    from agentbay_local.protocol.errors import ApiError
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

__all__ = ["refused", "session_of"]


def session_of(state: ServiceState, request: web.Request) -> Session:
    """Return the session that a request's path names and its token opens.

    Raises:
        Problem: The token does not open it, or it is released.
    """
    token = request.headers.get(TOKEN_HEADER, "")
    return authorize_session(state, request.match_info["session"], token)


def refused(problem: ApiError) -> web.Response:
    """Write a refusal. A session that is gone is a 404, since plain clients read the status."""
    status = 404 if problem.code == error_codes.SESSION_NOT_FOUND else problem.http_status
    said = {"code": problem.code, "message": problem.message}
    return web.json_response(said, status=status)
