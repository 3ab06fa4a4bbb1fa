"""One command under way in a session, from its request to its output."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentbay_local.sandbox.base import Completed
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.output import Stream
from agentbay_local.sandbox.host.replies import exit_code
from agentbay_local.sandbox.inside.wire import memory_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.host.agent_client import AgentClient

__all__ = ["CommandRun"]


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
                fds = self._streams(stdin, limit, undo)
                self._call = channel.begin("run", fields, fds)
            except OSError as error:
                raise SandboxError(f"a command cannot be started: {error.strerror}") from error
            self._undo = undo.pop_all()

    async def completed(self) -> Completed:
        """Wait for the end and collect what was written."""
        reply = await self._call.answer(None)
        reply.close()
        self._exited = True
        code = exit_code(reply.fields)
        self._release()
        return Completed(
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
        self._channel.tell("kill", {"run": self._call.id, "signal": int(signal.SIGKILL)})

    def close(self) -> None:
        """Free everything; a command that has not ended is killed. Repeatable."""
        if not self._exited:
            self._exited = True
            self.kill()
        with self._call:
            self._undo.close()

    def _streams(self, stdin: bytes, limit: int, undo: ExitStack) -> list[int]:
        self._stdout = Stream(limit)
        undo.callback(self._stdout.close)
        self._stderr = Stream(limit)
        undo.callback(self._stderr.close)
        fds = [self._stdout.write_end, self._stderr.write_end]
        if stdin:
            fds.append(memory_file(stdin))
            undo.callback(os.close, fds[2])
        return fds

    def _release(self) -> None:
        """Take the rest of the output, and leave the streams that others hold to the agent."""
        held = []
        for stream in (self._stdout, self._stderr):
            stream.handed_over()
            fd = stream.finish()
            if fd is not None:
                held.append(fd)
        if held:
            self._channel.tell("drain", {}, held)
