"""Run a shell command in a session, and raise if it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

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
# As timeout(1) reports it.
_TIMED_OUT_CODE = 124
#: Characters of a hint that are shown: the text comes from the session.
LONGEST_HINT = 500


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
        raise _command_error(error, timeout) from None
    document = _parse_document(answer.data)
    # Most images answer with JSON, others with the bare output, which may be JSON too: that of an
    # image has both streams.
    streams = all(isinstance(document.get(name), str) for name in ("stdout", "stderr"))
    output = (_output_of(document) if streams else None) or CommandOutput(stdout=answer.data)
    if output.exit_code != 0:
        raise command_failure(output, answer.request_id, session_id, read_hint(document))
    return output, answer.request_id


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
        truncated=document.get("truncated") is True,
    )


def read_hint(document: Mapping[str, Any]) -> str:
    """Return the hint of the session, bounded; ``""`` if it has none."""
    hint = document.get("hint")
    return hint[:LONGEST_HINT] if isinstance(hint, str) else ""


def _command_error(error: ToolError, limit: float) -> CommandError:
    """Return the error of a command that the tool itself reports as failed."""
    if error.message.strip() == _TIMED_OUT:
        return command_timed_out(CommandOutput(), error.request_id, error.session_id, limit)
    # The text is the service's, so one stream is enough to recognize its form.
    document = _parse_document(error.message)
    output = _output_of(document) if {"stdout", "stderr"} & document.keys() else None
    if output is None:
        not_run = CommandError(
            error.message, request_id=error.request_id, session_id=error.session_id
        )
        not_run.detail = error.detail
        return not_run
    # The service's own mark; a command cannot forge it, because its output is in other fields.
    if output.exit_code == -1 and _TIMED_OUT in str(document.get("errorMessage")):
        return command_timed_out(output, error.request_id, error.session_id, limit)
    output = attrs.evolve(output, exit_code=output.exit_code or 1)
    return command_failure(output, error.request_id, error.session_id, read_hint(document))


def command_timed_out(
    output: CommandOutput, request_id: str, session_id: str, limit: float
) -> CommandError:
    """Return the error of a command that was killed; its standard error says so, as a shell's."""
    reason = f"the command was killed at its time limit of {limit:.6g} s"
    gap = "\n" if output.stderr and not output.stderr.endswith("\n") else ""
    output = attrs.evolve(
        output,
        stderr=f"{output.stderr}{gap}{reason}\n",
        exit_code=_TIMED_OUT_CODE,
        timed_out=True,
    )
    cure = "Give it more with timeout=..., or start it with command.start()"
    return command_failure(output, request_id, session_id, cure, reason)


def command_failure(
    output: CommandOutput, request_id: str, session_id: str, hint: str = "", reason: str = ""
) -> CommandError:
    """Return the error of a command that ran and failed."""
    reason = reason or output.stderr.strip()
    error = CommandError(
        reason or f"the command ended with exit code {output.exit_code}",
        request_id=request_id,
        session_id=session_id,
        hint=hint,
    )
    error.ran = True
    error.trace_id = output.trace_id
    error.timed_out = output.timed_out
    error.truncated = output.truncated
    error.exit_code = output.exit_code
    error.stdout = output.stdout
    error.stderr = output.stderr
    return error
