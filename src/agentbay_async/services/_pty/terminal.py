"""One terminal of a session: its output, the position in it, and its exit code."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_async import _check
from agentbay_async._protocol.missing_network import LOOKED_AT
from agentbay_async.errors import (
    ArgumentTypeError,
    OperationTimeoutError,
    PtyError,
    PtyNotConnectedError,
)
from agentbay_async.services._pty.output_buffer import OutputBuffer
from agentbay_async.services._shell import LONGEST_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from agentbay_async.errors import AgentBayError

logger = logging.getLogger("agentbay")

# Bytes of input in one frame. Larger frames would delay everything else on the shared connection.
_INPUT_CHUNK = 32 * 1024
# Bytes of input after which the server must have confirmed them.
_INPUT_WINDOW = 16 * _INPUT_CHUNK


class TerminalConnection(Protocol):
    """The connection that a terminal uses to reach its server."""

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the server and return its result."""
        ...

    async def deliver(self, method: str, several: Sequence[dict[str, Any]]) -> None:
        """Call a method that has no answer with each of `several`; wait until all have arrived."""
        ...

    def check_open(self) -> None:
        """Raise ClosedError if the client or the session was closed."""
        ...

    def is_attached(self, terminal: Terminal) -> bool:
        """Return whether the terminal gets its frames."""
        ...

    def detach(self, terminal: Terminal) -> None:
        """Send no more frames to the terminal."""
        ...


class Terminal:
    """One handle of a terminal. Several handles of the same terminal do not share state.

    Attributes:
        id: The id of the terminal.
        output: Its unread output.
        start: Position of the first byte that arrived here; ``None`` if that is not known.
        exit: The exit code, or the error for which it will never be known.
        frames: The number of frames that arrived.
        tail: The last bytes of its output.
        offline_hint: What to do if its process failed because it reached no host; ``""`` if the
            session reaches some, or does not say.
        size: Columns and rows as this handle set them; zeros if it did not.
    """

    def __init__(
        self, connection: TerminalConnection, terminal_id: str, position: int | None
    ) -> None:
        self.id = terminal_id
        self.output = OutputBuffer()
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.start = position
        self.frames = 0
        self.tail = b""
        self.offline_hint = ""
        self.size = (0, 0)
        self._connection = connection
        self._position = position

    @property
    def position(self) -> int | None:
        """The number of bytes that the terminal has written; ``None`` if that is not known."""
        return self._position

    @property
    def is_connected(self) -> bool:
        """Whether its output arrives here."""
        return self._connection.is_attached(self)

    @property
    def exit_code(self) -> int | None:
        """The exit code of its process, or ``None`` while it is not known."""
        if not self.exit.done() or self.exit.exception() is not None:
            return None
        return self.exit.result()

    async def wait(self, timeout: float | timedelta | None) -> int:
        """Wait for the end of its process and return the exit code.

        Raises:
            OperationTimeoutError: It did not end in time.
            AgentBayError: The exit code will never be known.
        """
        limit = None if timeout is None else _check.seconds(timeout, "timeout")
        # asyncio.wait() instead of wait_for(), which would cancel the future that others wait for.
        done, _ = await asyncio.wait([self.exit], timeout=limit)
        if not done:
            raise OperationTimeoutError(f"{self.id} did not end within {limit:g} s")
        return self.exit.result()

    async def send(self, data: bytes | str) -> None:
        """Type `data` into the terminal, and wait until the server has it.

        Raises:
            ArgumentTypeError: `data` is neither text nor bytes.
            AgentBayError: It may not have arrived, or only in part.
        """
        content = _check_input(data)
        for window in _pieces(content, _INPUT_WINDOW):
            await self._deliver(
                "pty.input", *(_encode(piece) for piece in _pieces(window, _INPUT_CHUNK))
            )

    async def resize(self, cols: int, rows: int) -> None:
        """Change the size of the terminal."""
        await self._deliver("pty.resize", {"cols": cols, "rows": rows})
        self.size = cols, rows

    async def kill(self) -> None:
        """End the processes of the terminal."""
        self._check_connected()
        await self._connection.call("pty.kill", {"ptySessionId": self.id})

    def detach(self) -> None:
        """Receive no more output; the terminal itself goes on."""
        self.fail(PtyNotConnectedError(f"{self.id} was disconnected"))

    def handle_frame(self, data: dict[str, Any]) -> None:
        """Process a frame that the server sent about this terminal."""
        self.frames += 1
        kind = data.get("eventType")
        if kind == "pty.output":
            self._add_output(data)
        elif kind == "pty.exit":
            code, hint = data.get("exitCode"), data.get("offlineHint")
            self.offline_hint = hint[:LONGEST_HINT] if isinstance(hint, str) else ""
            self._finish(code if isinstance(code, int) else -1)
        elif kind == "pty.error":
            self.fail(PtyError(f"{self.id}: {data.get('error') or 'the terminal failed'}"))

    def fail(self, error: AgentBayError) -> None:
        """End the handle with an error, because nothing more will arrive."""
        self._connection.detach(self)
        self.output.close(error)
        if not self.exit.done():
            self.exit.set_exception(error)
            # Mark the exception as retrieved: the owner of the handle may never wait for the exit.
            self.exit.exception()

    def _finish(self, code: int) -> None:
        self._connection.detach(self)
        self.output.close()
        if not self.exit.done():
            self.exit.set_result(code)

    def _add_output(self, data: dict[str, Any]) -> None:
        try:
            chunk = _decode(data)
        except ValueError:
            logger.warning("%s: dropped a chunk of output that cannot be decoded", self.id)
            return
        offset = data.get("offset")
        if isinstance(offset, int) and not isinstance(offset, bool) and offset >= 0:
            chunk = self._align(offset, chunk)
        if self._position is not None:
            self._position += len(chunk)
        self.tail = (self.tail + chunk[-LOOKED_AT:])[-LOOKED_AT:]
        self.output.feed(chunk)

    def _align(self, offset: int, chunk: bytes) -> bytes:
        """Drop bytes that arrived before, and report a gap; `offset` is the chunk's position."""
        if self._position is None:
            self.start = self._position = offset
        if offset > self._position:
            self.output.report_lost(offset - self._position)
            self._position = offset
        return chunk[self._position - offset :]

    async def _deliver(self, method: str, *several: dict[str, Any]) -> None:
        self._check_connected()
        requests = [{"ptySessionId": self.id, **params} for params in several]
        await self._connection.deliver(method, requests)

    def _check_connected(self) -> None:
        self._connection.check_open()
        if self.exit.done() and (error := self.exit.exception()) is not None:
            raise error
        if not self.is_connected:
            raise PtyNotConnectedError(f"{self.id} has ended")


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _check_input(data: object) -> bytes:
    if isinstance(data, str):
        return _check.encodable(data, "data").encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ArgumentTypeError(f"data must be str or bytes, not {type(data).__name__}")


def _encode(data: bytes) -> dict[str, str]:
    try:
        return {"encoding": "utf8", "data": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(data).decode("ascii")}


def _decode(data: dict[str, Any]) -> bytes:
    text = data.get("data")
    if not isinstance(text, str):
        raise ValueError("not a text")
    if data.get("encoding") == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    return text.encode("utf-8", "surrogatepass")
