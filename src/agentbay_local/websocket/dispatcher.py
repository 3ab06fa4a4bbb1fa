"""Dispatch the frames of one client to their servers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.websocket.connection import ConnectionLostError
from agentbay_local.websocket.frames import InvalidFrameError, Request, dump_frame, parse_request

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from agentbay_local.websocket.connection import Connection

__all__ = ["Dispatcher", "Server"]

_log = logging.getLogger(__name__)

_MAX_OPEN_REQUESTS = 256
# An extension of the protocol: a frame with the id of a request ends it, or undoes it.
_CANCEL = "cancel"


class Server(Protocol):
    """A target of requests, such as ``PTY_SERVER``."""

    def handle(self, connection: Connection, request: Request) -> Coroutine[Any, Any, None] | None:
        """Check a request; return the coroutine that answers it, or None without an answer."""
        ...


class Dispatcher:
    """Dispatches the frames of one client.

    Args:
        connection: The client.
        servers: The servers by name.
        undo: For servers whose requests leave something: functions that undo the request with an
            id, whichever connection it came by.
    """

    def __init__(
        self,
        connection: Connection,
        servers: Mapping[str, Server],
        undo: Mapping[str, Callable[[str], None]],
    ) -> None:
        self._connection = connection
        self._servers = servers
        self._undo = undo
        self._tasks: dict[asyncio.Task[None], str] = {}

    async def dispatch(self, text: str | bytes) -> None:
        """Handle a frame; requests run concurrently.

        An error is sent before this returns, so that a client that sends too many requests and
        does not read the errors is not read either.
        """
        try:
            request = parse_request(text)
        except InvalidFrameError as error:
            _log.info("a frame of a client %s", error)
            if error.invocation_id:
                await self._send(error.reply)
            return
        if request.method == _CANCEL:
            self._cancel(request)
            return
        try:
            work = self._find_server(request).handle(self._connection, request)
        except (ToolError, SandboxError) as error:
            await self._send_error(request, str(error))
        else:
            if work is not None:
                self._start(request, work)

    async def close(self) -> None:
        """Cancel the open requests of the client, which has disconnected."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cancel(self, request: Request) -> None:
        """End a request whose client no longer waits for it, or undo it; there is no answer."""
        for task, own_id in self._tasks.items():
            if own_id == request.invocation_id:
                task.cancel()
        if request.target in self._undo:
            self._undo[request.target](request.invocation_id)

    def _find_server(self, request: Request) -> Server:
        if len(self._tasks) >= _MAX_OPEN_REQUESTS:
            raise ToolError(f"More than {_MAX_OPEN_REQUESTS} requests are open on this connection")
        server = self._servers.get(request.target)
        if server is None:
            names = ", ".join(self._servers)
            raise ToolError(
                f"Server {request.target!r:.100} is not offered by the local service, which has"
                f" {names}: messages of browsers and agents need the cloud service"
            )
        return server

    def _start(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._run(request, work))
        self._tasks[task] = request.invocation_id
        task.add_done_callback(self._tasks.pop)
        # A task that is cancelled before its first step never awaits the coroutine; closing it
        # avoids the warning "was never awaited".
        task.add_done_callback(lambda _: work.close())

    async def _run(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ConnectionLostError:
            return
        except ApiError as error:
            await self._send_error(request, error.message)
        except (ToolError, SandboxError) as error:
            await self._send_error(request, str(error))
        except Exception:
            _log.exception("%s of %s failed", request.method, request.target)
            await self._send_error(request, "The local service failed; its log says why.")

    async def _send_error(self, request: Request, message: str) -> None:
        await self._send(dump_frame(request.invocation_id, request.target, {"error": message}))

    async def _send(self, frame: str) -> None:
        try:
            await self._connection.send(frame)
        except ConnectionLostError:
            return
