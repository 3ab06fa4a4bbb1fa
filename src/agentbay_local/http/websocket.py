"""The WebSocket of a session: opened with the session's token, without the API key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
from aiohttp import WSMsgType, web

from agentbay_local.http.error_responses import direct_error_response
from agentbay_local.http.middleware import authorize_session, hang_up
from agentbay_local.protocol.errors import ApiError
from agentbay_local.websocket.connection import Connection
from agentbay_local.websocket.hub import Hub

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState

__all__ = ["MAX_FRAME", "add"]

MAX_FRAME = 64 * 1024 * 1024
"""Bytes of the largest frame that a client may send."""

# aiohttp waits half as long again for the pong before it gives the client up.
_HEARTBEAT = 30.0
# Seconds for the closing handshake. Everything was sent before it, so a client that is late loses
# nothing; the end of its session waits that long for a client that has stopped.
_CLOSE_WITHIN = 5.0


def add(app: web.Application, state: ServiceState) -> Hub:
    """Add the route, and return the hub of its connections.

    They close with their session, and when the service stops.
    """
    hub = Hub(state)
    state.sandboxes.on_close(hub.close)

    async def close_all(_: web.Application) -> None:
        await hub.disconnect_all()

    app.on_shutdown.append(close_all)
    app.router.add_get("/ws/{session}", _Connections(state, hub).serve, allow_head=False)
    return hub


@attrs.frozen
class _Connections:
    """The handler."""

    state: ServiceState
    hub: Hub

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve a client until either side closes."""
        try:
            session = authorize_session(self.state, request)
        except ApiError as error:
            return direct_error_response(error)
        # Frames stay on this machine: compressing them costs time and saves nothing.
        socket = web.WebSocketResponse(
            timeout=_CLOSE_WITHIN, heartbeat=_HEARTBEAT, max_msg_size=MAX_FRAME, compress=False
        )
        await socket.prepare(request)
        closing = asyncio.Lock()

        async def close() -> None:
            async with closing:
                try:
                    # aiohttp does not limit the time to send the goodbye to one that reads nothing.
                    await asyncio.wait_for(socket.close(), _CLOSE_WITHIN)
                except asyncio.TimeoutError:
                    hang_up(request, reset=True)

        async with self.hub.connect(session.id, Connection(socket.send_str), close) as dispatcher:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await dispatcher.dispatch(message.data)
        # Returning cuts the connection, so wait until the closing handshake is over.
        async with closing:
            return socket
