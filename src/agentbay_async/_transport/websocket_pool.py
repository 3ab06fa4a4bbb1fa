"""Where aiohttp's WebSocket becomes a line, and the lines that a client holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import anyio

from agentbay_async._protocol.error_codes import error_type
from agentbay_async._transport.http import CAUGHT, translated
from agentbay_async._transport.pool import address, proxy_for
from agentbay_async.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    SessionNotFoundError,
)

if TYPE_CHECKING:
    from agentbay_async._clock import Clock
    from agentbay_async._transport.access import Access
    from agentbay_async._transport.pool import Pools
    from agentbay_async._transport.websocket import Socket
    from agentbay_async.errors import AgentBayError

_HANDSHAKE = 15.0
_HEARTBEAT = 20.0
_WHAT = "the WebSocket of the session"


class Sockets:
    """The WebSockets of one client: one for each session and event loop.

    Args:
        pools: The connections to use.
        clock: Time.
    """

    def __init__(self, pools: Pools, clock: Clock) -> None:
        self._pools = pools
        self._clock = clock
        self._sockets: dict[tuple[asyncio.AbstractEventLoop, str], Socket] = {}

    def get(self, access: Access) -> Socket:
        """Return the socket of a session in the running loop; make it when it is missing."""
        key = (asyncio.get_running_loop(), access.session_id)
        socket = self._sockets.get(key)
        if socket is None:
            # Imported here, because most clients never open one.
            from agentbay_async._transport.websocket import Socket

            for old in [known for known in self._sockets if known[0].is_closed()]:
                del self._sockets[old]
            socket = Socket(lambda: _dial(self._pools, access), self._clock, access.session_id)
            self._sockets[key] = socket
        return socket

    async def close(self, session_id: str) -> None:
        """Close the socket of a session, if there is one in the running loop."""
        socket = self._sockets.pop((asyncio.get_running_loop(), session_id), None)
        if socket is not None:
            await socket.aclose()

    async def aclose(self) -> None:
        """Close all sockets of the running loop."""
        loop = asyncio.get_running_loop()
        for key in [known for known in self._sockets if known[0] is loop]:
            await self._sockets.pop(key).aclose()


class _Line:
    """A connection, with aiohttp's ways of saying that it broke made one."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        # On a closing connection some versions of aiohttp are silent, others raise.
        try:
            if not self._connection.closed:
                await self._connection.send_str(text)
                return
        except (*CAUGHT, RuntimeError):
            pass  # said below; the text of aiohttp's error may hold the address
        raise ConnectionLostError("the line to the session broke")

    async def receive(self) -> str | bytes | None:
        message = await self._connection.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        return None

    async def close(self) -> None:
        await self._connection.close()


async def _dial(pools: Pools, access: Access) -> _Line:
    url = address(access.ws_url, "ws", "wss")
    if url is None:
        raise ConnectionFailedError("the address of the session's WebSocket is none")
    pool = await pools.current()
    try:
        with anyio.fail_after(_HANDSHAKE):
            # Only while connecting does it count as a request.
            async with pool as http:
                connection = await http.ws_connect(
                    url,
                    headers={"X-Access-Token": access.token},
                    proxy=proxy_for(f"http{access.ws_url[2:]}"),
                    heartbeat=_HEARTBEAT,
                    # A chart is one frame of many megabytes.
                    max_msg_size=0,
                )
    except aiohttp.WSServerHandshakeError as error:
        raise _refusal(error.status, access.session_id) from None
    except CAUGHT as error:
        raise translated(error, _WHAT, _HANDSHAKE) from None
    return _Line(connection)


def _refusal(status: int, session_id: str) -> AgentBayError:
    if status in (404, 410):
        kind: type[AgentBayError] = SessionNotFoundError
    elif status in (401, 403):
        kind = AuthenticationError
    else:
        kind = error_type("", status)
    return kind(f"{_WHAT} was refused [HTTP {status}]", http_status=status, session_id=session_id)
