"""The WebSocket servers of each session, shared by its connections until the session ends."""

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
    from agentbay_local.websocket.pty_session import PtySession

__all__ = ["Hub"]


class _SessionServers:
    """The servers of one session, and a function for each connection that closes it."""

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self.pty = PtyServer(state, session_id)
        self.file_watch = FileWatchServer(state, session_id)
        self.by_name: dict[str, Server] = {
            PTY_SERVER: self.pty,
            "wuying_codespace": CodeServer(state, session_id),
            "wuying_filesystem": self.file_watch,
        }
        self.connections: dict[Connection, Callable[[], Awaitable[object]]] = {}

    async def disconnect(self) -> None:
        """Close all connections."""
        closing = (close() for close in self.connections.values())
        await asyncio.gather(*closing, return_exceptions=True)


class Hub:
    """The servers of all sessions.

    Args:
        state: The service.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._sessions: dict[str, _SessionServers] = {}

    @asynccontextmanager
    async def connect(
        self, session_id: str, connection: Connection, disconnect: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[Dispatcher]:
        """Serve a connection to a session for as long as the block lasts.

        Args:
            session_id: The session.
            connection: The client.
            disconnect: Closes the connection, which ends the block.
        """
        servers = self._sessions.setdefault(session_id, _SessionServers(self._state, session_id))
        dispatcher = Dispatcher(connection, servers.by_name, {PTY_SERVER: servers.pty.undo_create})
        servers.connections[connection] = disconnect
        try:
            yield dispatcher
        finally:
            del servers.connections[connection]
            connection.lost.set()
            servers.file_watch.unsubscribe_all(connection)
            await dispatcher.close()

    def terminals(self, session_id: str) -> list[PtySession]:
        """Return the terminals of a session, the newest last."""
        servers = self._sessions.get(session_id)
        return [] if servers is None else servers.pty.terminals()

    async def close(self, session_id: str) -> None:
        """End the terminals of a session, and then its connections."""
        servers = self._sessions.pop(session_id, None)
        if servers is not None:
            # In this order, so that clients receive the exit of their terminals.
            await servers.pty.close()
            await servers.disconnect()

    async def disconnect_all(self) -> None:
        """Close all connections, because the service stops."""
        await asyncio.gather(*(servers.disconnect() for servers in self._sessions.values()))
