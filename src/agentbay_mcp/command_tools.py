"""Tools that run things: commands and code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

# The library reads these annotations at run time.
from mcp.server.mcpserver import Context, Image

from agentbay_async import AgentBayError, CodeError
from agentbay_async.errors import PtyNotConnectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async import AsyncProcess, CodeOutput
    from agentbay_mcp.open_sessions import OpenSessions

__all__ = ["CommandTools"]

_DEFAULT_SECONDS = 300
_CODE_SECONDS = 50
# Bytes of output that a result has: its end, because errors come last.
_OUTPUT_KEPT = 64 * 1024
# Characters of one progress message, and seconds between two.
_MESSAGE = 2000
_PAUSE = 0.25
_KILL_WITHIN = 10.0


class CommandTools:
    """The tools.

    Args:
        sessions: The sessions of the server.
    """

    def __init__(self, sessions: OpenSessions) -> None:
        self._sessions = sessions

    def tools(self) -> list[Callable[..., Any]]:
        """Return the functions to offer."""
        return [self.run_command, self.run_code]

    async def run_command(
        self,
        session_id: str,
        command: str,
        ctx: Context,
        cwd: str | None = None,
        envs: dict[str, str] | None = None,
        timeout_seconds: int = _DEFAULT_SECONDS,
    ) -> dict[str, Any]:
        """Run a shell command in a session and wait for its end; its output streams as progress.

        Standard output and standard error come as one stream. Cancelling the call ends the command.

        Args:
            session_id: The session.
            command: A line for sh.
            ctx: The request, which receives the progress.
            cwd: The working directory; by default the home directory.
            envs: Variables to add to its environment.
            timeout_seconds: It is ended after this time.
        """
        began = time.monotonic()
        process = await self._sessions.get(session_id).command.start(command, cwd, envs)
        output = _Output()
        code: int | None = None
        try:
            with anyio.move_on_after(timeout_seconds):
                async for chunk in process:
                    output.add(chunk)
                    await output.report(ctx)
                code = await process.wait()
        finally:
            if code is None:
                await _kill(process)
        self._sessions.log(
            session_id,
            "run_command",
            command=command[:_MESSAGE],
            exit_code=code,
            seconds=round(time.monotonic() - began, 3),
        )
        return {
            "exit_code": code,
            "output": output.text(),
            "timed_out": code is None,
            "bytes_left_out": output.left_out,
        }

    async def run_code(
        self,
        session_id: str,
        code: str,
        language: str = "python",
        timeout_seconds: int = _CODE_SECONDS,
    ) -> list[str | Image]:
        """Run code in an interpreter of the session, which keeps its variables between calls.

        Returns the output as text and pictures as images. The session needs the image code_latest.

        Args:
            session_id: The session.
            code: The code.
            language: "python", "javascript", "r" or "java".
            timeout_seconds: It is ended after this time.
        """
        session = self._sessions.get(session_id)
        result = await session.code.run_code(code, language, timeout=timeout_seconds)
        self._sessions.log(session_id, "run_code", language=language, ok=result.success)
        if result.error is not None and not isinstance(result.error, CodeError):
            raise result.error
        shown: list[str | Image] = [text for text in (result.stdout, result.stderr) if text]
        for one in result.results:
            shown += _content(one)
        if isinstance(result.error, CodeError):
            shown.append(result.error.traceback or str(result.error))
        return shown or ["(no output)"]


def _content(output: CodeOutput) -> list[str | Image]:
    from base64 import b64decode

    for format in ("png", "jpeg"):
        picture = getattr(output, format)
        if picture:
            return [Image(data=b64decode(picture), format=format)]
    text = output.text or output.markdown or output.html or output.latex
    return [text] if text else []


async def _kill(process: AsyncProcess) -> None:
    """End a command that the caller has given up; also while the call is being cancelled."""
    with anyio.move_on_after(_KILL_WITHIN, shield=True):
        try:
            await process.kill()
        except PtyNotConnectedError:
            # It has ended by itself.
            return
        except AgentBayError as error:
            raise AgentBayError(
                f"the command may still run: {error}", hint="Delete the session to be sure"
            ) from error


class _Output:
    """The end of a command's output, and what of it was reported."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._total = 0
        self._reported = 0
        self._next_report = 0.0

    def add(self, chunk: bytes) -> None:
        self._kept += chunk
        self._total += len(chunk)
        if len(self._kept) > 2 * _OUTPUT_KEPT:
            del self._kept[:-_OUTPUT_KEPT]

    async def report(self, context: Context) -> None:
        """Send the newest output as progress, a few times a second."""
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + _PAUSE
        new = min(self._total - self._reported, _MESSAGE)
        self._reported = self._total
        message = bytes(self._kept[len(self._kept) - new :]).decode("utf-8", "replace")
        await context.report_progress(self._total, message=message)

    @property
    def left_out(self) -> int:
        return max(0, self._total - _OUTPUT_KEPT)

    def text(self) -> str:
        return bytes(self._kept[-_OUTPUT_KEPT:]).decode("utf-8", "replace")
