"""Background processes of a session.

The protocol has none: a command ends with the call that waits for it. It has terminals, which
outlive a call. So a process here is a terminal whose shell replaces itself with the command, with
echo turned off.

A terminal has one stream. Standard error takes a way of its own if it is asked for: the command
writes it to a named pipe, and a second process in the session reads that.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async import _check
from agentbay_async._protocol.missing_network import lacks_network
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.services._pty.client import kill_quietly
from agentbay_async.services._pty.delivery import Delivery
from agentbay_async.services._pty.sequences import SequenceFinder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta

    from agentbay_async.services._pty.client import PtyClient
    from agentbay_async.services._pty.terminal import Terminal

# The shell writes this just before the command replaces it; everything before is prompt and echo.
# The echo of the line itself does not match, because it spells the control characters as escapes.
_START_MARK = b"\x01agentbay\x02"
# The command travels in a variable: a typed line has a length limit, and may be echoed.
_START_LINE = (
    r"stty -echo -onlcr; printf '\001agentbay\002'; "
    """exec /bin/sh -c 'c=$AGENTBAY_COMMAND; unset AGENTBAY_COMMAND; {body}'\n"""
)
_BODY = 'eval "$c"'
_END_OF_INPUT = b"\x04"
# If the mark has not come after this many bytes, the shell did not understand the line. Its output
# is then passed on, because it says why.
_MAX_PREAMBLE = 64 * 1024
# Seconds until the reader of standard error is there.
_READER_TIMEOUT = 30.0
# Seconds for the rest of standard error after the end of a process. What it has left in the
# background may keep the pipe open for ever.
_DRAIN = 5.0


class AsyncProcess:
    """A command in the background of a session. It outlives this program.

    It runs in a terminal. So standard output and standard error are one stream, in the order of
    writing, unless it was started with `on_stderr`; it reads lines of at most 4095 bytes; and it
    may behave as if a person were watching, for example by using colors. It ends by itself, by
    :meth:`kill`, or with the session.

    Iterate over it for its output, in chunks as they arrive, unless `on_stdout` gets it. Methods
    return plain values and raise errors.

    Example:
        ::

            process = await session.command.start("make all")
            async for chunk in process:
                print(chunk.decode(), end="")
            print(await process.wait())
    """

    __slots__ = ("__weakref__", "_pipe", "_preamble", "_stdout", "_terminal")

    def __init__(
        self,
        terminal: Terminal,
        *,
        fresh: bool,
        on_stdout: Callable[[bytes], Awaitable[None] | None] | None = None,
        pipe: _StderrPipe | None = None,
    ) -> None:
        self._terminal = terminal
        self._preamble: _Preamble | None = _Preamble(terminal, fresh=fresh)
        self._pipe = pipe
        self._stdout: Delivery | None = None
        if on_stdout is not None:
            self._stdout = Delivery(self, terminal, self._chunks, on_stdout, "on_stdout")
        if pipe is not None:
            pipe.deliver(self, terminal)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.process_id!r})"

    @property
    def process_id(self) -> str:
        """The id of the process, for :meth:`AsyncCommand.attach`."""
        return self._terminal.id

    @property
    def exit_code(self) -> int | None:
        """The exit code, or ``None`` while it runs."""
        return self._terminal.exit_code

    @property
    def hint(self) -> str:
        """What may help after a failure, for example how to let the session reach a host.

        It is ``""`` while the process runs, after a success, or if the session gives no hint. Only
        the local service gives hints so far.
        """
        cure = self._terminal.offline_hint
        tails = [self._terminal.tail, b"" if self._pipe is None else self._pipe.tail]
        if cure and any(lacks_network(tail.decode("utf-8", "replace")) for tail in tails):
            return cure
        return ""

    async def wait(self, timeout: float | timedelta | None = None) -> int:
        """Wait for its end, and until the callbacks have its output; return the exit code.

        Args:
            timeout: Seconds (or a timedelta) to wait; ``None`` waits for as long as it runs.

        Raises:
            OperationTimeoutError: It did not end in time; it goes on.
            TransportError: The connection is lost, so the exit code is not known.
        """
        limit = None if timeout is None else _check.seconds(timeout, "timeout")
        code = await self._terminal.wait(limit)
        for delivery in (self._stdout, self._pipe):
            if delivery is not None:
                await delivery.finish(limit)
        return code

    async def kill(self) -> None:
        """Kill it and the processes that it started.

        Raises:
            PtyNotConnectedError: It has ended.
        """
        await self._terminal.kill()

    async def send_stdin(self, data: bytes | str) -> None:
        """Write to its standard input; it reads whole lines.

        Args:
            data: Text (sent as UTF-8) or bytes.

        Raises:
            PtyNotConnectedError: It has ended.
            PtyError: Its input is full, because it does not read.
            TransportError: The input may not have arrived, or only in part.
        """
        await self._terminal.send(data)

    async def close_stdin(self) -> None:
        """Send the end of input. It is recognized only after a line break.

        Raises:
            PtyNotConnectedError: It has ended.
            TransportError: It may not have arrived.
        """
        await self._terminal.send(_END_OF_INPUT)

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._stdout is not None:
            raise InvalidArgumentError("the output goes to on_stdout; do not iterate as well")
        return self._chunks()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._terminal.output:
            if self._preamble is not None:
                chunk = self._preamble.strip(chunk)
                if self._preamble.is_over:
                    self._preamble = None
            if chunk:
                yield chunk
        if self._preamble is not None:
            preamble, self._preamble = self._preamble, None
            if preamble.text:
                yield preamble.text


class _Preamble:
    """Remove the output of the shell before the command replaced it.

    A process that was attached to may be past it: then its output does not begin at byte 0, and is
    passed on at once.
    """

    def __init__(self, terminal: Terminal, *, fresh: bool) -> None:
        self.text = b""
        self.is_over = False
        self._terminal = terminal
        self._fresh = fresh

    def strip(self, chunk: bytes) -> bytes:
        """Return the part of `chunk` that the command wrote."""
        self.text += chunk
        _, mark, rest = self.text.partition(_START_MARK)
        incomplete = (self._fresh or self._terminal.start == 0) and len(self.text) < _MAX_PREAMBLE
        if mark or not incomplete:
            self.is_over = True
            return rest if mark else self.text
        return b""


class _StderrPipe:
    """The standard error of one process, from a named pipe in its session.

    Args:
        reader: The process that reads the pipe.
        path: The path of the pipe in the session.
        callback: Gets what comes out of it.
    """

    def __init__(
        self,
        reader: AsyncProcess,
        path: str,
        callback: Callable[[bytes], Awaitable[None] | None],
    ) -> None:
        self._reader = reader
        self._path = path
        self._callback = callback
        # Written by the shell of the process at its end. The end of the pipe comes later, if at
        # all: when the last process in the background has closed it.
        self._mark = SequenceFinder(secrets.token_hex(16).encode())
        self._delivery: Delivery
        self._end: asyncio.Task[None]

    @classmethod
    async def open(
        cls, client: PtyClient, callback: Callable[[bytes], Awaitable[None] | None]
    ) -> _StderrPipe | None:
        """Make a pipe with a reader; return None in a session that cannot have one."""
        path = f"/tmp/.agentbay-{secrets.token_hex(8)}"  # noqa: S108  # in the session; random
        line = f"mkfifo -m 600 {path} && echo && exec cat {path}"
        reader = await start_process(client, line, None, {})
        pipe, first = cls(reader, path, callback), b""
        try:
            with anyio.move_on_after(_READER_TIMEOUT):
                async with aclosing(reader._chunks()) as chunks:
                    first = await anext(chunks, b"")
        finally:
            # The empty line comes when the pipe is there, and before anything can be in it.
            if first != b"\n":
                await pipe.abandon()
        return pipe if first == b"\n" else None

    def redirected(self, body: str) -> str:
        """Return the shell code that writes its standard error to the pipe."""
        mark = self._mark.sequence.decode()
        # A subshell, because the command may exit.
        return (
            f"exec 2>{self._path}; rm -f {self._path}; ({body}); c=$?; "
            f"printf %s {mark} >&2; exit $c"
        )

    def deliver(self, process: AsyncProcess, terminal: Terminal) -> None:
        """Call the callback with everything, until shortly after the end of the process."""
        self._delivery = Delivery(
            process, self._reader._terminal, self._until_mark, self._callback, "on_stderr"
        )
        self._end = asyncio.create_task(self._close(terminal))

    @property
    def tail(self) -> bytes:
        """The last bytes that came out of it."""
        return self._reader._terminal.tail

    async def finish(self, timeout: float | None) -> None:
        """Wait until the callback has got everything."""
        await self._delivery.finish(timeout)

    async def _until_mark(self) -> AsyncIterator[bytes]:
        async for chunk in self._reader:
            text, is_over = self._mark.feed(chunk)
            if text:
                yield text
            if is_over:
                return
        if self._mark.rest:
            yield self._mark.rest

    async def _close(self, terminal: Terminal) -> None:
        """End the reader when the process has ended, and with it the delivery."""
        await asyncio.wait([terminal.exit])
        await self._delivery.finish(_DRAIN)
        await self.abandon()

    async def abandon(self) -> None:
        """End the reader, unless it has ended."""
        if self._reader._terminal.is_connected:
            await kill_quietly(self._reader._terminal)


async def start_process(
    client: PtyClient,
    command: str,
    cwd: str | None,
    envs: Mapping[str, str],
    *,
    on_stdout: Callable[[bytes], Awaitable[None] | None] | None = None,
    on_stderr: Callable[[bytes], Awaitable[None] | None] | None = None,
    reads_input: bool = True,
) -> AsyncProcess:
    """Start a command; see :meth:`AsyncCommand.start`."""
    params: dict[str, Any] = {
        # Wide, because programs and line editors wrap lines at the width of the terminal.
        "cols": 500,
        "rows": 24,
        "shell": "/bin/sh",
        "envs": {"TERM": "dumb", **envs, "AGENTBAY_COMMAND": command},
    }
    if cwd is not None:
        params["cwd"] = cwd
    pipe = None if on_stderr is None else await _StderrPipe.open(client, on_stderr)
    body = _BODY if pipe is None else pipe.redirected(_BODY)
    try:
        terminal = await _start(client, params, body if reads_input else f"exec </dev/null; {body}")
    except BaseException:
        if pipe is not None:
            await pipe.abandon()
        raise
    return AsyncProcess(terminal, fresh=True, on_stdout=on_stdout, pipe=pipe)


async def kill_process(process: AsyncProcess) -> None:
    """Kill a process that its caller has given up; a failure is logged only."""
    await kill_quietly(process._terminal)


async def _start(client: PtyClient, params: dict[str, Any], body: str) -> Terminal:
    terminal = await client.create(params)
    try:
        await terminal.send(_START_LINE.format(body=body))
    except BaseException:
        # Its shell may wait for the start line for ever.
        await kill_quietly(terminal)
        raise
    return terminal


async def attach_process(client: PtyClient, process_id: str) -> AsyncProcess:
    """Attach to a running process; see :meth:`AsyncCommand.attach`."""
    return AsyncProcess(await client.connect(process_id), fresh=False)
