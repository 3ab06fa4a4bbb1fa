"""One client of a session's WebSocket: send replies and events to it."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from agentbay_local.websocket.frames import dump_frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.websocket.frames import Request

__all__ = ["Connection", "ConnectionLostError"]


class ConnectionLostError(Exception):
    """The client has disconnected."""


class Connection:
    """Sends whole frames to one client, in order.

    Args:
        send_text: Sends text; raises ConnectionError when the client has disconnected.

    Attributes:
        lost: Set when the client has disconnected.
    """

    def __init__(self, send_text: Callable[[str], Awaitable[None]]) -> None:
        self._send_text = send_text
        self._send_lock = asyncio.Lock()
        self.lost = asyncio.Event()

    async def reply(self, request: Request, data: dict[str, Any]) -> None:
        """Send a reply, or a part of one.

        Raises:
            ConnectionLostError: The client has disconnected.
        """
        await self.send(dump_frame(request.invocation_id, request.target, data))

    async def push(self, source: str, data: dict[str, Any]) -> None:
        """Send an event.

        Raises:
            ConnectionLostError: The client has disconnected.
        """
        await self.send(dump_frame(uuid.uuid4().hex, source, data))

    async def send(self, frame: str) -> None:
        """Send a frame, waiting while the client does not read.

        Raises:
            ConnectionLostError: The client has disconnected.
        """
        # The lock is the backpressure: one frame at most is buffered for a client that does not
        # read, and every other sender waits here.
        async with self._send_lock:
            if self.lost.is_set():
                raise ConnectionLostError
            try:
                await self._send_text(frame)
            except ConnectionError:
                self.lost.set()
                raise ConnectionLostError from None

    async def wait_for(self, event: asyncio.Event) -> None:
        """Wait for an event.

        Raises:
            ConnectionLostError: The client has disconnected.
        """
        waits = [asyncio.ensure_future(one.wait()) for one in (event, self.lost)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.lost.is_set():
            raise ConnectionLostError
