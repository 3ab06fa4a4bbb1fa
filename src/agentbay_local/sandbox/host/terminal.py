"""A terminal of a session, seen from outside: what a screen and a keyboard would be."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING

from agentbay_local.sandbox import checks
from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.pipes import CHUNK, Pipe
from agentbay_local.sandbox.host.spawned_process import AgentProcess, start_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.host.agent_client import AgentClient, PendingReply, Reply

__all__ = ["Terminal", "open_host_terminal", "open_terminal"]


class Terminal(AgentProcess):
    """A program on a terminal.

    When the program has ended, `read` still returns all that was written before, then b"". So
    nothing is lost when one reads to the end, before or after `wait`. A background process may
    hold the terminal for longer: it is hung up by `close`.
    """

    def __init__(
        self, channel: AgentClient, ending: PendingReply, reply: Reply, master: int
    ) -> None:
        super().__init__(channel, ending, reply)
        self._pipe = Pipe(master, "terminal")
        # The system passes on what was written before it lets a reader find the terminal empty,
        # so once the end is known, empty means that all was read.
        self._ended.add_done_callback(lambda _: self._pipe.finish())

    def fileno(self) -> int:
        """Return the master end, for those who watch it themselves; -1 when closed."""
        return self._pipe.fileno()

    async def read(self, most: int = CHUNK) -> bytes:
        """Return what was written to the screen, waiting for the first byte; b"" at the end."""
        return await self._pipe.read(most)

    async def write(self, data: bytes) -> None:
        """Type something, waiting while nobody reads.

        Raises:
            SandboxOSError: The terminal was hung up or closed.
        """
        await self._pipe.write(data)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size; the program on it gets SIGWINCH.

        Args:
            columns: Width in characters, 1 to 500.
            rows: Height in lines, 1 to 500.
        """
        wide, high = checks.check_size("columns", columns), checks.check_size("rows", rows)
        try:
            _set_size(self.fileno(), wide, high)
        except (OSError, ValueError):  # closed meanwhile
            raise SandboxOSError(errno.EBADF, "terminal") from None

    async def close(self) -> None:
        """Kill what runs on it and free everything; bounded. Repeatable."""
        try:
            await super().close()
        finally:
            self._pipe.close()


async def open_terminal(
    channel: AgentClient, fields: Mapping[str, object], within: float
) -> Terminal:
    """Start a program on a new terminal of the session.

    Args:
        channel: The conversation with the session's agent.
        fields: The checked request.
        within: Seconds the start may take.
    """
    ending, reply = await start_process(channel, "terminal", fields, (), within)
    try:
        master = replies.take_terminal(reply)
    except BaseException:
        ending.close()
        raise
    try:
        return Terminal(channel, ending, reply, master)
    except BaseException:
        os.close(master)
        raise


async def open_host_terminal(
    channel: AgentClient, fields: Mapping[str, object], size: tuple[int, int], within: float
) -> Terminal:
    """Start a program on a terminal of the host, where the session has none of its own.

    Args:
        channel: The conversation with the session's agent.
        fields: The checked request.
        size: Columns and rows.
        within: Seconds the start may take.
    """
    master, slave = os.openpty()
    try:
        _set_size(master, *size)
        ending, reply = await start_process(channel, "terminal", fields, [slave], within)
        reply.close()
        return Terminal(channel, ending, reply, master)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)


def _set_size(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
