"""One command of a session, from its request to its output."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from contextlib import ExitStack
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.inside.wire import memory_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentbay_local.sandbox.host.agent_client import AgentClient

__all__ = ["CommandRun", "CompletedCommand", "OutputStream", "PausableTimer"]

CHUNK = 256 * 1024

REST = 0.003
"""Seconds between two reads of discarded output: a flood slows its writer down, not the service."""


@attrs.frozen
class CompletedCommand:
    """The result of a command.

    Attributes:
        exit_code: Its exit code; 128 + n if signal n ended it.
        stdout: Its standard output, up to the output limit.
        stderr: Its standard error, up to the output limit.
        timed_out: It was killed because its timeout expired.
        truncated: A stream was longer than the limit; the rest was thrown away.
        excess: The limit that the session exceeded while the command ran, and the consequence, as a
            sentence. Empty if it exceeded none.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False
    excess: str = ""


class CommandRun:
    """A running command. Always `close` it, which kills it if it still runs.

    Args:
        channel: The conversation with the session's agent.
        fields: The checked request.
        stdin: The content of its standard input. It is passed as a file, not through a pipe.
        limit: What is kept of each output stream, as `size` measures it.
        size: Measures a piece of output.

    Attributes:
        excess: Set it when the session exceeds a limit while the command runs.
    """

    def __init__(
        self,
        channel: AgentClient,
        fields: Mapping[str, object],
        stdin: bytes,
        limit: int,
        size: Callable[[bytes], int] = len,
    ) -> None:
        self._channel = channel
        self.excess = ""
        self._streams: list[OutputStream] = []
        self._killed = False
        self._exited = False
        # The descriptors that the command gets stay open here until the request is sent.
        with ExitStack() as ours, ExitStack() as theirs:
            try:
                for _ in range(2):
                    stream = OutputStream(limit, size)
                    ours.callback(stream.close)
                    theirs.callback(os.close, stream.write_end)
                    self._streams.append(stream)
                fds = [stream.write_end for stream in self._streams]
                if stdin:
                    fds.append(memory_file(stdin))
                    theirs.callback(os.close, fds[2])
                self._call = channel.begin("run", fields, fds)
            except OSError as error:
                raise SandboxError(f"a command cannot be started: {error.strerror}") from error
            self._ours, self._theirs = ours.pop_all(), theirs.pop_all()

    async def wait(self) -> CompletedCommand:
        """Wait for the end and collect the output."""
        reply = await self._call.wait(None)
        self._exited = True
        code = reply.integer("exit", 0, 255)
        # Without the copies here, a stream ends with the last process that writes to it.
        self._theirs.close()
        held = [stream.read_available() for stream in self._streams]
        open_ends = [fd for fd in held if fd is not None]
        if open_ends:
            # Background processes hold them: the agent drains them, or their writers would block.
            self._channel.notify("drain", {}, open_ends)
        stdout, stderr = self._streams
        return CompletedCommand(
            exit_code=code,
            stdout=bytes(stdout.kept),
            stderr=bytes(stderr.kept),
            timed_out=self._killed,
            truncated=stdout.truncated or stderr.truncated,
            excess=self.excess,
        )

    def kill(self) -> None:
        """Kill all that it started; `wait` then returns the output until now.

        Its kernel session, not only its process group: timeout(1) and shells with job control put
        their commands into groups of their own. A program that called setsid(1) is on its own.
        """
        self._killed = True
        self._channel.notify("kill", {"run": self._call.id, "session": True})

    def close(self) -> None:
        """Kill the command if it still runs, and close its pipes. Repeatable."""
        if not self._exited:
            self._exited = True
            self.kill()
            self._call.close()
        self._theirs.close()
        self._ours.close()


class OutputStream:
    """One output stream of one command, read on the running loop as it is written.

    Args:
        limit: What is kept; the rest is read and thrown away, so that the command can go on.
        size: Measures a piece of output against `limit`; its bytes by default.

    Attributes:
        write_end: The end of its pipe for the command; the caller closes it.
        kept: The bytes kept so far.
        truncated: There was more than `limit`.
    """

    def __init__(self, limit: int, size: Callable[[bytes], int] = len) -> None:
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._loop = asyncio.get_running_loop()
        self._room = limit
        self._size = size
        self._reading = True
        self._rest: asyncio.TimerHandle | None = None
        self.kept = bytearray()
        self.truncated = False
        self._loop.add_reader(self._read_end, self._read, CHUNK)

    def read_available(self) -> int | None:
        """Read what the pipe holds now, without waiting for more.

        Returns:
            The read end if a process still holds the write end, else None.
        """
        if self._reading:
            # Only data that has arrived already, or a background writer could keep this loop busy.
            waiting = array.array("i", [0])
            fcntl.ioctl(self._read_end, termios.FIONREAD, waiting)
            self._read(waiting[0] or 1)
        if self._reading:
            self._read(1)
        return self._read_end if self._reading else None

    def close(self) -> None:
        """Stop reading. Repeatable."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._read_end)
            if self._rest is not None:
                self._rest.cancel()
            os.close(self._read_end)

    def _pause(self) -> None:
        if self._rest is None:
            self._loop.remove_reader(self._read_end)
            self._rest = self._loop.call_later(REST, self._continue)

    def _continue(self) -> None:
        self._rest = None
        self._loop.add_reader(self._read_end, self._read, CHUNK)

    def _read(self, size: int) -> None:
        try:
            data = os.read(self._read_end, size)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        if not self.truncated:
            self._keep(data)
        if self.truncated:
            self._pause()

    def _keep(self, data: bytes) -> None:
        """Keep as much of some output as there is room for."""
        size = self._size(data)
        while size > self._room:
            self.truncated = True
            data = data[: len(data) * self._room // size]
            size = self._size(data)
        self._room -= size
        self.kept += data


class PausableTimer:
    """Call back once, after some seconds without the time spent paused.

    Args:
        seconds: The time to wait.
        callback: Called on the running loop; may call `restart`.
    """

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._left = seconds
        self._handle: asyncio.TimerHandle | None = self._loop.call_later(seconds, callback)

    def restart(self, seconds: float, callback: Callable[[], None]) -> None:
        """Run again with another callback."""
        self.pause()
        self._left, self._callback = seconds, callback
        self.resume()

    def pause(self) -> None:
        """Stop the clock; to cancel the timer, never resume it."""
        if self._handle is not None:
            self._left = max(0.0, self._handle.when() - self._loop.time())
            self._handle.cancel()
            self._handle = None

    def resume(self) -> None:
        """Continue the clock."""
        if self._handle is None:
            self._handle = self._loop.call_later(self._left, self._callback)
