"""Links to the ports of a session and to its browser; phones are not offered here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import error_codes, schema
from agentbay_local.actions.browser import browser_link
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.urls import PORTS, port_url

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState

_FIRST, _LAST = PORTS[0], PORTS[-1]


async def get(state: ServiceState, request: schema.GetLink) -> Answer:
    """Return a URL of a port or, without one, of the browser, valid until the session ends.

    Without TLS it begins with ``http`` or ``ws``, that of the cloud with ``https`` or ``wss``.
    """
    session = state.running_session(request.session_id)
    protocol = (request.protocol_type or "wss").lower()
    if protocol not in ("https", "wss"):
        raise invalid("ProtocolType", f"must be 'https' or 'wss', not {protocol!r:.40}.")
    if request.port is None:
        return Answer(schema.Link(url=await browser_link(state, session, protocol)))
    if request.port not in PORTS:
        raise ApiError(
            error_codes.INVALID_PARAMETER,
            f"Invalid port value: {request.port}. "
            f"Port must be an integer in the range [{_FIRST}, {_LAST}].",
        )
    url = port_url(state, session.id, request.port)
    link = f"{url}/" if protocol == "https" else f"ws{url.removeprefix('http')}"
    return Answer(schema.Link(url=link))


async def no_phone(state: ServiceState, request: schema.GetAdbLink) -> Answer:
    """Reject a request for a phone."""
    session = state.running_session(request.session_id)
    raise ApiError(
        error_codes.INVALID_PARAMETER,
        f"A phone is not offered by image {session.image!r} here; the cloud service has mobile "
        f"images.",
    )
