"""Programs that a session keeps running while the service talks to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.packets import get_integer
from agentbay_local.sandbox.host.pipes import Pipe
from agentbay_local.sandbox.host.replies import parse_exit_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from agentbay_local.sandbox.host.agent_client import AgentClient, PendingReply, Reply

__all__ = ["AgentProcess", "SpawnedProcess", "spawn_process", "start_process"]

KILL_GRACE = 5.0
"""Seconds a killed program may take to be reported before it is no longer waited for."""


class AgentProcess:
    """A program of a session, from its start to the news of its end.

    Args:
        channel: The conversation with the session's agent.
        ending: The call that is answered when the program ends; owned by this object.
        reply: What the agent said when it had started the program.

    Attributes:
        pid: Its number inside the session.
    """

    def __init__(self, channel: AgentClient, ending: PendingReply, reply: Reply) -> None:
        self.pid = get_integer(reply.fields, "pid")
        self._channel = channel
        self._id = ending.id
        self._ended = asyncio.ensure_future(_wait_for_exit(ending))
        # Looked at, so that nothing is logged when the sandbox dies and nobody waits.
        self._ended.add_done_callback(lambda end: end.cancelled() or end.exception())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def exited(self) -> bool:
        """The program, or its whole session, has ended."""
        return self._ended.done()

    async def wait(self) -> int:
        """Wait for the end; anyone may, any number of times.

        Returns:
            What it returned; 128 + n when signal n ended it.

        Raises:
            SandboxGone: The session ended first.
        """
        return await asyncio.shield(self._ended)

    def signal(self, number: int) -> None:
        """Signal its process group; nothing happens when it has ended."""
        if not self.exited:
            self._channel.notify("kill", {"run": self._id, "signal": int(number)})

    def kill(self) -> None:
        """Kill it and every process that has not left its kernel session."""
        if not self.exited:
            self._channel.notify("kill", {"run": self._id, "session": True})

    async def close(self) -> None:
        """Kill it if it runs, and free everything; bounded. Repeatable."""
        self.kill()
        with contextlib.suppress(SandboxError, asyncio.TimeoutError):
            await asyncio.wait_for(self.wait(), KILL_GRACE)


class SpawnedProcess(AgentProcess):
    """A program whose streams are pipes; what it is given as 3, 4, ... stays the caller's.

    Attributes:
        stdin: What it reads; close it to let the program see the end.
        stdout: What it writes.
        stderr: What it complains. Read both, or the program stands still when a pipe is full.
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
        """Kill it if it runs, and free everything, its pipes too; bounded. Repeatable."""
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
        fds: What the program gets beside its streams.
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
    """Ask for a start; return the call that its end will answer, and the news of its start."""
    ending = channel.expect_reply()
    try:
        with channel.begin(operation, {**fields, "ending": ending.id}, fds) as call:
            return ending, await call.wait(within)
    except BaseException:
        # Whatever was started for somebody who no longer waits is ended.
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
        return parse_exit_code(reply.fields)
