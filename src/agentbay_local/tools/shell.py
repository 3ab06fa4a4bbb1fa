"""The tool ``shell``: a line of sh in, one JSON text out."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.protocol.json import dump_json
from agentbay_local.sandbox.errors import InvalidRequest, SandboxOSError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.base import CompletedCommand
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["shell"]

_DEFAULT_MS = 50_000
_LONGEST_MS = 24 * 3600 * 1000
# One answer is one JSON text in memory on both sides.
_OUTPUT_LIMIT = 16 * 1024 * 1024
_CUT = (
    f"A stream of this command was longer than {_OUTPUT_LIMIT} bytes; the rest was thrown away. "
    "Redirect it to a file and read that."
)


async def shell(place: ToolContext, arguments: Arguments) -> str:
    """Run a command and answer with its streams and exit code.

    A command that ends by itself is an ordinary answer whatever its exit code. One that runs out of
    time is an error, which keeps what was written until then: clients show the error text only when
    both streams are empty.

    Raises:
        ToolError: The arguments are wrong, or the time was over.
    """
    milliseconds = arguments.count("timeout_ms", _DEFAULT_MS, _LONGEST_MS)
    command = arguments.text("command")
    try:
        done = await place.sandbox.run(
            command,
            timeout=max(milliseconds, 1) / 1000,
            cwd=arguments.optional_text("cwd"),
            env={**place.memory.env, **arguments.text_map("envs")},
            output_limit=_OUTPUT_LIMIT,
        )
    except (SandboxOSError, InvalidRequest) as error:
        raise ToolError(await _failure(1, stderr=str(error))) from error
    streams = _streams(done)
    if done.timed_out:
        reason = "Execution failed. Error code:-1 Error message: [timeout]"
        raise ToolError(await _failure(-1, errorMessage=reason, **streams))
    answer = {**streams, "exit_code": done.exit_code, "traceId": _trace()}
    return await dump_json(answer, _size(streams))


def _streams(done: CompletedCommand) -> dict[str, Any]:
    # The wire carries text; what is not UTF-8 shows as replacement characters, NUL bytes stay.
    streams: dict[str, Any] = {
        "stdout": done.stdout.decode("utf-8", "replace"),
        "stderr": _noted(done.stderr.decode("utf-8", "replace"), done),
    }
    return {**streams, "truncated": True} if done.truncated else streams


def _noted(stderr: str, done: CompletedCommand) -> str:
    """Add which limit was passed, where a shell says that a command was killed."""
    notes = [note for note in (_CUT if done.truncated else "", done.excess) if note]
    gap = "\n" if notes and stderr and not stderr.endswith("\n") else ""
    return stderr + gap + "".join(f"{note}\n" for note in notes)


async def _failure(code: int, **fields: Any) -> str:
    plain: dict[str, Any] = {"errorCode": code, "stdout": "", "stderr": "", "traceId": _trace()}
    return await dump_json({**plain, **fields}, _size(fields))


def _size(streams: Mapping[str, Any]) -> int:
    return sum(len(streams.get(name, "")) for name in ("stdout", "stderr"))


def _trace() -> str:
    return uuid.uuid4().hex
