"""Which way a call to a session takes: directly, or by way of the API; and its WebSocket.

A tool is called directly where the session has an address and the tool's server is known. What
fails there is sent again by the API only where that does no harm: when nothing reached the session,
or when the tool only reads. A command that may have run is never run a second time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import schema
from agentbay_async._transport.access import remember_endpoint
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    BadAnswerError,
    ConnectionFailedError,
    ConnectionLostError,
    ServiceError,
    SessionError,
)

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async._protocol.envelope import Answer
    from agentbay_async._transport.access import Access
    from agentbay_async._transport.websocket import SessionSocket

logger = logging.getLogger("agentbay")

#: Tools that change nothing, so that asking twice is as good as asking once.
READ_ONLY = frozenset(
    {
        "get_env",
        "get_file_info",
        "get_metrics",
        "list_directory",
        "read_file",
        "read_multiple_files",
        "search_files",
    }
)

# For how many seconds an address that could not be reached is not tried again.
_AVOIDED = 30.0
# The gateway turned the call away unread: a token that ended, a route that is gone.
_TURNED_AWAY = frozenset({401, 403, 404})
# Of a call that may have been acted on; a timeout is not among them, because the time is over.
_UNCERTAIN = (ConnectionLostError, BadAnswerError, ServiceError)


async def send(
    api: Api, request: schema.CallMcpTool, timeout: float | None
) -> Answer[schema.ToolAnswer]:
    """Call a tool by the best way there is.

    Args:
        api: The client's.
        request: What to call.
        timeout: Seconds for one attempt; ``None`` takes the client's.

    Raises:
        AgentBayError: The call failed, and was not sent again, or failed again.
    """
    access = api.access.get(request.session_id or "")
    if access is None:
        return await api.call(request, timeout)
    if request.name in READ_ONLY:
        return await _send(api, access, request, timeout)
    with access.changing():
        return await _send(api, access, request, timeout)


async def _send(
    api: Api, access: Access, request: schema.CallMcpTool, timeout: float | None
) -> Answer[schema.ToolAnswer]:
    name = request.name or ""
    if server := access.server_for(name, api.clock.monotonic()):
        try:
            return await _directly(api, access, server, request, timeout)
        except AgentBayError as error:
            if not _repeatable(error, name):
                raise
            logger.info("%s; the API is asked instead", error)
            if not isinstance(error, _UNCERTAIN):
                access.avoid_until = api.clock.monotonic() + _AVOIDED
    return await api.call(attrs.evolve(request, server=access.tools.server_of(name)), timeout)


async def _directly(
    api: Api,
    access: Access,
    server: str,
    request: schema.CallMcpTool,
    timeout: float | None,
) -> Answer[schema.ToolAnswer]:
    # Imported here, so that importing the package does not load aiohttp.
    from agentbay_async._transport.direct_call import call_directly

    api.check_open()
    limit = api.settings.timeout if timeout is None else timeout
    return await call_directly(
        api.transport, access, server, request.name or "", request.args or {}, limit
    )


def _repeatable(error: AgentBayError, tool: str) -> bool:
    if isinstance(error, ConnectionFailedError):
        return True
    if isinstance(error, APIError) and error.http_status in _TURNED_AWAY:
        return True
    return tool in READ_ONLY and isinstance(error, _UNCERTAIN)


async def access_to(api: Api, session_id: str) -> Access:
    """Return how a session is reached; of one that was only listed, the service is asked."""
    access = api.access.get(session_id)
    if access is None:
        answer = await api.call(schema.GetSession(session_id=session_id))
        access = remember_endpoint(api.access, session_id, answer.data or schema.SessionRecord())
    return access


async def socket_of(api: Api, session_id: str) -> SessionSocket:
    """Return the one WebSocket of a session, which connects when it is first spoken through.

    Raises:
        SessionError: The session offers none.
        AgentBayError: How it is reached could not be asked.
    """
    api.check_open()
    access = await access_to(api, session_id)
    if not (access.ws_url and access.token):
        raise SessionError(
            f"{session_id} offers no WebSocket", session_id=session_id, hint=_NO_SOCKET_HINT
        )
    access.can_change_unseen = True
    return api.sockets.get(access)


_NO_SOCKET_HINT = "Terminals and streams need an image that offers one"
