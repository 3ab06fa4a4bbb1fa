"""The server of code: runs it, and sends what comes out as it comes."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agentbay_local import images
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.tools.code import stream_code

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentbay_local.state import ServiceState
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.frames import Request

__all__ = ["CodeServer"]

_TOOL = "run_code"


class CodeServer:
    """Runs code for the lines of one session; who hangs up interrupts it.

    Args:
        state: The service.
        session_id: The session.
    """

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self._state = state
        self._session_id = session_id

    def take(self, line: Connection, asked: Request) -> Coroutine[Any, Any, None]:
        """Take a question; return what answers it.

        Raises:
            ToolError: There is no such method.
        """
        if asked.method != _TOOL:
            raise ToolError(f"{asked.target} has no method {asked.method!r} that streams")
        return self._run(line, asked)

    async def _run(self, line: Connection, asked: Request) -> None:
        session = self._state.running_session(self._session_id)
        if _TOOL not in images.tools_of(session.image):
            raise ToolError(images.not_offered(session.image, _TOOL))
        with self._state.lifecycle.using(session):
            place = await self._state.tool_context(session)
            async with aclosing(stream_code(place, Arguments(_TOOL, asked.params))) as frames:
                async for data in frames:
                    await line.answer(asked, data)
