"""The code server: run code and stream its output."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agentbay_local.actions.tools import tool_context
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.tools.code import stream_code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from agentbay_local.state import ServiceState
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.frames import Request

__all__ = ["CodeServer"]

_TOOL = "run_code"


class CodeServer:
    """Runs code for the connections of one session; a closed connection or a pause interrupts it.

    Args:
        state: The service.
        session_id: The session.
    """

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self._state = state
        self._session_id = session_id

    def handle(self, connection: Connection, request: Request) -> Coroutine[Any, Any, None]:
        """Check a request and return the coroutine that answers it.

        Raises:
            ToolError: The method is unknown.
        """
        if request.method != _TOOL:
            raise ToolError(f"{request.target} has no method {request.method!r} that streams")
        return self._run(connection, request)

    async def _run(self, connection: Connection, request: Request) -> None:
        session = self._state.running_session(self._session_id)
        with self._state.lifecycle.using(session):
            context = await tool_context(self._state, session)
            frames = stream_code(context, Arguments(_TOOL, request.params))
            work = _reply_all(connection, request, frames)
            await self._state.lifecycle.run_until_paused(session, work)


async def _reply_all(
    connection: Connection, request: Request, frames: AsyncGenerator[dict[str, Any], None]
) -> None:
    async with aclosing(frames):
        async for data in frames:
            await connection.reply(request, data)
