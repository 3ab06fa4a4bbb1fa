"""A terminal of a session, from outside: read its output, type, resize."""

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

    When the program has ended, `read` still returns all output written before, and then b"". So a
    reader loses nothing, before or after `wait`. A background process may keep the terminal open
    for longer; `close` hangs it up.
    """

    def __init__(
        self, channel: AgentClient, ending: PendingReply, reply: Reply, master: int
    ) -> None:
        super().__init__(channel, ending, reply)
        self._pipe = Pipe(master, "terminal")
        # The kernel delivers what was written before a reader finds the terminal empty. So once the
        # program has ended, an empty terminal means that all was read.
        self._ended.add_done_callback(lambda _: self._pipe.finish())

    def fileno(self) -> int:
        """Return the descriptor of the master end; -1 if closed."""
        return self._pipe.fileno()

    async def read(self, most: int = CHUNK) -> bytes:
        """Return output, waiting for the first byte; b"" at the end."""
        return await self._pipe.read(most)

    async def write(self, data: bytes) -> None:
        """Type something, waiting while the program does not read.

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

    def size(self) -> tuple[int, int] | None:
        """Return the columns and rows that programs on it see; None once it is closed.

        Those programs can set any size; more than a client may ask for is cut.
        """
        try:
            columns, rows = os.get_terminal_size(self.fileno())
        except (OSError, ValueError):
            return None
        largest = checks.LARGEST_TERMINAL
        return min(max(columns, 1), largest), min(max(rows, 1), largest)

    async def close(self) -> None:
        """Kill the program, wait a few seconds for its end, and hang up. Repeatable."""
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
    """Start a program on a terminal of the host, for sessions without their own devpts.

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
