"""What the lines of a session share, from its first line to its end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_local.websocket.code import CodeServer
from agentbay_local.websocket.dispatcher import Dispatcher
from agentbay_local.websocket.file_watch import FileWatchServer
from agentbay_local.websocket.pty import PtyServer
from agentbay_local.websocket.subscriber import PTY_SERVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_local.state import ServiceState
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.dispatcher import Server

__all__ = ["Hub"]


class _Room:
    """The servers of one session, and its lines with what hangs each of them up."""

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self.terminals = PtyServer(state, session_id)
        self.watching = FileWatchServer(state, session_id)
        self.servers: dict[str, Server] = {
            PTY_SERVER: self.terminals,
            "wuying_codespace": CodeServer(state, session_id),
            "wuying_filesystem": self.watching,
        }
        self.lines: dict[Connection, Callable[[], Awaitable[object]]] = {}

    async def hang_up(self) -> None:
        """End all lines."""
        await asyncio.gather(*(end() for end in self.lines.values()), return_exceptions=True)


class Hub:
    """The rooms of all sessions.

    Args:
        state: The service.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._rooms: dict[str, _Room] = {}

    @asynccontextmanager
    async def joined(
        self, session_id: str, line: Connection, hang_up: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[Dispatcher]:
        """Serve a line of a session for as long as the block lasts.

        Args:
            session_id: The session.
            line: The client's line.
            hang_up: Ends the connection, which ends the block.
        """
        room = self._rooms.setdefault(session_id, _Room(self._state, session_id))
        desk = Dispatcher(line, room.servers)
        room.lines[line] = hang_up
        try:
            yield desk
        finally:
            del room.lines[line]
            line.lost.set()
            room.watching.forget(line)
            await desk.close()

    async def close(self, session_id: str) -> None:
        """End the terminals of a session, which is over, tell who looks at them, and hang up."""
        room = self._rooms.pop(session_id, None)
        if room is not None:
            await room.terminals.close()
            await room.hang_up()

    async def hang_up(self) -> None:
        """End all lines, because the service stops."""
        await asyncio.gather(*(room.hang_up() for room in self._rooms.values()))
