"""Run a shell command in a session, and raise if it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import CommandError, InvalidArgumentError, ToolError
from agentbay_async.models.commands import CommandOutput
from agentbay_async.services._tool_calls import ANSWER_GRACE, call_tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from agentbay_async._api import Api

#: Seconds that a command may take in one request. The gateway ends it after 60, and other clients
#: of the service leave ten for the way.
ONE_REQUEST = 50.0
_TIMED_OUT = "[timeout]"


def time_limit(timeout_ms: int | None, timeout: float | timedelta | None, default: float) -> float:
    """Return the time limit of a command in seconds, whichever way the caller gave it."""
    if timeout_ms is not None and timeout is not None:
        raise InvalidArgumentError("timeout_ms and timeout exclude each other; give one")
    if timeout_ms is not None:
        return _check.positive_int(timeout_ms, "timeout_ms") / 1000
    return default if timeout is None else _check.seconds(timeout, "timeout")


async def run_shell(
    api: Api,
    session_id: str,
    command: str,
    timeout: float,
    *,
    cwd: str | None = None,
    envs: Mapping[str, str] | None = None,
) -> tuple[CommandOutput, str]:
    """Run a line for ``sh``; return its output and the id of the request.

    Raises:
        CommandError: It ended with an exit code other than 0, or ran out of time.
        AgentBayError: It could not be run.
    """
    args: dict[str, Any] = {"command": command, "timeout_ms": max(1, round(timeout * 1000))}
    if cwd is not None:
        args["cwd"] = cwd
    if envs:
        args["envs"] = dict(envs)
    try:
        answer = await call_tool(api, session_id, "shell", args, timeout + ANSWER_GRACE)
    except ToolError as error:
        raise _command_error(error) from None
    output = _parse_output(answer.data) or CommandOutput(stdout=answer.data)
    if output.exit_code != 0:
        raise command_failure(output, answer.request_id, session_id)
    return output, answer.request_id


def _parse_output(text: str) -> CommandOutput | None:
    """Read the JSON that most images answer with; others answer with the bare output."""
    document = _parse_document(text)
    # Both streams, because the output of a command may be JSON too.
    if not all(isinstance(document.get(name), str) for name in ("stdout", "stderr")):
        return None
    return _output_of(document)


def _parse_document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _output_of(document: Mapping[str, Any]) -> CommandOutput | None:
    code = document.get("exit_code", document.get("errorCode", 0))
    if not isinstance(code, int):
        return None
    stdout, stderr = document.get("stdout"), document.get("stderr")
    return CommandOutput(
        stdout if isinstance(stdout, str) else "",
        stderr if isinstance(stderr, str) else "",
        code,
        str(document.get("traceId") or ""),
    )


def _command_error(error: ToolError) -> CommandError:
    """Return the error of a command that the tool itself reports as failed."""
    if error.message.strip() == _TIMED_OUT:
        killed = CommandOutput(exit_code=-1)
        return command_failure(killed, error.request_id, error.session_id, timed_out=True)
    # The text is the service's, so one stream is enough to recognize its form.
    document = _parse_document(error.message)
    output = _output_of(document) if {"stdout", "stderr"} & document.keys() else None
    if output is None:
        not_run = CommandError(
            error.message, request_id=error.request_id, session_id=error.session_id
        )
        not_run.detail = error.detail
        return not_run
    code = output.exit_code or 1
    output = CommandOutput(output.stdout, output.stderr, code, output.trace_id)
    # The service's own mark; a command cannot forge it, because its output is in other fields.
    timed_out = code == -1 and _TIMED_OUT in str(document.get("errorMessage"))
    return command_failure(output, error.request_id, error.session_id, timed_out=timed_out)


def command_failure(
    output: CommandOutput, request_id: str, session_id: str, *, timed_out: bool = False
) -> CommandError:
    """Return the error of a command that ran and failed."""
    reason = output.stderr.strip() or f"the command ended with exit code {output.exit_code}"
    if timed_out:
        reason = "the command was killed when its time was over; give it more with timeout=..."
    error = CommandError(reason, request_id=request_id, session_id=session_id)
    error.ran = True
    error.trace_id = output.trace_id
    error.timed_out = timed_out
    error.exit_code = output.exit_code
    error.stdout = output.stdout
    error.stderr = output.stderr
    return error
