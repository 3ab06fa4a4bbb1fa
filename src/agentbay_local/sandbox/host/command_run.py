"""One command under way in a session, from its request to its output."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import signal
import termios
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentbay_local.sandbox.base import CompletedCommand
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.replies import parse_exit_code
from agentbay_local.sandbox.inside.wire import memory_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.host.agent_client import AgentClient

__all__ = ["CommandRun", "OutputStream"]


class CommandRun:
    """A started command; `close` it in any case, which kills it when it has not ended.

    Args:
        channel: The conversation with the session's agent.
        fields: The checked request.
        stdin: What it reads; given as a file, so nobody has to pump it.
        limit: Bytes kept of each output stream.

    Attributes:
        excess: To be set when the session passes a limit while the command runs.
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
        """Wait for the end and collect what was written."""
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
        """Kill its process group; `completed` then returns what was written until now."""
        self._killed = True
        self._channel.notify("kill", {"run": self._call.id, "signal": int(signal.SIGKILL)})

    def close(self) -> None:
        """Free everything; a command that has not ended is killed. Repeatable."""
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
        """Take the rest of the output, and leave the streams that others hold to the agent."""
        held = []
        for stream in (self._stdout, self._stderr):
            stream.close_write_end()
            fd = stream.read_available()
            if fd is not None:
                held.append(fd)
        if held:
            self._channel.notify("drain", {}, held)


CHUNK = 256 * 1024

REST = 0.003
"""Seconds between two reads of what is thrown away: a flood costs its writer time and not us."""


class OutputStream:
    """One output stream of one command, read on the running loop as it is written.

    Args:
        limit: Bytes kept; what comes after them is read and thrown away, so that the command can
            go on.

    Attributes:
        write_end: To be handed to the command, then closed with `close_write_end`.
        truncated: More than `limit` bytes came.
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
        """Take what the pipe holds now, without waiting for more.

        Returns:
            The reading end when something still holds the other one, else None.
        """
        if self._reading:
            # Only what is there already: a background writer must not keep us here.
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
        """What was kept so far."""
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
