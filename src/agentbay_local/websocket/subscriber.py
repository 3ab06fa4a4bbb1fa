"""What one client sees of a terminal: its output from some byte on, then its end."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_local.websocket.connection import ConnectionLostError

if TYPE_CHECKING:
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.scrollback import Scrollback

__all__ = ["PTY_SERVER", "OutputSource", "Subscriber"]

PTY_SERVER = "PTY_SERVER"

# Official clients take up the id that the answer names some moments after it has come, and drop
# output for ids that they do not know.
_UNTIL_KNOWN = 0.2
# As JSON a byte may take six; official clients break off at frames of 1 MiB.
_PIECE = 64 * 1024


class OutputSource(Protocol):
    """What a viewer looks at."""

    id: str
    kept: Scrollback
    news: asyncio.Event

    @property
    def ending(self) -> dict[str, Any] | None:
        """The push that tells of the end, when there is nothing more to read."""
        ...

    def seen(self) -> None:
        """Take note that a viewer has gone on."""
        ...


class Subscriber:
    """Sends what a terminal writes to one line.

    Args:
        shown: The terminal.
        line: Who sees it.

    Attributes:
        position: The byte that comes next.
    """

    def __init__(self, shown: OutputSource, line: Connection) -> None:
        self._shown = shown
        self._line = line
        self._hold = False
        self._placed = False
        self.position = shown.kept.end

    def place(self, position: int, *, at_once: bool) -> None:
        """Go on from a byte, or from the first that is kept after it.

        Args:
            position: The byte.
            at_once: The client knows the terminal already, so nothing is waited for.
        """
        kept = self._shown.kept
        self.position = min(max(position, kept.start), kept.end)
        self._hold = not at_once
        self._placed = True

    async def show(self) -> None:
        """Send until the terminal has ended or the client is gone."""
        try:
            while await self._step():
                pass
        except ConnectionLostError:
            return

    async def _step(self) -> bool:
        if self._hold:
            self._hold = False
            await asyncio.sleep(_UNTIL_KNOWN)
        self._placed = False
        news, ending = self._shown.news, self._shown.ending
        offset, piece = self.position, self._shown.kept.read(self.position, _PIECE)
        if piece:
            # Before it is sent, because meanwhile the viewer may be placed elsewhere.
            self.position += len(piece)
            await self._push({"eventType": "pty.output", "offset": offset, **_coded(piece)})
            self._shown.seen()
        elif ending is not None:
            await self._push(ending)
            # Who connects just now wants to see it again.
            return self._placed
        else:
            await self._line.until(news)
        return True

    async def _push(self, data: dict[str, Any]) -> None:
        await self._line.push(PTY_SERVER, {"ptySessionId": self._shown.id, **data})


def _coded(piece: bytes) -> dict[str, str]:
    try:
        return {"encoding": "utf8", "data": piece.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(piece).decode("ascii")}
