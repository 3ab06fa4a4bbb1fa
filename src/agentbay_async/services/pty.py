"""Terminals of a session."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    InvalidArgumentError,
    OperationTimeoutError,
)
from agentbay_async.models.pty import PtySession
from agentbay_async.services._pty.client import Terminals

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.services._pty.terminal import Terminal

logger = logging.getLogger("agentbay")

_LARGEST = 500
_VARIABLES = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}
# Seconds for which the end of a terminal waits until a callback has taken all of its output. It is
# bounded because the callback itself may be what waits.
_DELIVERY = 5.0


class AsyncPty:
    """Opens terminals in one session, over its WebSocket.

    What is opened is alive, and no answer that could be looked at later. So these methods return
    plain values and raise what goes wrong.

    A terminal goes on when this program ends or loses its line: :meth:`connect` attaches to it
    again. It ends with its process, by :meth:`kill`, or with the session.
    """

    __slots__ = ("__weakref__", "_terminals")

    def __init__(self, api: Api, session_id: str) -> None:
        self._terminals = Terminals(api, session_id)

    async def create(
        self,
        cols: int = 80,
        rows: int = 24,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        shell: str | None = None,
        on_data: Callable[[bytes], Awaitable[None] | None] | None = None,
        timeout_s: float | timedelta = 30,
    ) -> AsyncPtyHandle:
        r"""Open a terminal with a shell in it.

        Args:
            cols: Characters in a line, 1 to 500.
            rows: Lines, 1 to 500.
            cwd: The directory to begin in; by default the home directory.
            envs: Variables to add to its environment; ``TERM`` and ``LANG`` are set.
            shell: The program to run in it; by default the image's shell.
            on_data: Called with each piece of output. Without it, iterate over the handle.
            timeout_s: Seconds (or a timedelta) to wait until it is open.

        Raises:
            InvalidArgumentError: A size is out of range, or a variable cannot be one.
            AgentBayError: The session opens none.

        Example:
            ::

                pty = await session.pty.create()
                await pty.send_input("echo hi; exit\n")
                async for piece in pty:
                    print(piece.decode(), end="")
        """
        limit = _check.seconds(timeout_s, "timeout_s")
        params: dict[str, Any] = {"cols": _size(cols, "cols"), "rows": _size(rows, "rows")}
        params["envs"] = {**_VARIABLES, **_check.variables(envs or {})}
        if cwd is not None:
            params["cwd"] = _check.text(cwd, "cwd")
        if shell is not None:
            params["shell"] = _check.text(shell, "shell")
        terminal = await self._terminals.create(params, limit)
        return AsyncPtyHandle(terminal, on_data)

    async def connect(
        self,
        pty_session_id: str,
        on_data: Callable[[bytes], Awaitable[None] | None] | None = None,
    ) -> AsyncPtyHandle:
        """Attach to a terminal that is open already.

        What it wrote before comes first, as far as the session has kept it.

        Args:
            pty_session_id: Its id.
            on_data: Called with each piece of output. Without it, iterate over the handle.
        """
        name = _check.identifier(pty_session_id, "pty_session_id")
        return AsyncPtyHandle(await self._terminals.connect(name), on_data)

    async def list(self) -> builtins.list[PtySession]:
        """Return the terminals that are open in the session."""
        return [PtySession(one) for one in await self._terminals.list()]

    async def kill(self, pty_session_id: str) -> None:
        """End the processes of a terminal.

        Args:
            pty_session_id: Its id.
        """
        await self._terminals.kill(_check.identifier(pty_session_id, "pty_session_id"))


class AsyncPtyHandle:
    """A terminal that is open. Its methods raise what goes wrong, and return plain values.

    Iterate over it for its output, in pieces as they come, or give a callback to
    :meth:`AsyncPty.create`. After the line broke the handle attaches again by itself; if that
    cannot be done, waiting and reading end with an error. Output that nobody reads is kept up to
    64 MiB.
    """

    __slots__ = ("__weakref__", "_delivery", "_terminal")

    def __init__(
        self,
        terminal: Terminal,
        on_data: Callable[[bytes], Awaitable[None] | None] | None,
    ) -> None:
        self._terminal = terminal
        self._delivery: asyncio.Task[None] | None = None
        if on_data is not None:
            self._delivery = asyncio.create_task(_deliver(terminal, on_data))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pty_session_id!r})"

    @property
    def pty_session_id(self) -> str:
        """What the terminal is addressed by."""
        return self._terminal.id

    @property
    def is_connected(self) -> bool:
        """Whether its output arrives here."""
        return self._terminal.is_connected

    @property
    def exit_code(self) -> int | None:
        """What its process returned, or ``None`` while it runs."""
        return self._terminal.exit_code

    async def send_input(self, data: bytes | str) -> None:
        """Type into the terminal.

        The protocol does not confirm input: when this returns it was sent, not yet read.

        Args:
            data: What to type; text is sent as UTF-8. A line ends with a line break.

        Raises:
            PtyNotConnectedError: The handle was disconnected, or its process has ended.
            TransportError: It could not be sent.
        """
        await self._terminal.send(typed(data))

    async def resize(self, cols: int, rows: int) -> None:
        """Tell the terminal how large it is.

        Args:
            cols: Characters in a line, 1 to 500.
            rows: Lines, 1 to 500.

        Raises:
            InvalidArgumentError: A size is out of range.
            PtyNotConnectedError: The handle was disconnected, or its process has ended.
        """
        await self._terminal.resize(_size(cols, "cols"), _size(rows, "rows"))

    async def kill(self) -> None:
        """End the processes of the terminal.

        Raises:
            PtyNotConnectedError: The handle was disconnected, or its process has ended.
        """
        await self._terminal.kill()

    async def wait(self, timeout: float | timedelta | None = None) -> int:
        """Wait until its process has ended, and return the exit code.

        Args:
            timeout: Seconds (or a timedelta) to wait; ``None`` waits for as long as it runs.

        Raises:
            OperationTimeoutError: It did not end in time.
            PtyNotConnectedError: The handle was disconnected.
            TransportError: The line is lost, and it cannot be known how it ended.
        """
        code = await ended(self._terminal, timeout)
        if self._delivery is not None:
            await asyncio.wait([self._delivery], timeout=_DELIVERY)
        return code

    async def disconnect(self) -> None:
        """Hear no more of the terminal; it goes on, and can be connected to again."""
        self._terminal.detach()

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._delivery is not None:
            raise InvalidArgumentError("the output goes to on_data; do not iterate as well")
        return pieces(self._terminal)


async def pieces(terminal: Terminal) -> AsyncIterator[bytes]:
    """Yield the output of a terminal until it ends."""
    while (piece := await terminal.output.next()) is not None:
        yield piece


async def ended(terminal: Terminal, timeout: float | timedelta | None) -> int:
    """Wait for the end of a terminal's process; see :meth:`AsyncPtyHandle.wait`."""
    limit = None if timeout is None else _check.seconds(timeout, "timeout")
    done, _ = await asyncio.wait([terminal.exit], timeout=limit)
    if not done:
        raise OperationTimeoutError(f"{terminal.id} did not end within {limit:g} s")
    return terminal.exit.result()


def typed(data: bytes | str) -> bytes:
    """Return what to type as bytes.

    Raises:
        ArgumentTypeError: It is neither text nor bytes.
    """
    if isinstance(data, str):
        return _check.encodable(data, "data").encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ArgumentTypeError(f"data must be str or bytes, not {type(data).__name__}")


def _size(value: object, name: str) -> int:
    checked = _check.positive_int(value, name)
    if checked > _LARGEST:
        raise InvalidArgumentError(f"{name} must be at most {_LARGEST}, not {checked}")
    return checked


async def _deliver(terminal: Terminal, on_data: Callable[[bytes], Awaitable[None] | None]) -> None:
    """Call `on_data` with all output; what it raises is told of, and must not stop the output."""
    while True:
        try:
            piece = await terminal.output.next()
        except AgentBayError as error:
            logger.warning("%s: %s", terminal.id, error)
            if terminal.output.at_end:
                return
            continue
        if piece is None:
            return
        try:
            waiting = on_data(piece)
            if waiting is not None:
                await waiting
        except Exception:
            logger.exception("%s: on_data failed", terminal.id)
