"""One client's connection, as those who speak on it see it."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from agentbay_local.websocket.frames import dump_frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.websocket.frames import Request

__all__ = ["Connection", "ConnectionLostError"]


class ConnectionLostError(Exception):  # it happens to every line, and is no error of ours
    """The client is gone."""


class Connection:
    """Says frames to one client, whole and in order.

    Args:
        send: Sends text; raises ConnectionError when the connection is over.

    Attributes:
        lost: Set when the client is gone.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self.lost = asyncio.Event()

    async def answer(self, asked: Request, data: dict[str, Any]) -> None:
        """Answer a question, wholly or in part.

        Raises:
            LineLost: The client is gone.
        """
        await self.say(dump_frame(asked.invocation, asked.target, data))

    async def push(self, source: str, data: dict[str, Any]) -> None:
        """Say something that nobody asked for.

        Raises:
            LineLost: The client is gone.
        """
        await self.say(dump_frame(uuid.uuid4().hex, source, data))

    async def say(self, text: str) -> None:
        """Send a frame, waiting while the client does not read.

        Raises:
            LineLost: The client is gone.
        """
        # In turns, so that no more than one frame waits in memory for a client that does not read.
        async with self._turn:
            if self.lost.is_set():
                raise ConnectionLostError
            try:
                await self._send(text)
            except ConnectionError:
                self.lost.set()
                raise ConnectionLostError from None

    async def until(self, news: asyncio.Event) -> None:
        """Wait for something to say.

        Raises:
            LineLost: The client is gone.
        """
        waits = [asyncio.ensure_future(one.wait()) for one in (news, self.lost)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.lost.is_set():
            raise ConnectionLostError
