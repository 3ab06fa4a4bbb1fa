"""URLs into a session: to its ports, its browser, its debug bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import BadAnswerError, InvalidArgumentError
from agentbay_async.models.tools import LinkResult

if TYPE_CHECKING:
    from agentbay_async._api import Api

_PORTS = range(30100, 30200)
_PROTOCOLS = ("https", "wss")


async def get_link(
    api: Api, session_id: str, protocol: object, port: object, options: str | None
) -> LinkResult:
    """Return the URL of a port of a session, or of its browser.

    Raises:
        InvalidArgumentError: The service does not offer the port or the protocol.
        ArgumentTypeError: The port is not an int.
    """
    if protocol is not None and protocol not in _PROTOCOLS:
        raise InvalidArgumentError(f"protocol_type must be 'https' or 'wss', not {protocol!r}")
    request = schema.GetLink(
        session_id=session_id,
        protocol_type=None if protocol is None else str(protocol),
        port=None if port is None else _check_port(port),
        option=None if options is None else _check.string(options, "options"),
    )
    return await fetch_link(api, request)


async def fetch_link(
    api: Api, request: schema.GetLink | schema.GetCdpLink | schema.GetAdbLink
) -> LinkResult:
    """Send a request for a URL, and return the URL.

    Raises:
        BadAnswerError: The answer has no URL.
    """
    answer = await api.call(request)
    if answer.data is None or not answer.data.url:
        raise BadAnswerError(
            f"{request.ACTION}: the answer has no URL", request_id=answer.request_id
        )
    if (access := api.access.get(request.session_id or "")) is not None:
        access.can_change_unseen = True
    return LinkResult.ok(answer.data.url, answer.request_id)


def _check_port(port: object) -> int:
    number = _check.integer(port, "port")
    if number not in _PORTS:
        raise InvalidArgumentError(f"port must be from 30100 to 30199, not {number}")
    return number
