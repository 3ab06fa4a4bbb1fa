"""The tool ``run_code``: one answer, or a stream of frames."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.code.events import (
    CodeOutcome,
    ErrorOutput,
    ExecutionEnd,
    StreamOutput,
    event_frame,
)
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import InvalidRequest
from agentbay_local.tools.shell import find_hint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from agentbay_local.code.events import Event
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["run_code", "stream_code"]

_DEFAULT_SECONDS = 60
_MAX_SECONDS = 24 * 3600
# A character may take twelve bytes in JSON, and official clients disconnect at frames of 1 MiB.
_MAX_CHUNK = 64 * 1024


async def run_code(context: ToolContext, arguments: Arguments) -> str:
    """Run code in a session and answer with all of its output.

    Code that fails, or runs out of time, is an error whose text is the same JSON: it has the output
    until then. Clients in Go read nothing else from an answer that is marked as an error.

    Args:
        context: The session.
        arguments: ``code``, ``language`` and optionally ``timeout_s``.

    Raises:
        ToolError: The code failed, an argument is invalid, or the language is not installed.
    """
    async with aclosing(_run(context, arguments, "timeout_s")) as events:
        outcome = CodeOutcome.from_events([event async for event in events])
    text = await outcome.to_json(uuid.uuid4().hex)
    if outcome.end.error is not None:
        raise ToolError(text)
    return text


async def stream_code(
    context: ToolContext, arguments: Arguments
) -> AsyncGenerator[dict[str, Any], None]:
    """Run code in a session and yield the data of the stream's frames.

    Closing the iterator interrupts the code.

    Args:
        context: The session.
        arguments: ``code``, ``language`` and optionally ``timeoutS``.

    Raises:
        ToolError: An argument is invalid, or the language is not installed.
    """
    trace_id = uuid.uuid4().hex
    async with aclosing(_run(context, arguments, "timeoutS")) as events:
        async for event in events:
            for part in _split(event):
                yield event_frame(part, trace_id)


async def _run(
    context: ToolContext, arguments: Arguments, timeout_name: str
) -> AsyncGenerator[Event, None]:
    code, language = arguments.text("code"), arguments.text("language")
    seconds = max(arguments.count(timeout_name, _DEFAULT_SECONDS, _MAX_SECONDS), 1)
    env = context.state.env
    try:
        events = context.kernels.stream(context.session_id, language, code, seconds, env)
        async with aclosing(events):
            async for event in events:
                yield _with_hint(event) if context.sandbox.offline else event
    except InvalidRequest as error:
        raise arguments.wrong(error.argument, error.message) from error


def _with_hint(event: Event) -> Event:
    """Return the event of a failure with its cure, if that is known."""
    if isinstance(event, ErrorOutput):
        return _add_hint(event)
    if isinstance(event, ExecutionEnd) and event.error is not None:
        return attrs.evolve(event, error=_add_hint(event.error))
    return event


def _add_hint(error: ErrorOutput) -> ErrorOutput:
    return attrs.evolve(error, hint=find_hint(f"{error.traceback}\n{error.value}"))


def _split(event: Event) -> Iterator[Event]:
    """Split long text into pieces that every client accepts."""
    if not isinstance(event, StreamOutput):
        yield event
        return
    for start in range(0, len(event.text), _MAX_CHUNK):
        yield StreamOutput(event.stream, event.text[start : start + _MAX_CHUNK])
