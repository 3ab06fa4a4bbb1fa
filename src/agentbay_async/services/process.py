"""Background processes of a session.

The protocol has none: a command ends with the call that waits for it. It has terminals, which
outlive a call. So a process here is a terminal whose shell replaces itself with the command, with
echo turned off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async.services._pty.client import kill_quietly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta

    from agentbay_async.services._pty.client import PtyClient
    from agentbay_async.services._pty.terminal import Terminal

# The shell writes this just before the command replaces it; everything before is prompt and echo.
# The echo of the line itself does not match, because it spells the control characters as escapes.
_START_MARK = b"\x01agentbay\x02"
# The command travels in a variable: a typed line has a length limit, and may be echoed.
_START_LINE = (
    r"stty -echo -onlcr; printf '\001agentbay\002'; "
    """exec /bin/sh -c 'c=$AGENTBAY_COMMAND; unset AGENTBAY_COMMAND; eval "$c"'\n"""
)
_END_OF_INPUT = b"\x04"
# If the mark has not come after this many bytes, the shell did not understand the line. Its output
# is then passed on, because it says why.
_MAX_PREAMBLE = 64 * 1024


class AsyncProcess:
    """A command in the background of a session. It outlives this program.

    It runs in a terminal. So standard output and standard error are one stream, in the order of
    writing; it reads lines of at most 4095 bytes; and it may behave as if a person were watching,
    for example by using colors. It ends by itself, by :meth:`kill`, or with the session.

    Iterate over it for its output, in chunks as they arrive. Methods return plain values and raise
    errors.

    Example:
        ::

            process = await session.command.start("make all")
            async for chunk in process:
                print(chunk.decode(), end="")
            print(await process.wait())
    """

    __slots__ = ("__weakref__", "_preamble", "_terminal")

    def __init__(self, terminal: Terminal, *, fresh: bool) -> None:
        self._terminal = terminal
        self._preamble: _Preamble | None = _Preamble(terminal, fresh=fresh)

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

    async def wait(self, timeout: float | timedelta | None = None) -> int:
        """Wait for its end and return the exit code.

        Args:
            timeout: Seconds (or a timedelta) to wait; ``None`` waits for as long as it runs.

        Raises:
            OperationTimeoutError: It did not end in time; it goes on.
            TransportError: The connection is lost, so the exit code is not known.
        """
        return await self._terminal.wait(timeout)

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

    async def __aiter__(self) -> AsyncIterator[bytes]:
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


async def start_process(
    client: PtyClient, command: str, cwd: str | None, envs: Mapping[str, str]
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
    terminal = await client.create(params)
    try:
        await terminal.send(_START_LINE)
    except BaseException:
        # Its shell may wait for the start line for ever.
        await kill_quietly(terminal)
        raise
    return AsyncProcess(terminal, fresh=True)


async def attach_process(client: PtyClient, process_id: str) -> AsyncProcess:
    """Attach to a running process; see :meth:`AsyncCommand.attach`."""
    return AsyncProcess(await client.connect(process_id), fresh=False)
