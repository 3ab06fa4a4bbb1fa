"""Client of the terminal server of a session, over the session's WebSocket.

Output is pushed to every subscriber of the connection. It can arrive before the answer to
``pty.create``, which has the terminal's id. So frames of unknown terminals are kept while one is
being opened.

After a reconnect each terminal is attached again, from its position in bytes. A server that counts
bytes sends the missed output; output that arrives twice is dropped. While a terminal is silent, the
server is asked from time to time whether it still exists, so that no wait depends on one frame.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async._lifecycle.shielding import run_or_undo
from agentbay_async._transport.websocket import Subscriber
from agentbay_async.errors import (
    AgentBayError,
    BadAnswerError,
    ConnectionLostError,
    PtyError,
    PtySessionNotFoundError,
    RequestTimeoutError,
    ToolError,
)
from agentbay_async.models.pty import PtySession
from agentbay_async.services._pty.terminal import Terminal
from agentbay_async.services._tool_calls import get_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from agentbay_async._api import Api
    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket

logger = logging.getLogger("agentbay")

_TARGET = "PTY_SERVER"
# Seconds to wait for an answer of the server.
_ANSWER_TIMEOUT = 30.0
# Seconds that a cancelled caller waits for the answer; what comes later is closed all the same.
_UNDO_GRACE = 5.0
# Seconds to spend on killing a terminal that nobody will use; it may take a reconnect.
_KILL_TIMEOUT = 10.0
# Bytes of frames to keep for terminals that are being opened.
_EARLY_LIMIT = 4 * 1024 * 1024
# Seconds without a frame of a terminal after which the server is asked whether it still exists.
_CHECK_INTERVAL = 30.0
# Questions in a row without an answer after which the server counts as gone.
_MAX_UNANSWERED = 3
# Estimated size of a frame without its output.
_FRAME_OVERHEAD = 100


class PtyClient:
    """Create, connect, list and kill the terminals of one session.

    Args:
        api: The client's API.
        session_id: The session.
    """

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self.session_id = session_id
        self._current: _Connection | None = None

    async def create(self, params: dict[str, Any], timeout: float = _ANSWER_TIMEOUT) -> Terminal:
        """Open a terminal; its output is complete from the first byte.

        If the caller is cancelled, the terminal is closed as soon as its id is known. If the answer
        is lost, the server is asked to close it, which it may not understand.
        """
        connection = await self._connect()
        opening = connection.open("pty.create", params, timeout)
        terminal = await run_or_undo(opening, kill_quietly, _UNDO_GRACE)
        terminal.size = params["cols"], params["rows"]
        return terminal

    async def connect(self, terminal_id: str) -> Terminal:
        """Attach to an open terminal."""
        connection = await self._connect()
        async with _existing(connection, terminal_id):
            return await connection.open("pty.connect", {"ptySessionId": terminal_id})

    async def kill(self, terminal_id: str) -> None:
        """End the processes of a terminal."""
        connection = await self._connect()
        async with _existing(connection, terminal_id):
            await connection.call("pty.kill", {"ptySessionId": terminal_id})

    async def list(self) -> list[PtySession]:
        """Return all terminals of the session, with what this client knows of them."""
        connection = await self._connect()
        return [connection.describe(name) for name in await connection.list_ids()]

    async def _connect(self) -> _Connection:
        # Another event loop, or a client that was closed and opened again, has another socket.
        socket = await get_socket(self._api, self.session_id)
        if self._current is None or self._current.socket is not socket:
            self._current = _Connection(socket, self.session_id)
        return self._current


@asynccontextmanager
async def _existing(connection: _Connection, terminal_id: str) -> AsyncIterator[None]:
    """Let a call that failed for a terminal that does not exist raise PtySessionNotFoundError."""
    try:
        yield
    except PtyError as error:
        # The texts of servers differ, so the terminals that exist are asked for.
        if terminal_id in await connection.list_ids():
            raise
        raise PtySessionNotFoundError(
            error.message, request_id=error.request_id, session_id=error.session_id
        ) from None


class _Connection:
    """Dispatch the terminal server's frames on one socket to the handles of its terminals."""

    def __init__(self, socket: SessionSocket, session_id: str) -> None:
        self.socket = socket
        self._session_id = session_id
        self._terminals: dict[str, list[Terminal]] = {}
        self._opening = 0
        self._early: list[dict[str, Any]] = []
        self._early_size = 0
        self._unsubscribe: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._checker: asyncio.Task[None] | None = None

    async def open(
        self, method: str, params: dict[str, Any], timeout: float = _ANSWER_TIMEOUT
    ) -> Terminal:
        """Create or connect a terminal, and attach a handle to it."""
        self._opening += 1
        # Before the call, because the first output may arrive before the answer.
        self._subscribe()
        try:
            result = await self.call(method, params, timeout)
            terminal_id = result.get("ptySessionId", params.get("ptySessionId"))
            if not isinstance(terminal_id, str) or not terminal_id:
                raise BadAnswerError(
                    f"{method}: the answer has no terminal id", session_id=self._session_id
                )
            # The position of a terminal that existed before comes with its first output.
            return self._attach(terminal_id, 0 if method == "pty.create" else None)
        finally:
            self._opening -= 1
            self._release()

    def _attach(self, terminal_id: str, position: int | None) -> Terminal:
        terminal = Terminal(self, terminal_id, position)
        self._terminals.setdefault(terminal_id, []).append(terminal)
        if self._checker is None:
            self._checker = asyncio.create_task(self._check_silent_terminals())
        for data in self._early:
            if data.get("ptySessionId") == terminal_id:
                terminal.handle_frame(data)
        return terminal

    async def call(
        self, method: str, params: dict[str, Any], timeout: float = _ANSWER_TIMEOUT
    ) -> dict[str, Any]:
        """Call a method of the server and return its result."""
        with self._translated(method):
            # Nobody would know the id of a terminal whose answer is lost.
            undo = method == "pty.create"
            data = await self.socket.call(_TARGET, _request(method, params), timeout, undo=undo)
        result = data.get("result")
        return result if isinstance(result, dict) else {}

    async def list_ids(self) -> list[str]:
        """Return the ids of all terminals of the session."""
        result = await self.call("pty.list", {}, _ANSWER_TIMEOUT)
        ids = result.get("ptySessionIds")
        if not isinstance(ids, list):
            raise BadAnswerError("pty.list: the answer has no ids", session_id=self._session_id)
        return [terminal_id for terminal_id in ids if isinstance(terminal_id, str)]

    def describe(self, terminal_id: str) -> PtySession:
        """Return what the handles of a terminal know of it."""
        handles = self._terminals.get(terminal_id, [])
        cols, rows = max((handle.size for handle in handles), default=(0, 0))
        codes = [handle.exit_code for handle in handles if handle.exit_code is not None]
        status = "exited" if codes else "running"
        return PtySession(terminal_id, cols, rows, status, codes[0] if codes else None)

    async def deliver(self, method: str, several: Sequence[dict[str, Any]]) -> None:
        """Call a method that has no answer with each of `several`; wait until all have arrived.

        What is sent into a connection that breaks may be lost without an error. A program that
        waits for lost input would never end.
        """
        requests = [_request(method, params) for params in several]
        with self._translated(method):
            await self.socket.call(_TARGET, _request("pty.list", {}), before=requests)

    def check_open(self) -> None:
        """Raise ClosedError if the client or the session was closed."""
        self.socket.check_open()

    @contextmanager
    def _translated(self, method: str) -> Iterator[None]:
        """Turn an error of the server into a PtyError."""
        try:
            yield
        except ToolError as error:
            raise PtyError(
                f"{method}: {error.message}",
                request_id=error.request_id,
                session_id=self._session_id,
            ) from None

    def is_attached(self, terminal: Terminal) -> bool:
        """Return whether the handle gets the terminal's frames."""
        return terminal in self._terminals.get(terminal.id, ())

    def detach(self, terminal: Terminal) -> None:
        """Send no more frames to a handle."""
        handles = self._terminals.get(terminal.id, [])
        if terminal in handles:
            handles.remove(terminal)
        if not handles:
            self._terminals.pop(terminal.id, None)
        self._release()

    def _subscribe(self) -> None:
        if self._unsubscribe is None:
            subscriber = Subscriber(self._on_frame, self._on_reconnect, self._on_close)
            self._unsubscribe = self.socket.subscribe(_TARGET, subscriber)

    def _release(self) -> None:
        """Drop early frames and the subscription if they are not needed."""
        if self._opening:
            return
        self._early.clear()
        self._early_size = 0
        # The socket does not reconnect without subscribers.
        if not self._terminals and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if not self._terminals and self._checker is not None:
            self._checker.cancel()
            self._checker = None

    def _on_frame(self, frame: Frame) -> None:
        terminal_id = frame.data.get("ptySessionId")
        handles = self._terminals.get(terminal_id) if isinstance(terminal_id, str) else None
        if handles:
            # A copy: a handle that gets its last frame detaches.
            for terminal in tuple(handles):
                terminal.handle_frame(frame.data)
        elif self._opening:
            self._keep_early(frame.data)

    def _keep_early(self, data: dict[str, Any]) -> None:
        size = len(str(data.get("data", ""))) + _FRAME_OVERHEAD
        if self._early_size + size <= _EARLY_LIMIT:
            self._early.append(data)
            self._early_size += size

    def _on_reconnect(self) -> None:
        for terminal_id in list(self._terminals):
            task = asyncio.create_task(self._reattach(terminal_id))
            # The event loop itself keeps only weak references to tasks.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reattach(self, terminal_id: str) -> None:
        handles = tuple(self._terminals.get(terminal_id, ()))
        if not handles:
            return
        params: dict[str, Any] = {"ptySessionId": terminal_id}
        positions = [handle.position for handle in handles if handle.position is not None]
        if positions:
            params["offset"] = min(positions)
        try:
            await self.call("pty.connect", params)
        except ConnectionLostError:
            # The next reconnect attaches it.
            return
        except AgentBayError as error:
            for handle in handles:
                handle.fail(error)

    async def _check_silent_terminals(self) -> None:
        """Find terminals that have ended although no frame said so."""
        unanswered = 0
        while True:
            before = self._count_frames()
            await anyio.sleep(_CHECK_INTERVAL)
            silent = before.items() & self._count_frames().items()
            try:
                if silent:
                    await self._reattach_unlisted({name for name, _ in silent})
                unanswered = 0
            except RequestTimeoutError as error:
                unanswered += 1
                if unanswered == _MAX_UNANSWERED:
                    self._on_close(error)
            except AgentBayError as error:
                # Without a connection, the socket reconnects or gives up.
                logger.debug("%s: %s", self._session_id, error)

    async def _reattach_unlisted(self, terminal_ids: set[str]) -> None:
        """Attach terminals again that the server does not list as open.

        One that it still knows then sends its end; of one that it does not know, all waits end.
        """
        for terminal_id in terminal_ids.difference(await self.list_ids()):
            await self._reattach(terminal_id)

    def _count_frames(self) -> dict[str, int]:
        return {
            name: sum(handle.frames for handle in handles)
            for name, handles in self._terminals.items()
        }

    def _on_close(self, reason: AgentBayError) -> None:
        for handles in [*self._terminals.values()]:
            for handle in tuple(handles):
                handle.fail(reason)


async def kill_quietly(terminal: Terminal) -> None:
    """Kill a terminal that its caller does not get; a failure is logged only."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_KILL_TIMEOUT):
        try:
            await terminal.kill()
        except AgentBayError as error:
            logger.warning("%s may still be open: %s", terminal.id, error)


def _request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"method": method, "params": params}
