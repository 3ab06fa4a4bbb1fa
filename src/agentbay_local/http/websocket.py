"""The WebSocket of a session: opened with its token, and with no key of the account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
from aiohttp import WSMsgType, web

from agentbay_local.http.direct import refused, session_of
from agentbay_local.protocol.errors import ApiError
from agentbay_local.websocket.connection import Connection
from agentbay_local.websocket.hub import Hub

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState

__all__ = ["LARGEST_FRAME", "add"]

LARGEST_FRAME = 64 * 1024 * 1024
"""Bytes of the largest frame that a client may send."""

# A client that is gone without a word is noticed after half as long again.
_HEARTBEAT = 30.0
_GOODBYE = 2.0


def add(app: web.Application, state: ServiceState) -> None:
    """Add the route, and let the lines of a session end with it."""
    hub = Hub(state)
    state.sandboxes.on_close(hub.close)

    async def hang_up(_: web.Application) -> None:
        await hub.disconnect_all()

    app.on_shutdown.append(hang_up)
    app.router.add_get("/ws/{session}", _Sockets(state, hub).talk, allow_head=False)


@attrs.frozen
class _Sockets:
    """The handler."""

    state: ServiceState
    hub: Hub

    async def talk(self, request: web.Request) -> web.StreamResponse:
        """Speak with a client until one of both hangs up."""
        try:
            session = session_of(self.state, request)
        except ApiError as problem:
            return refused(problem)
        # Everything stays on this machine, so nothing is gained by making it smaller.
        socket = web.WebSocketResponse(
            timeout=_GOODBYE, heartbeat=_HEARTBEAT, max_msg_size=LARGEST_FRAME, compress=False
        )
        await socket.prepare(request)
        leaving = asyncio.Lock()

        async def hang_up() -> None:
            async with leaving:
                await socket.close()

        async with self.hub.connect(session.id, Connection(socket.send_str), hang_up) as dispatcher:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await dispatcher.dispatch(message.data)
        # Returning would cut the connection while the client still says its own goodbye.
        async with leaving:
            return socket
