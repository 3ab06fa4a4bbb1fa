"""The WebSockets of a client: open them with aiohttp, and keep one per session and event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import anyio

from agentbay_async._protocol.error_codes import error_type
from agentbay_async._transport.http import CAUGHT, parse_url, proxy_for, translate_error
from agentbay_async.errors import (
    AnswerTooLargeError,
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    SessionNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._clock import Clock
    from agentbay_async._transport.access import Access
    from agentbay_async._transport.http import Pools
    from agentbay_async._transport.websocket import SessionSocket
    from agentbay_async.errors import AgentBayError

#: The most bytes of one frame; a chart has some megabytes.
MAX_FRAME = 64 * 1024 * 1024
_TOO_BIG = aiohttp.WSCloseCode.MESSAGE_TOO_BIG
_HANDSHAKE_TIMEOUT = 15.0
_HEARTBEAT = 20.0
_LABEL = "the WebSocket of the session"


class SessionSockets:
    """The WebSockets of one client.

    Args:
        pools: Connection pools, for the handshakes.
        clock: Measures pauses between reconnections.
        end_reason: Returns why a session ended, or ``None``.
    """

    def __init__(
        self, pools: Pools, clock: Clock, end_reason: Callable[[str], Awaitable[str | None]]
    ) -> None:
        self._pools = pools
        self._clock = clock
        self._end_reason = end_reason
        self._sockets: dict[tuple[asyncio.AbstractEventLoop, str], SessionSocket] = {}

    def get(self, access: Access) -> SessionSocket:
        """Return the socket of a session in the running loop; make it if it is missing."""
        key = (asyncio.get_running_loop(), access.session_id)
        socket = self._sockets.get(key)
        if socket is None:
            # Imported here, because most clients never open one.
            from agentbay_async._transport.websocket import SessionSocket

            for old in [key for key in self._sockets if key[0].is_closed()]:
                del self._sockets[old]
            socket = SessionSocket(lambda: self._dial(access), self._clock, access.session_id)
            self._sockets[key] = socket
        return socket

    async def _dial(self, access: Access) -> _AiohttpConnection:
        try:
            return await _dial(self._pools, access)
        except SessionNotFoundError as error:
            reason = await self._end_reason(access.session_id)
            if reason is not None:
                error.ended(reason)
            raise

    async def close(self, session_id: str) -> None:
        """Close the socket of a session in the running loop, if there is one."""
        socket = self._sockets.pop((asyncio.get_running_loop(), session_id), None)
        if socket is not None:
            await socket.aclose()

    async def aclose(self) -> None:
        """Close all sockets of the running loop."""
        loop = asyncio.get_running_loop()
        for key in [key for key in self._sockets if key[0] is loop]:
            await self._sockets.pop(key).aclose()


class _AiohttpConnection:
    """An aiohttp WebSocket as a :class:`~agentbay_async._transport.websocket.Connection`."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._websocket = websocket

    async def send(self, text: str) -> None:
        # On a closing connection some versions of aiohttp drop the frame, others raise.
        try:
            if not self._websocket.closed:
                await self._websocket.send_str(text)
                return
        except (*CAUGHT, RuntimeError):
            pass  # The text of aiohttp's error may hold the URL, so it is not chained.
        raise ConnectionLostError("the WebSocket of the session broke")

    async def receive(self) -> str | bytes | None:
        try:
            message = await self._websocket.receive()
        except CAUGHT:
            return None
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        error = message.data
        if isinstance(error, aiohttp.WebSocketError) and error.code == _TOO_BIG:
            raise AnswerTooLargeError(f"{_LABEL} sent more than {MAX_FRAME >> 20} MiB at once")
        return None

    async def close(self) -> None:
        await self._websocket.close()


async def _dial(pools: Pools, access: Access) -> _AiohttpConnection:
    url = parse_url(access.ws_url, "ws", "wss")
    if url is None:
        raise ConnectionFailedError(f"{_LABEL} has an invalid URL")
    try:
        with anyio.fail_after(_HANDSHAKE_TIMEOUT):
            # Only the handshake counts against the limit of the pool; see Pools._open.
            async with pools.session() as http:
                websocket = await http.ws_connect(
                    url,
                    headers={"X-Access-Token": access.token},
                    proxy=proxy_for(f"http{access.ws_url[2:]}"),
                    heartbeat=_HEARTBEAT,
                    max_msg_size=MAX_FRAME,
                )
    except aiohttp.WSServerHandshakeError as error:
        raise _handshake_error(error.status, access.session_id) from None
    except CAUGHT as error:
        raise translate_error(error, _LABEL, _HANDSHAKE_TIMEOUT) from None
    return _AiohttpConnection(websocket)


def _handshake_error(status: int, session_id: str) -> AgentBayError:
    if status in (404, 410):
        kind: type[AgentBayError] = SessionNotFoundError
    elif status in (401, 403):
        kind = AuthenticationError
    else:
        kind = error_type("", status)
    return kind(f"{_LABEL} was refused [HTTP {status}]", http_status=status, session_id=session_id)
