"""Long-running programs of a session, with pipes to their streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.sandbox.host.pipes import Pipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from agentbay_local.sandbox.host.agent_client import AgentClient, PendingReply, Reply

__all__ = ["AgentProcess", "SpawnedProcess", "spawn_process", "start_process"]

KILL_GRACE = 5.0
"""Seconds a killed program may take to be reported before it is no longer waited for."""


class AgentProcess:
    """A program of a session that the agent has started.

    Args:
        channel: The conversation with the session's agent.
        ending: The reply that comes when the program ends; this object closes it.
        reply: The answer to the start.

    Attributes:
        pid: Its process id inside the session.
    """

    def __init__(self, channel: AgentClient, ending: PendingReply, reply: Reply) -> None:
        self.pid = reply.integer("pid")
        self._channel = channel
        self._id = ending.id
        self._ended = asyncio.ensure_future(_wait_for_exit(ending))
        # Retrieved, so that asyncio logs nothing when the sandbox ends and nobody waits.
        self._ended.add_done_callback(lambda end: end.cancelled() or end.exception())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def exited(self) -> bool:
        """Whether the program, or its whole session, has ended."""
        return self._ended.done()

    async def wait(self) -> int:
        """Wait for the end; several callers may wait.

        Returns:
            The exit code; 128 + n if signal n ended it.

        Raises:
            SandboxGone: The session ended first.
        """
        return await asyncio.shield(self._ended)

    def signal(self, number: int) -> None:
        """Signal its process group; do nothing if it has ended."""
        if not self.exited:
            self._channel.notify("kill", {"run": self._id, "signal": int(number)})

    def kill(self) -> None:
        """Kill it and every process of its kernel session (see setsid)."""
        if not self.exited:
            self._channel.notify("kill", {"run": self._id, "session": True})

    async def close(self) -> None:
        """Kill it if it still runs, and wait a few seconds for its end. Repeatable."""
        self.kill()
        with contextlib.suppress(SandboxError, asyncio.TimeoutError):
            await asyncio.wait_for(self.wait(), KILL_GRACE)


class SpawnedProcess(AgentProcess):
    """A program whose three streams are pipes.

    Attributes:
        stdin: Its standard input; close it to send the end of file.
        stdout: Its standard output.
        stderr: Its standard error. Read both, or the program blocks when a pipe is full.
    """

    def __init__(
        self,
        channel: AgentClient,
        ending: PendingReply,
        reply: Reply,
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> None:
        super().__init__(channel, ending, reply)
        self.stdin = Pipe(stdin, "standard input")
        self.stdout = Pipe(stdout, "standard output")
        self.stderr = Pipe(stderr, "standard error")

    async def close(self) -> None:
        """Kill it if it still runs, wait some seconds for its end, close its pipes. Repeatable."""
        try:
            await super().close()
        finally:
            for pipe in (self.stdin, self.stdout, self.stderr):
                pipe.close()


async def spawn_process(
    channel: AgentClient, fields: Mapping[str, object], fds: Sequence[int], within: float
) -> SpawnedProcess:
    """Start a program with pipes and return it.

    Args:
        channel: The conversation with the session's agent.
        fields: The checked request.
        fds: Descriptors that the program gets as 3, 4, ...; the caller closes its own copies.
        within: Seconds the start may take.
    """
    with ExitStack() as theirs, ExitStack() as ours:
        try:
            pairs = [_make_pipe(ours, theirs, written) for written in (True, True, False)]
        except OSError as error:
            raise SandboxError(f"a program cannot be started: {error.strerror}") from error
        given = [far for _, far in pairs]
        ending, reply = await start_process(channel, "spawn", fields, [*given, *fds], within)
        reply.close()
        stdout, stderr, stdin = (near for near, _ in pairs)
        program = SpawnedProcess(channel, ending, reply, stdin, stdout, stderr)
        ours.pop_all()
        return program


async def start_process(
    channel: AgentClient,
    operation: str,
    fields: Mapping[str, object],
    fds: Sequence[int],
    within: float,
) -> tuple[PendingReply, Reply]:
    """Start a program; return the pending reply to its end, and the answer to its start."""
    ending = channel.expect_reply()
    try:
        with channel.begin(operation, {**fields, "ending": ending.id}, fds) as call:
            return ending, await call.wait(within)
    except SandboxOSError:
        ending.forget()  # the agent has started nothing, so nothing will end
        raise
    except BaseException:
        # The program may have been started although the caller no longer waits for it.
        channel.notify("kill", {"run": ending.id, "session": True})
        ending.close()
        raise


def _make_pipe(ours: ExitStack, theirs: ExitStack, written: bool) -> tuple[int, int]:
    """Return our end and the program's end of a new pipe, which it writes or reads."""
    read, write = os.pipe2(os.O_CLOEXEC)
    near, far = (read, write) if written else (write, read)
    ours.callback(os.close, near)
    theirs.callback(os.close, far)
    return near, far


async def _wait_for_exit(ending: PendingReply) -> int:
    with ending:
        reply = await ending.wait(None)
        reply.close()
        return reply.integer("exit", 0, 255)
