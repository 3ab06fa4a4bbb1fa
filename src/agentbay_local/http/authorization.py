"""Authorization: the API key of the account, and the token of one session."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from agentbay_async._protocol import error_codes
from agentbay_local.protocol.errors import ApiError
from agentbay_local.urls import TOKEN_HEADER

if TYPE_CHECKING:
    from aiohttp import web

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

__all__ = ["authorize_session", "check_api_key", "check_session_token"]


def check_api_key(authorization: str, api_key: bytes, http_status: int = 400) -> None:
    """Check the value of an ``Authorization`` header or field.

    Raises:
        ApiError: It is not ``Bearer`` and the key.
    """
    scheme, _, given = authorization.partition(" ")
    matches = hmac.compare_digest(given.strip().encode("utf-8", "replace"), api_key)
    if not matches or scheme.lower() != "bearer":
        raise ApiError(error_codes.NOT_LOGIN, "The API key is missing or wrong.", http_status)


def authorize_session(state: ServiceState, request: web.Request) -> Session:
    """Return the session in a request's path, if the token in its header opens that session.

    Raises:
        ApiError: The token does not belong to the session (401), or the session is released.
    """
    return state.session(check_session_token(state, request))


def check_session_token(state: ServiceState, request: web.Request) -> str:
    """Return the session id in a request's path, if the token in its header belongs to it.

    Raises:
        ApiError: The token does not belong to the session (401).
    """
    session_id = request.match_info["session"]
    grant = state.signer.open("access", request.headers.get(TOKEN_HEADER, ""))
    if grant is None or grant["session"] != session_id:
        raise ApiError(error_codes.NOT_LOGIN, "The token of the session is missing or wrong.", 401)
    return session_id
