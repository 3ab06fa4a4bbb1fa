"""Where one client's frames are read, and handed to the server that each is for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.websocket import frames
from agentbay_local.websocket.connection import ConnectionLostError
from agentbay_local.websocket.frames import InvalidFrameError, Request

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from agentbay_local.websocket.connection import Connection

__all__ = ["Dispatcher", "Server"]

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 256


class Server(Protocol):
    """One of those whom a client can ask."""

    def take(self, line: Connection, asked: Request) -> Coroutine[Any, Any, None] | None:
        """Take a question; return what answers it, if it is answered."""
        ...


class Dispatcher:
    """Serves one client.

    Args:
        line: The client.
        servers: Whom it can ask, by name.
    """

    def __init__(self, line: Connection, servers: Mapping[str, Server]) -> None:
        self._line = line
        self._servers = servers
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self, text: str | bytes) -> None:
        """Take a frame. Questions are worked on side by side; only a refusal is waited for.

        So a client that asks too much and does not read the refusals is not read any more.
        """
        try:
            asked = frames.parse_request(text)
        except InvalidFrameError as problem:
            _log.info("a frame of a client %s", problem)
            if problem.invocation:
                await self._say(problem.reply)
            return
        try:
            work = self._server(asked).take(self._line, asked)
        except (ToolError, SandboxError) as problem:
            await self._refuse(asked, str(problem))
        else:
            if work is not None:
                self._launch(asked, work)

    async def close(self) -> None:
        """Stop working for the client, which is gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _server(self, asked: Request) -> Server:
        if len(self._tasks) >= _MOST_AT_ONCE:
            raise ToolError(f"More than {_MOST_AT_ONCE} questions are open on this line")
        server = self._servers.get(asked.target)
        if server is None:
            known = ", ".join(self._servers)
            raise ToolError(f"There is no server {asked.target!r} here, only {known}")
        return server

    def _launch(self, asked: Request, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._answered(asked, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # What is cancelled before it began has not begun the work within it either.
        task.add_done_callback(lambda _: work.close())

    async def _answered(self, asked: Request, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ConnectionLostError:
            return
        except ApiError as problem:
            await self._refuse(asked, problem.message)
        except (ToolError, SandboxError) as problem:
            await self._refuse(asked, str(problem))
        except Exception:
            _log.exception("%s of %s failed", asked.method, asked.target)
            await self._refuse(asked, "The local service failed; its log says why.")

    async def _refuse(self, asked: Request, why: str) -> None:
        await self._say(frames.dump_frame(asked.invocation, asked.target, {"error": why}))

    async def _say(self, text: str) -> None:
        try:
            await self._line.say(text)
        except ConnectionLostError:
            return
