"""One command of a session, from its request to its output."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import signal
import termios
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.replies import parse_exit_code
from agentbay_local.sandbox.inside.wire import memory_file
from agentbay_local.sandbox.values import CompletedCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.host.agent_client import AgentClient

__all__ = ["CommandRun", "OutputStream"]


class CommandRun:
    """A running command. Always `close` it, which kills it if it still runs.

    Args:
        channel: The conversation with the session's agent.
        fields: The checked request.
        stdin: The content of its standard input. It is passed as a file, not through a pipe.
        limit: Bytes kept of each output stream.

    Attributes:
        excess: Set it when the session exceeds a limit while the command runs.
    """

    def __init__(
        self, channel: AgentClient, fields: Mapping[str, object], stdin: bytes, limit: int
    ) -> None:
        self._channel = channel
        self.excess = ""
        self._killed = False
        self._exited = False
        with ExitStack() as undo:
            try:
                fds = self._open_streams(stdin, limit, undo)
                self._call = channel.begin("run", fields, fds)
            except OSError as error:
                raise SandboxError(f"a command cannot be started: {error.strerror}") from error
            self._undo = undo.pop_all()

    async def wait(self) -> CompletedCommand:
        """Wait for the end and collect the output."""
        reply = await self._call.wait(None)
        reply.close()
        self._exited = True
        code = parse_exit_code(reply.fields)
        self._finish_streams()
        return CompletedCommand(
            exit_code=code,
            stdout=self._stdout.content,
            stderr=self._stderr.content,
            timed_out=self._killed,
            truncated=self._stdout.truncated or self._stderr.truncated,
            excess=self.excess,
        )

    def kill(self) -> None:
        """Kill its process group; `wait` then returns the output until now."""
        self._killed = True
        self._channel.notify("kill", {"run": self._call.id, "signal": int(signal.SIGKILL)})

    def close(self) -> None:
        """Kill the command if it still runs, and close its pipes. Repeatable."""
        if not self._exited:
            self._exited = True
            self.kill()
        with self._call:
            self._undo.close()

    def _open_streams(self, stdin: bytes, limit: int, undo: ExitStack) -> list[int]:
        self._stdout = OutputStream(limit)
        undo.callback(self._stdout.close)
        self._stderr = OutputStream(limit)
        undo.callback(self._stderr.close)
        fds = [self._stdout.write_end, self._stderr.write_end]
        if stdin:
            fds.append(memory_file(stdin))
            undo.callback(os.close, fds[2])
        return fds

    def _finish_streams(self) -> None:
        """Read the rest of the output; let the agent drain pipes that background processes hold."""
        open_ends = []
        for stream in (self._stdout, self._stderr):
            stream.close_write_end()
            fd = stream.read_available()
            if fd is not None:
                open_ends.append(fd)
        if open_ends:
            self._channel.notify("drain", {}, open_ends)


CHUNK = 256 * 1024

REST = 0.003
"""Seconds between two reads of discarded output: a flood slows its writer down, not the service."""


class OutputStream:
    """One output stream of one command, read on the running loop as it is written.

    Args:
        limit: Bytes kept; the rest is read and thrown away, so that the command can go on.

    Attributes:
        write_end: Pass it to the command, then call `close_write_end`.
        truncated: There were more than `limit` bytes.
    """

    def __init__(self, limit: int) -> None:
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self._limit = limit
        self._reading = True
        self._rest: asyncio.TimerHandle | None = None
        self.truncated = False
        self._listen()

    def close_write_end(self) -> None:
        """Close our copy of the writing end. Repeatable."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def read_available(self) -> int | None:
        """Read what the pipe holds now, without waiting for more.

        Returns:
            The read end if a process still holds the write end, else None.
        """
        if self._reading:
            # Only data that has arrived already, or a background writer could keep this loop busy.
            self._read(_waiting_bytes(self._read_end) or 1)
        if self._reading:
            self._read(1)
        return self._read_end if self._reading else None

    def close(self) -> None:
        """Stop reading. Repeatable."""
        self.close_write_end()
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._read_end)
            if self._rest is not None:
                self._rest.cancel()
            os.close(self._read_end)

    @property
    def content(self) -> bytes:
        """The bytes kept so far."""
        return bytes(self._kept)

    def _listen(self) -> None:
        self._rest = None
        self._loop.add_reader(self._read_end, self._read, CHUNK)

    def _pause(self) -> None:
        if self._rest is None:
            self._loop.remove_reader(self._read_end)
            self._rest = self._loop.call_later(REST, self._listen)

    def _read(self, size: int) -> None:
        try:
            data = os.read(self._read_end, size)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        room = self._limit - len(self._kept)
        self.truncated |= len(data) > room
        self._kept += data[:room]
        if self.truncated:
            self._pause()


def _waiting_bytes(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
