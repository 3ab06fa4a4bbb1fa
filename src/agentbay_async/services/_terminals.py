"""Terminals of a session, as the WebSocket's server of terminals has them.

Output is pushed to everybody on the line, so that it may come before the answer that says which
terminal it is of, and while the line is made anew. What comes for a terminal that is not known yet
is kept while one is being opened. After the line broke, each terminal is attached again, from the
byte that it is at: a server that counts bytes sends what was missed, and what overlaps is left out.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import TYPE_CHECKING, Any

from agentbay_async._channels import socket_of
from agentbay_async._wire.invocations import Listener
from agentbay_async.errors import (
    AgentBayError,
    BadAnswerError,
    ConnectionLostError,
    PtyError,
    PtyNotConnectedError,
    ToolError,
)
from agentbay_async.services._unread import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentbay_async._api import Api
    from agentbay_async._wire.frames import Frame
    from agentbay_async._wire.socket import Socket

logger = logging.getLogger("agentbay")

_TARGET = "PTY_SERVER"
_ANSWER = 30.0
# Bytes of frames that are kept for terminals which are being opened.
_MOST_EARLY = 4 * 1024 * 1024
# One frame of input; larger ones would hold up everybody on the line.
_INPUT_PIECE = 32 * 1024


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


class Terminal:
    """One terminal, as one who holds it sees it.

    Attributes:
        id: What it is addressed by.
        output: What it wrote and nobody has read.
        start: Where the output that arrived here begins, in bytes; ``None`` if that is not known.
        exit: The exit code, once its process has ended; or why that cannot be known.
    """

    def __init__(self, desk: _Desk, terminal_id: str, position: int | None) -> None:
        self.id = terminal_id
        self.output = Unread()
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.start = position
        self._desk = desk
        self._position = position

    @property
    def position(self) -> int | None:
        """How many bytes it has written, or ``None`` before that is known."""
        return self._position

    @property
    def is_connected(self) -> bool:
        """Whether its output arrives here."""
        return self._desk.holds(self)

    @property
    def exit_code(self) -> int | None:
        """What its process returned, or ``None`` while that is not known."""
        if not self.exit.done() or self.exit.exception() is not None:
            return None
        return self.exit.result()

    async def send(self, data: bytes) -> None:
        """Type `data` into it."""
        for start in range(0, len(data), _INPUT_PIECE):
            await self._say("pty.input", **_coded(data[start : start + _INPUT_PIECE]))

    async def resize(self, cols: int, rows: int) -> None:
        """Tell it how large it is."""
        await self._say("pty.resize", cols=cols, rows=rows)

    async def kill(self) -> None:
        """End its processes."""
        self._check()
        await self._desk.ask("pty.kill", {"ptySessionId": self.id})

    def detach(self) -> None:
        """Hear no more of it; it goes on."""
        self._desk.release(self)
        self._fail(PtyNotConnectedError(f"{self.id} was disconnected"))

    def hear(self, data: dict[str, Any]) -> None:
        """Take what the server says of this terminal."""
        kind = data.get("eventType")
        if kind == "pty.output":
            self._put(data)
        elif kind == "pty.exit":
            code = data.get("exitCode")
            self._end(code if isinstance(code, int) else -1)
        elif kind == "pty.error":
            self.fail(PtyError(f"{self.id}: {data.get('error') or 'the terminal failed'}"))

    def fail(self, error: AgentBayError) -> None:
        """End it with an error: nothing more will be known of it."""
        self._desk.release(self)
        self._fail(error)

    def _fail(self, error: AgentBayError) -> None:
        self.output.end(error)
        if not self.exit.done():
            self.exit.set_exception(error)
            # Whoever holds it may never ask how it ended.
            self.exit.exception()

    def _end(self, code: int) -> None:
        self._desk.release(self)
        self.output.end()
        if not self.exit.done():
            self.exit.set_result(code)

    def _put(self, data: dict[str, Any]) -> None:
        try:
            piece = _decoded(data)
        except ValueError:
            logger.warning("%s: a piece of output cannot be read, and is dropped", self.id)
            return
        offset = data.get("offset")
        if isinstance(offset, int) and not isinstance(offset, bool):
            piece = self._from_here(offset, piece)
        if self._position is not None:
            self._position += len(piece)
        self.output.put(piece)

    def _from_here(self, offset: int, piece: bytes) -> bytes:
        """Leave out what was sent already, and say what is missing; `offset` counts bytes."""
        if self._position is None:
            self.start = self._position = offset
        if offset > self._position:
            self.output.lose(offset - self._position)
            self._position = offset
        return piece[self._position - offset :]

    async def _say(self, method: str, **params: Any) -> None:
        self._check()
        await self._desk.tell(method, {"ptySessionId": self.id, **params})

    def _check(self) -> None:
        if self.exit.done() and (error := self.exit.exception()) is not None:
            raise error
        if not self.is_connected:
            raise PtyNotConnectedError(f"{self.id} has ended")


class _Desk:
    """Where what one socket says of terminals is handed to those who hold them."""

    def __init__(self, socket: Socket, session_id: str) -> None:
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
            listener = Listener(self._heard, self._reopened, self._ended)
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


def _coded(data: bytes) -> dict[str, str]:
    try:
        return {"encoding": "utf8", "data": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(data).decode("ascii")}


def _decoded(data: dict[str, Any]) -> bytes:
    text = data.get("data")
    if not isinstance(text, str):
        raise ValueError("no text")
    if data.get("encoding") == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("no base64") from error
    return text.encode("utf-8", "surrogatepass")
