"""Commands of any length in a session, with both streams apart, as frameworks run them."""

from __future__ import annotations

import logging
import shlex
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import attrs

from agentbay_async import (
    AgentBayError,
    CommandError,
    InvalidArgumentError,
    OperationTimeoutError,
)
from agentbay_async.errors import PtyNotConnectedError
from agentbay_integrations._sessions import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async import AsyncProcess, AsyncSession, CommandResult

__all__ = ["FinishedCommand", "end_of", "finished", "run_command"]

logger = logging.getLogger("agentbay")

# Seconds for a command without a limit: a session lives no longer.
_LONGEST = 24 * 3600.0
# The exit code of a command that was killed when its time was over, as of command.run().
_TIMED_OUT = 124
# Seconds that a command may take in any session.
_ONE_REQUEST = 50.0
# Seconds between two signs of life while a command runs, less than any idle time, which is counted
# in minutes.
_SIGN_OF_LIFE = 30.0
# The program is in a variable, so that it needs no quoting, and leaves the variable to nobody.
_IN_BACKGROUND = """\
mkdir -m 700 {directory} && exec </dev/null >{directory}/out 2>{directory}/err
c=$AGENTBAY_PROGRAM; unset AGENTBAY_PROGRAM; exec /bin/sh -c "$c"
"""


@attrs.frozen
class FinishedCommand:
    """What came of a command.

    Attributes:
        stdout: Its standard output; bytes that are not UTF-8 are replaced.
        stderr: Its standard error.
        exit_code: Its exit code; 124 if its time was over.
        timed_out: Whether it was killed, because its time was over. Its output so far is kept.
        truncated: Whether the session has thrown away the end of its output.
    """

    stdout: str
    stderr: str
    exit_code: int
    timed_out: bool = False
    truncated: bool = False

    def text(self, limit: int) -> str:
        """Return both streams for a model, of which each keeps its end if it is too long.

        Args:
            limit: The most characters of one stream.
        """
        out, err = (end_of(stream, limit) for stream in (self.stdout, self.stderr))
        gap = "\n" if out and err and not out.endswith("\n") else ""
        return out + gap + err


def end_of(stream: str, limit: int) -> str:
    """Return the end of a text that is too long for a model; it says what is left out."""
    left_out = len(stream) - limit
    if left_out <= 0:
        return stream
    return f"[{left_out} characters left out]\n{stream[left_out:]}"


async def run_command(
    session: AsyncSession,
    command: str,
    *,
    cwd: str | None = None,
    envs: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> FinishedCommand:
    """Run a line for ``sh`` to its end; a cancel ends the command.

    Args:
        session: Where to run it. It is kept from becoming idle meanwhile.
        command: The line. Its standard input is empty.
        cwd: The working directory; by default the home directory.
        envs: Variables to add to its environment.
        timeout: Seconds after which it is killed; ``None`` is a day.

    Raises:
        UsageError: An argument is invalid.
        AgentBayError: The command could not be run.
    """
    if not command.strip():
        raise InvalidArgumentError("command must not be empty or blank")
    limit = _LONGEST if timeout is None else timeout
    async with AsyncExitStack() as stack:
        if limit > _SIGN_OF_LIFE:
            await stack.enter_async_context(session.keep_alive_while(every=_SIGN_OF_LIFE))
        try:
            result = await session.command.run(command, cwd=cwd, envs=envs, timeout=limit)
        except InvalidArgumentError:
            if limit <= _ONE_REQUEST:
                raise
            # The session may have no address of its own, so that no request lasts that long. What
            # else is wrong is found again.
            return await _run_in_background(session, command, cwd, dict(envs or {}), limit)
        return finished(result)


def finished(result: CommandResult) -> FinishedCommand:
    """Return what came of a command.

    Raises:
        AgentBayError: It did not run.
    """
    error = result.error
    if error is not None and not (isinstance(error, CommandError) and error.ran):
        raise error
    timed_out = isinstance(error, CommandError) and error.timed_out
    return FinishedCommand(
        result.stdout, result.stderr, result.exit_code, timed_out, result.truncated
    )


async def _run_in_background(
    session: AsyncSession, command: str, cwd: str | None, envs: dict[str, str], limit: float
) -> FinishedCommand:
    """Run a command as a process of a terminal, whose streams go to files."""
    directory = f"/tmp/agentbay-{uuid.uuid4().hex}"  # noqa: S108  # in the session
    script = _IN_BACKGROUND.format(directory=directory)
    process = await session.command.start(script, cwd, {**envs, "AGENTBAY_PROGRAM": command})
    code: int | None = None
    try:
        code = await process.wait(limit)
    except OperationTimeoutError:
        await _kill(process)
    except BaseException:
        await uninterrupted(_clean_up(session, process, directory))
        raise
    try:
        out, err = [
            (await session.command.run(f"cat {directory}/{name}")).unwrap()
            for name in ("out", "err")
        ]
    finally:
        await uninterrupted(_remove(session, directory))
    return FinishedCommand(
        out.stdout,
        err.stdout,
        _TIMED_OUT if code is None else code,
        code is None,
        out.truncated or err.truncated,
    )


async def _kill(process: AsyncProcess) -> None:
    try:
        await process.kill()
    except PtyNotConnectedError:
        # It has ended by itself.
        return


async def _remove(session: AsyncSession, directory: str) -> None:
    (await session.command.run(f"rm -rf {shlex.quote(directory)}")).unwrap()


async def _clean_up(session: AsyncSession, process: AsyncProcess, directory: str) -> None:
    """End a command that nobody waits for any more; the error that is the reason goes on."""
    try:
        await _kill(process)
        await _remove(session, directory)
    except AgentBayError as error:
        logger.warning("%s may still run a command: %s", session, error)
