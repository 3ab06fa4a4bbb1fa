"""The server of files, as far as it streams: tells of what changes below a path.

Nothing in a session tells of changes by itself, so each watched path is looked at some times a
second, for as long as the line is there that asked for it.
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

_EVERY = 0.25
_MOST_OF_A_LINE = 64


class FileWatchServer:
    """Watches paths of one session for its lines.

    Args:
        state: The service.
        session_id: The session.
    """

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self._state = state
        self._session_id = session_id
        self._watches: dict[Connection, dict[str, asyncio.Task[None]]] = {}

    def take(self, line: Connection, asked: Request) -> Coroutine[Any, Any, None]:
        """Take a question; return what answers it.

        Raises:
            ToolError: There is no such method, or no path.
        """
        path = Arguments(asked.method, asked.params).path("path")
        if asked.method == "subscribe_file_change":
            return self._begin(line, asked, path)
        if asked.method == "unsubscribe_file_change":
            self._stop(line, path)
            return line.answer(asked, _DONE)
        raise ToolError(f"{asked.target} has no method {asked.method!r} that streams")

    def forget(self, line: Connection) -> None:
        """End all that a line watches."""
        for task in self._watches.pop(line, {}).values():
            task.cancel()

    async def _begin(self, line: Connection, asked: Request, path: str) -> None:
        session = self._state.running_session(self._session_id)
        memory = self._state.tool_states.of(session.id)
        follower = await subscribe(memory, await self._state.sandboxes.get(session.id), path)
        self._stop(line, path)
        mine = self._watches.setdefault(line, {})
        if len(mine) >= _MOST_OF_A_LINE:
            follower.leave()
            raise ToolError(f"At most {_MOST_OF_A_LINE} paths are watched at once")
        try:
            await line.answer(asked, _DONE)
        except BaseException:
            follower.leave()
            raise
        work = self._watch(line, asked.target, path, follower)
        mine[path] = asyncio.create_task(work, name=f"watch in {session.id}")
        mine[path].add_done_callback(lambda _: follower.leave())

    def _stop(self, line: Connection, path: str) -> None:
        task = self._watches.get(line, {}).pop(path, None)
        if task is not None:
            task.cancel()

    async def _watch(
        self, line: Connection, server: str, path: str, follower: Subscription
    ) -> None:
        while True:
            await self._state.clock.sleep(_EVERY)
            try:
                sandbox = await self._state.sandboxes.get(self._session_id)
                if events := await follower.changes(sandbox):
                    push = {"eventType": "file_change", "path": path, "events": events}
                    await line.push(server, push)
            except ConnectionLostError:
                return
            except (ApiError, SandboxError, ToolError) as error:
                # What is paused or full now is looked at again when it is not.
                _log.debug("a watch in %s cannot look: %s", self._session_id, error)


_DONE = {"phase": "end", "status": "finished"}
