"""Processes of a session that go on in the background.

The protocol has no such thing: a command runs while its call waits, and ends with it. What it has
is terminals, which go on by themselves. So a process here is a terminal whose shell was replaced by
the command, with its echo turned off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async.services.pty import ended, typed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta

    from agentbay_async.services._pty.client import Terminals
    from agentbay_async.services._pty.terminal import Terminal

# What the shell writes before the command takes its place: all up to it is prompt and echo. The
# echo of this line cannot be taken for it, because there the two control characters are spelled.
_START = b"\x01agentbay\x02"
# The command travels in a variable: a line that is typed must be short, and may be echoed.
_LINE = (
    r"stty -echo -onlcr; printf '\001agentbay\002'; "
    """exec /bin/sh -c 'c=$AGENTBAY_COMMAND; unset AGENTBAY_COMMAND; eval "$c"'\n"""
)
_END_OF_INPUT = b"\x04"
# A shell that wrote more than this and never began is not one that understood the line.
_LONGEST_HEAD = 64 * 1024


class AsyncProcess:
    """A command that runs in the background of a session. It outlives this program.

    It runs in a terminal, and so sees one: standard output and standard error come together, in the
    order in which they were written; what it reads are lines, at most 4095 bytes each; and it may
    behave as programs do that are watched by a person. It ends by itself, by :meth:`kill`, or with
    the session.

    Iterate over it for its output, in pieces as they come. Methods raise what goes wrong, and
    return plain values.

    Example:
        ::

            process = await session.command.start("make all")
            async for piece in process:
                print(piece.decode(), end="")
            print(await process.wait())
    """

    __slots__ = ("__weakref__", "_head", "_terminal")

    def __init__(self, terminal: Terminal, *, fresh: bool) -> None:
        self._terminal = terminal
        self._head: _Head | None = _Head(terminal, fresh=fresh)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.process_id!r})"

    @property
    def process_id(self) -> str:
        """What it is addressed by; see :meth:`AsyncCommand.attach`."""
        return self._terminal.id

    @property
    def exit_code(self) -> int | None:
        """What it returned, or ``None`` while it runs."""
        return self._terminal.exit_code

    async def wait(self, timeout: float | timedelta | None = None) -> int:
        """Wait for its end and return the exit code.

        Args:
            timeout: Seconds (or a timedelta) to wait; ``None`` waits for as long as it runs.

        Raises:
            OperationTimeoutError: It did not end in time; it goes on.
            TransportError: The line is lost, and it cannot be known how it ended.
        """
        return await ended(self._terminal, timeout)

    async def kill(self) -> None:
        """End it, and what it has started.

        Raises:
            PtyNotConnectedError: It has ended.
        """
        await self._terminal.kill()

    async def send_stdin(self, data: bytes | str) -> None:
        """Write to its standard input; it reads whole lines.

        Args:
            data: What to write; text is sent as UTF-8.

        Raises:
            PtyNotConnectedError: It has ended.
            TransportError: It could not be sent.
        """
        await self._terminal.send(typed(data))

    async def close_stdin(self) -> None:
        """Tell it that no more input comes. Only what follows a line break is read as an end.

        Raises:
            PtyNotConnectedError: It has ended.
            TransportError: It could not be sent.
        """
        await self._terminal.send(_END_OF_INPUT)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._terminal.output.next()) is not None:
            if self._head is not None:
                piece = self._head.without(piece)
                if self._head.is_over:
                    self._head = None
            if piece:
                yield piece
        if self._head is not None:
            head, self._head = self._head, None
            if head.text:
                yield head.text


class _Head:
    """What the shell of a terminal wrote before the command took its place."""

    def __init__(self, terminal: Terminal, *, fresh: bool) -> None:
        self.text = b""
        self.is_over = False
        self._terminal = terminal
        self._fresh = fresh

    def without(self, piece: bytes) -> bytes:
        """Return what of `piece` is the command's own."""
        self.text += piece
        _, mark, rest = self.text.partition(_START)
        waits = (self._fresh or self._terminal.start == 0) and len(self.text) < _LONGEST_HEAD
        if mark or not waits:
            self.is_over = True
            return rest if mark else self.text
        return b""


async def start(
    terminals: Terminals, command: str, cwd: str | None, envs: Mapping[str, str]
) -> AsyncProcess:
    """Start a command; see :meth:`AsyncCommand.start`."""
    params: dict[str, Any] = {
        # Wide, because a line is broken by a terminal that is too narrow for it.
        "cols": 500,
        "rows": 24,
        "shell": "/bin/sh",
        "envs": {"TERM": "dumb", **envs, "AGENTBAY_COMMAND": command},
    }
    if cwd is not None:
        params["cwd"] = cwd
    terminal = await terminals.create(params)
    await terminal.send(_LINE.encode())
    return AsyncProcess(terminal, fresh=True)


async def attach(terminals: Terminals, process_id: str) -> AsyncProcess:
    """Take hold of a process that runs; see :meth:`AsyncCommand.attach`."""
    return AsyncProcess(await terminals.connect(process_id), fresh=False)
