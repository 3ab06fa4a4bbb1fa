"""One terminal of a session: what it wrote, where that stands, and how it ended."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_async.errors import PtyError, PtyNotConnectedError
from agentbay_async.services._pty.output_buffer import Unread

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError

logger = logging.getLogger("agentbay")

# One frame of input; larger ones would hold up everybody on the line.
_INPUT_PIECE = 32 * 1024


class Desk(Protocol):
    """Where what is said of terminals is handed to those who hold them."""

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the server and return its result."""
        ...

    async def tell(self, method: str, params: dict[str, Any]) -> None:
        """Tell the server something to which it does not answer."""
        ...

    def holds(self, terminal: Terminal) -> bool:
        """Whether the output of a terminal is handed on."""
        ...

    def release(self, terminal: Terminal) -> None:
        """Hand nothing more to a terminal."""
        ...


class Terminal:
    """One terminal, as one who holds it sees it.

    Attributes:
        id: What it is addressed by.
        output: What it wrote and nobody has read.
        start: Where the output that arrived here begins, in bytes; ``None`` if that is not known.
        exit: The exit code, once its process has ended; or why that cannot be known.
    """

    def __init__(self, desk: Desk, terminal_id: str, position: int | None) -> None:
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
        if isinstance(offset, int) and not isinstance(offset, bool) and offset >= 0:
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
