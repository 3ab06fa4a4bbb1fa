"""`ResidentProgram`: the program that carries out requests on a display, and stays between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess

__all__ = ["OUTPUT_LIMIT", "ResidentProgram", "read_answer"]

OUTPUT_LIMIT = 8 * 1024 * 1024
"""Bytes of the longest answer."""

_LONGEST_REASON = 600


class ResidentProgram:
    """A program in a session that reads requests and writes answers, each a line of JSON.

    It is started by the first request, and again after it has ended or failed to answer.

    Args:
        sandbox: The sandbox of the session.
        command: The program and its arguments.
        within: Seconds until a request fails.
    """

    def __init__(self, sandbox: Sandbox, command: Sequence[str], within: float) -> None:
        self._sandbox = sandbox
        self._command = command
        self._within = within
        self._turn = asyncio.Lock()
        self._process: SpawnedProcess | None = None
        self._ends: set[asyncio.Task[None]] = set()

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            ToolError: The answer is an error, or none comes.
        """
        async with self._turn:
            process = self._process
            if process is None or process.exited:
                process = self._process = await self._start()
            try:
                line = await asyncio.wait_for(_exchange(process, request), self._within)
            except BaseException as error:
                # The answer to this request must not be taken for that to the next one.
                self._process = None
                process.kill()
                if isinstance(error, asyncio.TimeoutError):
                    text = f"The desktop did not answer within {self._within:.0f} seconds"
                    raise ToolError(text) from None
                raise
        return read_answer(line)

    async def _start(self) -> SpawnedProcess:
        process = await self._sandbox.spawn(self._command)
        process.stderr.close()
        end = asyncio.create_task(_close_at_end(process))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        return process


async def _close_at_end(process: SpawnedProcess) -> None:
    try:
        with contextlib.suppress(SandboxError):
            await process.wait()
    finally:
        for pipe in (process.stdin, process.stdout):
            pipe.close()


async def _exchange(process: SpawnedProcess, request: Mapping[str, Any]) -> bytes:
    try:
        await process.stdin.write(compact_json(request).encode("utf-8", "surrogateescape") + b"\n")
    except SandboxOSError:
        raise ToolError("The desktop of this session was ended; call again") from None
    answer = bytearray()
    while not answer.endswith(b"\n"):
        part = await process.stdout.read()
        if not part:
            raise ToolError("The desktop of this session was ended; call again")
        answer += part
        if len(answer) > OUTPUT_LIMIT:
            raise ToolError("The desktop of this session sent too long an answer")
    return bytes(answer)


def read_answer(text: bytes) -> dict[str, Any]:
    """Return the answer of a program.

    Raises:
        ToolError: It is an error, or no answer.
    """
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ToolError("The desktop of this session sent an invalid answer")
    if "error" in answer:
        raise ToolError(f"{answer['error']!s:.{_LONGEST_REASON}}")
    return answer
