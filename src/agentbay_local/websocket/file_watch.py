"""The file server: push the changes below watched paths.

It polls, because a sandbox has no channel for file events: each watched path is surveyed several
times a second for as long as the connection lasts.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.tools.changes import subscribe
from agentbay_local.websocket.connection import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentbay_local.state import ServiceState
    from agentbay_local.tools.watcher import Subscription
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.frames import Request

__all__ = ["FileWatchServer"]

_log = logging.getLogger(__name__)

_POLL_INTERVAL = 0.25
_MAX_PATHS = 64
# Official clients disconnect at frames of 1 MiB, and dumping a frame keeps the loop busy.
_MAX_EVENTS = 1000
_DONE = {"phase": "end", "status": "finished"}


class FileWatchServer:
    """Watches paths of one session for its connections.

    Args:
        state: The service.
        session_id: The session.
    """

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self._state = state
        self._session_id = session_id
        self._watches: dict[Connection, dict[str, asyncio.Task[None]]] = {}

    def handle(self, connection: Connection, request: Request) -> Coroutine[Any, Any, None]:
        """Check a request and return the coroutine that answers it.

        Raises:
            ToolError: The method is unknown, or the path is missing.
        """
        path = Arguments(request.method, request.params).path("path")
        if request.method == "subscribe_file_change":
            return self._subscribe(connection, request, path)
        if request.method == "unsubscribe_file_change":
            self._unsubscribe(connection, path)
            return connection.reply(request, _DONE)
        raise ToolError(f"{request.target} has no method {request.method!r} that streams")

    def unsubscribe_all(self, connection: Connection) -> None:
        """End all watches of a connection."""
        for task in self._watches.pop(connection, {}).values():
            task.cancel()

    async def _subscribe(self, connection: Connection, request: Request, path: str) -> None:
        session = self._state.running_session(self._session_id)
        tool_state = self._state.tool_states[session.id]
        sandbox = await self._state.sandboxes.get(session.id)
        subscription = await subscribe(tool_state, sandbox, path)
        self._unsubscribe(connection, path)
        watches = self._watches.setdefault(connection, {})
        if len(watches) >= _MAX_PATHS:
            subscription.close()
            raise ToolError(f"At most {_MAX_PATHS} paths can be watched at once")
        try:
            # Before the first event, which official clients would drop otherwise.
            await connection.reply(request, _DONE)
        except BaseException:
            subscription.close()
            raise
        work = self._watch(connection, request.target, path, subscription)
        watches[path] = asyncio.create_task(work, name=f"watch in {session.id}")
        watches[path].add_done_callback(lambda _: subscription.close())

    def _unsubscribe(self, connection: Connection, path: str) -> None:
        task = self._watches.get(connection, {}).pop(path, None)
        if task is not None:
            task.cancel()

    async def _watch(
        self, connection: Connection, server: str, path: str, subscription: Subscription
    ) -> None:
        while True:
            await self._state.clock.sleep(_POLL_INTERVAL)
            try:
                sandbox = await self._state.sandboxes.get(self._session_id)
                events = await subscription.read_events(sandbox)
                for start in range(0, len(events), _MAX_EVENTS):
                    part = events[start : start + _MAX_EVENTS]
                    data = {"eventType": "file_change", "path": path, "events": part}
                    await connection.push(server, data)
            except ConnectionLostError:
                return
            except (ApiError, SandboxError, ToolError) as error:
                # The session may be paused, or the path have too many entries. Both can end.
                _log.debug("a watch in %s failed: %s", self._session_id, error)
