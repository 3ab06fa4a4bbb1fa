"""Run a command in the background of a session, and pass its output on while it runs."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias

from agentbay_async.errors import AgentBayError
from agentbay_async.models.commands import CommandOutput
from agentbay_async.services._shell import command_failure, command_timed_out
from agentbay_async.services._tool_calls import MAX_OUTPUT
from agentbay_async.services.process import kill_process, start_process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentbay_async.services._pty.client import PtyClient
    from agentbay_async.services.process import AsyncProcess

    TextCallback: TypeAlias = "Callable[[str], Awaitable[None] | None] | None"

# Seconds that a killed command has for the rest of its output.
_DRAIN = 5.0


async def call_with_text(callback: TextCallback, text: str) -> None:
    """Call a callback with some output, unless there is none."""
    awaitable = callback(text) if callback is not None and text else None
    if awaitable is not None:
        await awaitable


async def run_streamed(
    client: PtyClient,
    session_id: str,
    command: str,
    limit: float,
    cwd: str | None,
    envs: Mapping[str, str],
    callbacks: tuple[TextCallback, TextCallback],
) -> CommandOutput:
    """Run a command, call the callbacks with its output, and return that.

    Raises:
        CommandError: It ended with an exit code other than 0, or ran out of time.
        AgentBayError: It could not be run.
        Exception: What a callback raised.
    """
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    stdout, stderr = (_Stream(callback, failed) for callback in callbacks)
    process = await start_process(
        client,
        command,
        cwd,
        envs,
        on_stdout=stdout.take,
        on_stderr=stderr.take,
        reads_input=False,
    )
    code: int | None = None
    try:
        code = await _wait(process, failed, limit)
    finally:
        if process.exit_code is None:
            await kill_process(process)
    if code is None:
        with contextlib.suppress(AgentBayError):
            await process.wait(_DRAIN)
    texts = stdout.text(), stderr.text()
    output = CommandOutput(*texts, code or 0, truncated=stdout.is_cut or stderr.is_cut)
    if code is None:
        raise command_timed_out(output, "", session_id, limit)
    if code != 0:
        raise command_failure(output, "", session_id, process.hint)
    return output


async def _wait(
    process: AsyncProcess, failed: asyncio.Future[Exception], limit: float
) -> int | None:
    """Return the exit code when all output was passed on; None if the time is over before.

    Raises:
        Exception: What a callback raised.
        AgentBayError: The connection is lost.
    """
    ended = asyncio.create_task(process.wait())
    either: list[asyncio.Future[Any]] = [ended, failed]
    try:
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if process.exit_code is not None:
            # In time; a callback may take longer.
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            raise failed.result()
        return ended.result() if ended.done() else None
    finally:
        ended.cancel()


class _Stream:
    """One of the two streams: the beginning of its text, and the callback for all of it.

    Attributes:
        is_cut: Whether there was more text than a result keeps.
    """

    def __init__(self, callback: TextCallback, failed: asyncio.Future[Exception]) -> None:
        self._callback = callback
        self._failed = failed
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces: list[str] = []
        self._room = MAX_OUTPUT
        self.is_cut = False

    async def take(self, chunk: bytes) -> None:
        """Pass a chunk on, and keep it if there is room; the first error ends the run."""
        if self._failed.done():
            return
        try:
            text = self._decoder.decode(chunk)
            self._keep(text)
            await call_with_text(self._callback, text)
        except Exception as error:
            if not self._failed.done():
                self._failed.set_result(error)

    def _keep(self, text: str) -> None:
        kept = text[: self._room]
        self.is_cut = self.is_cut or len(kept) < len(text)
        if kept:
            self._pieces.append(kept)
            self._room -= len(kept)

    def text(self) -> str:
        """Return what was kept."""
        self._keep(self._decoder.decode(b"", final=True))
        return "".join(self._pieces)
