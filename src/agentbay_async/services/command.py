"""Commands of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import CommandError, InvalidArgumentError, ToolError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.commands import CommandOutput, CommandResult
from agentbay_async.services._tools import call_tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.services._pty.server import Terminals
    from agentbay_async.services.process import AsyncProcess

_DEFAULT_TIMEOUT = 50.0
# How much longer than the command the exchange may take, so that a command which runs out of time
# is told of by the session, with what it wrote, and not by a broken connection.
_ANSWER_GRACE = 15.0
_TIMED_OUT = "[timeout]"
# Linux holds no longer variable, and in one the command of a process travels.
_LONGEST_STARTED = 128 * 1024 - 64


class AsyncCommand:
    """Runs commands in one session. Calls run side by side; none sees the other's variables."""

    __slots__ = ("__weakref__", "_api", "_session_id", "_terminals")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._terminals: Terminals | None = None

    async def execute_command(
        self,
        command: str,
        timeout_ms: int | None = None,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        *,
        timeout: float | timedelta | None = None,
        check: bool = False,
    ) -> CommandResult:
        """Run a shell command and wait for its end.

        A command that ends with an exit code other than 0 is a failed result whose output can be
        read all the same.

        Args:
            command: A line for ``sh``.
            timeout_ms: Milliseconds after which it is stopped, as the official client counts.
            cwd: The directory to run it in; by default the home directory.
            envs: Variables to add to its environment.
            timeout: The same as `timeout_ms`, in seconds or as a timedelta. Default 50 seconds.
            check: Raise when the command does not end with 0.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `command` is blank, or both timeouts are given.
            CommandError: With `check`, the command failed.

        Example:
            ::

                result = await session.command.run("ls -l", cwd="/tmp")
                print(result.exit_code, result.stdout)
        """
        limit = _time_limit(timeout_ms, timeout)
        args: dict[str, Any] = {
            "command": _check.text(command, "command"),
            "timeout_ms": max(1, round(limit * 1000)),
        }
        if cwd is not None:
            args["cwd"] = _check.text(cwd, "cwd")
        if envs:
            args["envs"] = _check.variables(envs)
        result = await self._execute(args, limit)
        if check:
            result.unwrap()
        return result

    run = exec = execute_command

    async def start(
        self, command: str, cwd: str | None = None, envs: Mapping[str, str] | None = None
    ) -> AsyncProcess:
        """Start a shell command in the background, and return while it runs.

        It runs in a terminal, over the session's WebSocket; see :class:`AsyncProcess` for what that
        means. :meth:`execute_command` is the better choice for what ends within minutes.

        Args:
            command: Lines for ``sh``, at most 128 KiB.
            cwd: The directory to run it in; by default the home directory.
            envs: Variables to add to its environment.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `command` is blank or too long.
            AgentBayError: The session did not start it.

        Example:
            ::

                server = await session.command.start("python3 -m http.server 30100")
                await server.kill()
        """
        from agentbay_async.services import process

        line = _check.text(command, "command")
        if len(line.encode()) > _LONGEST_STARTED:
            raise InvalidArgumentError("command must be at most 128 KiB; put it into a file")
        place = None if cwd is None else _check.text(cwd, "cwd")
        variables = _check.variables(envs or {})
        return await process.start(self._in_terminals(), line, place, variables)

    async def attach(self, process_id: str) -> AsyncProcess:
        """Take hold of a process that :meth:`start` has started, here or in another program.

        What it wrote before comes first, as far as the session has kept it.

        Args:
            process_id: Its :attr:`~AsyncProcess.process_id`.
        """
        from agentbay_async.services import process

        name = _check.identifier(process_id, "process_id")
        return await process.attach(self._in_terminals(), name)

    def _in_terminals(self) -> Terminals:
        if self._terminals is None:
            from agentbay_async.services._pty.server import Terminals

            self._terminals = Terminals(self._api, self._session_id)
        return self._terminals

    @returns_result(CommandResult)
    async def _execute(self, args: dict[str, Any], limit: float) -> CommandResult:
        try:
            answer = await call_tool(
                self._api, self._session_id, "shell", args, limit + _ANSWER_GRACE
            )
        except ToolError as error:
            return _refused(error)
        output = _read_output(answer.data) or CommandOutput(stdout=answer.data)
        return _result(output, answer.request_id, self._session_id)


def _time_limit(timeout_ms: int | None, timeout: float | timedelta | None) -> float:
    if timeout_ms is not None and timeout is not None:
        raise InvalidArgumentError("timeout_ms and timeout exclude each other; give one")
    if timeout_ms is not None:
        return _check.positive_int(timeout_ms, "timeout_ms") / 1000
    return _DEFAULT_TIMEOUT if timeout is None else _check.seconds(timeout, "timeout")


def _read_output(text: str) -> CommandOutput | None:
    """Read the JSON that most images answer with; others answer with the bare output."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    code = document.get("exit_code", document.get("errorCode"))
    stdout, stderr = document.get("stdout"), document.get("stderr")
    if not isinstance(code, int) or not (isinstance(stdout, str) or isinstance(stderr, str)):
        return None
    return CommandOutput(stdout or "", stderr or "", code, str(document.get("traceId") or ""))


def _refused(error: ToolError) -> CommandResult:
    """Return the result of a command that the tool itself calls failed."""
    output = _read_output(error.message)
    if output is None:
        failed = CommandError(
            error.message, request_id=error.request_id, session_id=error.session_id
        )
        return CommandResult.failed(failed)
    code = output.exit_code or 1
    output = CommandOutput(output.stdout, output.stderr, code, output.trace_id)
    # The mark of a time limit, as the service writes it; the streams cannot hold it by accident.
    timed_out = code == -1 and _TIMED_OUT in str(json.loads(error.message).get("errorMessage"))
    return _result(output, error.request_id, error.session_id, timed_out=timed_out)


def _result(
    output: CommandOutput, request_id: str, session_id: str, *, timed_out: bool = False
) -> CommandResult:
    if output.exit_code == 0:
        return CommandResult.ok(output, request_id)
    reason = output.stderr.strip() or f"the command ended with exit code {output.exit_code}"
    if timed_out:
        reason = "the command was killed when its time was over; give it more with timeout=..."
    error = CommandError(reason, request_id=request_id, session_id=session_id)
    error.timed_out = timed_out
    error.exit_code = output.exit_code
    error.stdout = output.stdout
    error.stderr = output.stderr
    return CommandResult(output, error, request_id)
