"""The sessions that an MCP server has created."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver.exceptions import ToolError

from agentbay_async import CreateSessionParams, LifecyclePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_async import AsyncAgentBay, AsyncSession
    from agentbay_mcp.options import McpOptions

__all__ = ["OpenSessions"]

logger = logging.getLogger("agentbay")

# Entries of a session's log.
_LOG_SIZE = 1000
# Seconds for deleting what is left when the server ends.
_CLEANUP_TIMEOUT = 60.0


class OpenSessions:
    """The sessions of one server. A client reaches no other session of the account.

    Args:
        bay: The client of the service.
        options: What is allowed.
    """

    def __init__(self, bay: AsyncAgentBay, options: McpOptions) -> None:
        self.bay = bay
        self.options = options
        self._sessions: dict[str, AsyncSession] = {}
        self._logs: dict[str, deque[dict[str, Any]]] = {}
        self._starting = 0

    def __iter__(self) -> Iterator[AsyncSession]:
        return iter(list(self._sessions.values()))

    def get(self, session_id: str) -> AsyncSession:
        """Return a session.

        Raises:
            ToolError: This server has none of this id.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise ToolError(
                f"This server has no session {session_id!r:.100}. "
                "session_list lists those that it has; session_create makes one."
            )
        return session

    async def create(
        self, image: str | None, labels: dict[str, str], envs: dict[str, str]
    ) -> AsyncSession:
        """Create a session within the limits.

        Raises:
            ToolError: The image is not allowed, or there are too many sessions.
            AgentBayError: The service did not create it.
        """
        allowed = self.options.images
        image = image or (allowed[0] if allowed else None)
        if allowed and image not in allowed:
            raise ToolError(f"Image {image!r:.100} is not allowed here; use {' or '.join(allowed)}")
        if len(self._sessions) + self._starting >= self.options.max_sessions:
            raise ToolError(
                f"There are {self.options.max_sessions} sessions already, as many as this server "
                "may have. Delete one with session_delete."
            )
        self._starting += 1
        try:
            session = (await self.bay.create(self._params(image, labels, envs))).unwrap()
            self._sessions[session.session_id] = session
            self._logs[session.session_id] = deque(maxlen=_LOG_SIZE)
        finally:
            self._starting -= 1
        return session

    def _params(
        self, image: str | None, labels: dict[str, str], envs: dict[str, str]
    ) -> CreateSessionParams:
        lifetime = LifecyclePolicy(idle_release_timeout=self.options.idle_minutes)
        return CreateSessionParams(
            labels={**labels, "framework": "mcp"},
            image_id=image,
            lifecycle_policy=lifetime,
            envs=envs,
            framework="mcp",
        )

    async def delete(self, session_id: str) -> None:
        """Delete a session."""
        session = self.get(session_id)
        (await session.delete()).unwrap()
        self._sessions.pop(session_id, None)
        self._logs.pop(session_id, None)

    def log(self, session_id: str, call: str, **facts: Any) -> None:
        """Add an entry to the log of a session."""
        log = self._logs.get(session_id)
        if log is not None:
            log.append({"call": call, **facts})

    def entries(self, session_id: str) -> list[dict[str, Any]]:
        """Return the log of a session."""
        self.get(session_id)
        return list(self._logs[session_id])

    async def close(self) -> None:
        """Delete all sessions, unless they are to be kept; also if the server is cancelled."""
        if self.options.keep:
            return
        with anyio.move_on_after(_CLEANUP_TIMEOUT, shield=True):
            ids = list(self._sessions)
            results = await asyncio.gather(
                *(self.delete(session_id) for session_id in ids), return_exceptions=True
            )
            for session_id, result in zip(ids, results, strict=True):
                if isinstance(result, BaseException):
                    logger.warning("session %s was not deleted: %s", session_id, result)
