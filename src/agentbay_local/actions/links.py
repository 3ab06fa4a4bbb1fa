"""Links to the ports of a session; browsers and phones are not offered here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import error_codes, schema
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.urls import PORTS, port_url

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

_FIRST, _LAST = PORTS[0], PORTS[-1]


async def get(state: ServiceState, request: schema.GetLink) -> Answer:
    """Return a URL of a port, valid until the session ends.

    Without TLS it begins with ``http`` or ``ws``, that of the cloud with ``https`` or ``wss``.
    """
    session = state.running_session(request.session_id)
    protocol = (request.protocol_type or "wss").lower()
    if protocol not in ("https", "wss"):
        raise invalid("ProtocolType", f"must be 'https' or 'wss', not {protocol!r:.40}.")
    if request.port is None:
        raise _not_offered("browser", session)
    if request.port not in PORTS:
        raise ApiError(
            error_codes.INVALID_PARAMETER,
            f"Invalid port value: {request.port}. "
            f"Port must be an integer in the range [{_FIRST}, {_LAST}].",
        )
    url = port_url(state, session.id, request.port)
    link = f"{url}/" if protocol == "https" else f"ws{url.removeprefix('http')}"
    return Answer(schema.Link(url=link))


async def no_browser(
    state: ServiceState, request: schema.GetCdpLink | schema.InitBrowser
) -> Answer:
    """Reject a request for a browser."""
    raise _not_offered("browser", state.running_session(request.session_id))


async def no_phone(state: ServiceState, request: schema.GetAdbLink) -> Answer:
    """Reject a request for a phone."""
    raise _not_offered("phone", state.running_session(request.session_id))


def _not_offered(what: str, session: Session) -> ApiError:
    return ApiError(
        error_codes.INVALID_PARAMETER,
        f"A {what} is not offered by image {session.image!r} here; the cloud service has images "
        f"with one.",
    )
