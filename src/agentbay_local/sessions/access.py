"""How a session is reached besides the API, and what opens it.

The token is sealed with the service's secret and names its session, so that nothing is stored: it
opens one session of one service, for as long as that session lives.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import error_codes
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

__all__ = ["TOKEN_HEADER", "Access", "access_to", "admitted"]

TOKEN_HEADER = "X-Access-Token"  # noqa: S105  # the name of a header


@attrs.frozen
class Access:
    """How one session is reached.

    Attributes:
        link_url: Where its tools are called; ``/callTool`` follows.
        ws_url: Where its WebSocket is.
        token: What opens both, in the header `TOKEN_HEADER`.
    """

    link_url: str = attrs.field(repr=False)
    ws_url: str = attrs.field(repr=False)
    token: str = attrs.field(repr=False)


def access_to(state: ServiceState, session_id: str) -> Access:
    """Return how a session is reached."""
    return Access(
        link_url=f"{state.endpoint}/link/{session_id}",
        ws_url=f"{state.endpoint.replace('http', 'ws', 1)}/ws/{session_id}",
        token=_token(state, session_id),
    )


def admitted(state: ServiceState, session_id: str, token: str) -> Session:
    """Return the session that a token opens.

    Raises:
        Problem: It is not the session's token (401), or the session is released.
    """
    right = _token(state, session_id).encode()
    if not hmac.compare_digest(token.encode("utf-8", "replace"), right):
        raise ApiError(error_codes.NOT_LOGIN, "The token of the session is missing or wrong.", 401)
    return state.session(session_id)


def _token(state: ServiceState, session_id: str) -> str:
    return state.signer.seal("access", {"session": session_id})
