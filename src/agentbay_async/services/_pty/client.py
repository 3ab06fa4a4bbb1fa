"""Terminals of a session, as the WebSocket's server of terminals has them.

Output is pushed to everybody on the line, so that it may come before the answer that says which
terminal it is of, and while the line is made anew. What comes for a terminal that is not known yet
is kept while one is being opened. After the line broke, each terminal is attached again, from the
byte that it is at: a server that counts bytes sends what was missed, and what overlaps is left out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agentbay_async._transport.websocket import Subscriber
from agentbay_async.errors import (
    AgentBayError,
    BadAnswerError,
    ConnectionLostError,
    PtyError,
    ToolError,
)
from agentbay_async.services._pty.terminal import Terminal
from agentbay_async.services._routing import socket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentbay_async._api import Api
    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket

_TARGET = "PTY_SERVER"
_ANSWER = 30.0
# Bytes of frames that are kept for terminals which are being opened.
_MOST_EARLY = 4 * 1024 * 1024


class Terminals:
    """The terminals of one session that this program holds.

    Args:
        api: The client's.
        session_id: The session.
    """

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._desk: _Desk | None = None

    async def create(self, params: dict[str, Any], timeout: float = _ANSWER) -> Terminal:
        """Open a terminal; not one byte of it is missed."""
        return await (await self._current()).open("pty.create", params, timeout)

    async def connect(self, terminal_id: str) -> Terminal:
        """Attach to a terminal that is there already."""
        params = {"ptySessionId": terminal_id}
        return await (await self._current()).open("pty.connect", params, _ANSWER)

    async def kill(self, terminal_id: str) -> None:
        """End the processes of a terminal."""
        await (await self._current()).ask("pty.kill", {"ptySessionId": terminal_id})

    async def list(self) -> list[str]:
        """Return the ids of all terminals of the session."""
        result = await (await self._current()).ask("pty.list", {})
        ids = result.get("ptySessionIds")
        if not isinstance(ids, list):
            raise BadAnswerError("pty.list: the answer has no ids", session_id=self._session_id)
        return [one for one in ids if isinstance(one, str)]

    async def _current(self) -> _Desk:
        socket = await socket_of(self._api, self._session_id)
        if self._desk is None or self._desk.socket is not socket:
            self._desk = _Desk(socket, self._session_id)
        return self._desk


class _Desk:
    """Where what one socket says of terminals is handed to those who hold them."""

    def __init__(self, socket: SessionSocket, session_id: str) -> None:
        self.socket = socket
        self._session_id = session_id
        self._held: dict[str, list[Terminal]] = {}
        self._opening = 0
        self._early: list[dict[str, Any]] = []
        self._early_size = 0
        self._leave: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, method: str, params: dict[str, Any], timeout: float) -> Terminal:
        """Ask for a terminal and hold it, with what it wrote meanwhile."""
        self._opening += 1
        # Before the question is sent: the first output may overtake the answer.
        self._listen()
        try:
            result = await self.ask(method, params, timeout)
            terminal_id = result.get("ptySessionId", params.get("ptySessionId"))
            if not isinstance(terminal_id, str) or not terminal_id:
                raise BadAnswerError(f"{method}: no terminal is named", session_id=self._session_id)
            # Of a terminal that was there before, the first output says where it is.
            start = 0 if method == "pty.create" else None
            terminal = Terminal(self, terminal_id, start)
            self._held.setdefault(terminal_id, []).append(terminal)
            for data in self._early:
                if data.get("ptySessionId") == terminal_id:
                    terminal.hear(data)
            return terminal
        finally:
            self._opening -= 1
            self._tidy()

    async def ask(
        self, method: str, params: dict[str, Any], timeout: float = _ANSWER
    ) -> dict[str, Any]:
        """Ask the server and return its result."""
        question = {"method": method, "params": params}
        try:
            data = await self.socket.call(_TARGET, question, timeout)
        except ToolError as error:
            raise PtyError(
                f"{method}: {error.message}",
                request_id=error.request_id,
                session_id=self._session_id,
            ) from None
        result = data.get("result")
        return result if isinstance(result, dict) else {}

    async def tell(self, method: str, params: dict[str, Any]) -> None:
        """Tell the server something to which it does not answer."""
        await self.socket.send(_TARGET, {"method": method, "params": params})

    def holds(self, terminal: Terminal) -> bool:
        """Whether the output of a terminal is handed on."""
        return terminal in self._held.get(terminal.id, ())

    def release(self, terminal: Terminal) -> None:
        """Hand nothing more to a terminal."""
        holders = self._held.get(terminal.id, [])
        if terminal in holders:
            holders.remove(terminal)
        if not holders:
            self._held.pop(terminal.id, None)
        self._tidy()

    def _listen(self) -> None:
        if self._leave is None:
            listener = Subscriber(self._heard, self._reopened, self._ended)
            self._leave = self.socket.subscribe(_TARGET, listener)

    def _tidy(self) -> None:
        if not self._opening:
            self._early.clear()
            self._early_size = 0
        if not self._opening and not self._held and self._leave is not None:
            # A line that nobody needs is not made anew when it breaks.
            self._leave()
            self._leave = None

    def _heard(self, frame: Frame) -> None:
        terminal_id = frame.data.get("ptySessionId")
        holders = self._held.get(terminal_id) if isinstance(terminal_id, str) else None
        if holders:
            for terminal in tuple(holders):
                terminal.hear(frame.data)
        elif self._opening:
            size = len(str(frame.data.get("data", ""))) + 100
            if self._early_size + size <= _MOST_EARLY:
                self._early.append(frame.data)
                self._early_size += size

    def _reopened(self) -> None:
        for terminal_id in list(self._held):
            self._spawn(self._attach_again(terminal_id))

    async def _attach_again(self, terminal_id: str) -> None:
        holders = tuple(self._held.get(terminal_id, ()))
        if not holders:
            return
        params: dict[str, Any] = {"ptySessionId": terminal_id}
        known = [one.position for one in holders if one.position is not None]
        if known:
            params["offset"] = min(known)
        try:
            await self.ask("pty.connect", params)
        except ConnectionLostError:
            # It broke again: then it is attached when the line is there the next time.
            return
        except AgentBayError as error:
            for terminal in holders:
                terminal.fail(error)

    def _ended(self, reason: AgentBayError) -> None:
        for terminal in [one for some in self._held.values() for one in some]:
            terminal.fail(reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
