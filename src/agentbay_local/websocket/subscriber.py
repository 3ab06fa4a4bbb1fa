"""One client that reads a terminal: send its output from a position on, then its end."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_local.websocket.connection import ConnectionLostError

if TYPE_CHECKING:
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.scrollback import Scrollback

__all__ = ["PTY_SERVER", "REGISTER_DELAY", "OutputSource", "Subscriber"]

PTY_SERVER = "PTY_SERVER"

REGISTER_DELAY = 0.2
"""Seconds between the reply that has the id of a terminal, and its first output.

Official clients register the id shortly after they have read the reply, and drop output for ids
that they do not know.
"""
# A byte may take six in JSON, and official clients disconnect at frames of 1 MiB.
_CHUNK = 64 * 1024


class OutputSource(Protocol):
    """A terminal, as a subscriber sees it."""

    id: str
    scrollback: Scrollback
    changed: asyncio.Event

    @property
    def end_event(self) -> dict[str, Any] | None:
        """The event that reports the end, once all output has been read."""
        ...

    def on_progress(self) -> None:
        """Handle that a subscriber has sent output."""
        ...


class Subscriber:
    """Sends the output of a terminal to one connection.

    Args:
        source: The terminal.
        connection: The client.

    Attributes:
        position: The next byte to send.
    """

    def __init__(self, source: OutputSource, connection: Connection) -> None:
        self._source = source
        self._connection = connection
        self._delay_next = False
        self._moved = False
        self.position = source.scrollback.end

    def seek(self, position: int, *, is_new: bool) -> None:
        """Continue from a position, or from the first byte after it that is kept.

        Args:
            position: The next byte to send.
            is_new: Whether the client has yet to learn the id of the terminal, so that output must
                wait.
        """
        scrollback = self._source.scrollback
        self.position = min(max(position, scrollback.start), scrollback.end)
        self._delay_next = is_new
        self._moved = True

    async def run(self) -> None:
        """Send output until the terminal has ended or the client has disconnected."""
        try:
            while await self._step():
                pass
        except ConnectionLostError:
            return

    async def _step(self) -> bool:
        if self._delay_next:
            self._delay_next = False
            await asyncio.sleep(REGISTER_DELAY)
        self._moved = False
        changed, end_event = self._source.changed, self._source.end_event
        offset, chunk = self.position, self._source.scrollback.read(self.position, _CHUNK)
        if chunk:
            # Before the send, because `seek` may be called meanwhile.
            self.position += len(chunk)
            await self._push({"eventType": "pty.output", "offset": offset, **_encode(chunk)})
            self._source.on_progress()
        elif end_event is not None:
            await self._push(end_event)
            # The client may have connected again during the send, and wants to see the end again.
            return self._moved
        else:
            await self._connection.wait_for(changed)
        return True

    async def _push(self, data: dict[str, Any]) -> None:
        await self._connection.push(PTY_SERVER, {"ptySessionId": self._source.id, **data})


def _encode(chunk: bytes) -> dict[str, str]:
    try:
        return {"encoding": "utf8", "data": chunk.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(chunk).decode("ascii")}
