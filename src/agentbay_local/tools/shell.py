"""The tool ``shell``: run a command line and answer with its output as JSON."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_async._protocol.missing_network import lacks_network
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.protocol.json import dump_json
from agentbay_local.sandbox.errors import InvalidRequest, SandboxOSError

if TYPE_CHECKING:
    from agentbay_local.sandbox.host.command_run import CompletedCommand
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["OFFLINE_HINT", "find_hint", "shell"]

OFFLINE_HINT = (
    "Sessions of the local service reach no host unless it is allowed: `agentbay local"
    " --allow-host HOST`, LocalService(allow_hosts=[...]), or AgentBay(endpoint='local',"
    " local=LocalOptions(allow_hosts=[...]))"
)
"""What to do about a command that failed because its session reaches no host."""

_DEFAULT_MS = 50_000
_MAX_MS = 24 * 3600 * 1000
# The answer is one JSON text, which service and client hold in memory as a whole: a stream is
# measured by its size in JSON, which takes up to six bytes for one.
_OUTPUT_LIMIT = 16 * 1024 * 1024
_TRUNCATED = (
    f"A stream of this command was longer than {_OUTPUT_LIMIT} bytes in JSON; the rest was thrown "
    "away. Redirect it to a file and read that."
)


async def shell(context: ToolContext, arguments: Arguments) -> str:
    """Run a command and answer with its output and exit code.

    A command that exits is an ordinary answer, whatever its exit code. A timeout is an error that
    keeps the output so far.

    Raises:
        ToolError: An argument is invalid, or the command ran out of time.
    """
    milliseconds = arguments.count("timeout_ms", _DEFAULT_MS, _MAX_MS)
    command = arguments.text("command")
    try:
        # Only what is decoded is kept: the answer takes several times its size already.
        answer = _describe(
            await context.sandbox.run(
                command,
                timeout=max(milliseconds, 1) / 1000,
                cwd=arguments.text("cwd", None),
                env={**context.state.env, **arguments.text_map("envs")},
                output_limit=_OUTPUT_LIMIT,
                output_size=_size_in_json,
            )
        )
    except (SandboxOSError, InvalidRequest) as error:
        fields: dict[str, Any] = {"errorCode": 1, "stdout": "", "stderr": str(error)}
        raise ToolError(await _dump(fields)) from error
    if "errorCode" in answer:
        raise ToolError(await _dump(answer))
    if answer["exit_code"] != 0 and context.sandbox.offline:
        hints = (find_hint(answer[name]) for name in ("stderr", "stdout"))
        if hint := next(filter(None, hints), ""):
            answer["hint"] = hint
    return await _dump(answer, failed=answer["exit_code"] != 0)


def find_hint(output: str) -> str:
    """Return how to give a session a network, if the end of a failed output asks for one."""
    return OFFLINE_HINT if lacks_network(output) else ""


def _size_in_json(output: bytes) -> int:
    return len(compact_json(output.decode("utf-8", "replace"))) - len('""')


def _describe(done: CompletedCommand) -> dict[str, Any]:
    # JSON carries text: invalid UTF-8 becomes replacement characters, and NUL bytes stay.
    stdout, stderr = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    streams = {"stdout": stdout, "stderr": stderr}
    if done.truncated or done.excess:
        streams |= _note_limits(done, stderr)
    if not done.timed_out:
        return {**streams, "exit_code": done.exit_code}
    # Official clients show ``errorMessage`` only when both streams are empty.
    message = "Execution failed. Error code:-1 Error message: [timeout]"
    return {"errorCode": -1, "errorMessage": message, **streams}


def _note_limits(done: CompletedCommand, stderr: str) -> dict[str, Any]:
    # Limits are reported on standard error, where a shell reports that it killed a command.
    notes = [note for note in (_TRUNCATED if done.truncated else "", done.excess) if note]
    gap = "\n" if stderr and not stderr.endswith("\n") else ""
    stderr += gap + "".join(f"{note}\n" for note in notes)
    return {"stderr": stderr, "truncated": True} if done.truncated else {"stderr": stderr}


async def _dump(fields: dict[str, Any], *, failed: bool = True) -> str:
    size = len(fields["stdout"]) + len(fields["stderr"])
    # A command that succeeds has an empty trace id, as in the cloud.
    return await dump_json({**fields, "traceId": uuid.uuid4().hex if failed else ""}, size)
