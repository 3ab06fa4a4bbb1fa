"""The tool ``run_code``: its one answer, and its stream."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agentbay_local.code.events import CodeOutcome, StreamOutput, event_frame
from agentbay_local.sandbox.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from agentbay_local.code.events import Event
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["run_code", "stream_code"]

_DEFAULT_SECONDS = 60
_LONGEST_SECONDS = 24 * 3600
# As JSON a character may take twelve bytes; official clients break off at frames of 1 MiB.
_LONGEST_TEXT = 64 * 1024


async def run_code(place: ToolContext, arguments: Arguments) -> str:
    """Run code in a session and answer with all that came out of it.

    Code that fails or runs out of time is an ordinary answer, which holds what came out until then.

    Args:
        place: The session.
        arguments: ``code``, ``language``, and perhaps ``timeout_s``.

    Raises:
        ToolError: The arguments are wrong, or the language is not installed.
    """
    async with aclosing(_events(place, arguments, "timeout_s")) as events:
        outcome = CodeOutcome.from_events([event async for event in events])
    return outcome.to_json(uuid.uuid4().hex)


async def stream_code(
    place: ToolContext, arguments: Arguments
) -> AsyncGenerator[dict[str, Any], None]:
    """Run code in a session and yield the data of the stream's frames; the last ends it.

    Whoever stops reading interrupts the code.

    Args:
        place: The session.
        arguments: ``code``, ``language``, and perhaps ``timeoutS``.

    Raises:
        ToolError: The arguments are wrong, or the language is not installed.
    """
    trace = uuid.uuid4().hex
    async with aclosing(_events(place, arguments, "timeoutS")) as events:
        async for event in events:
            for part in _parts(event):
                yield event_frame(part, trace)


async def _events(
    place: ToolContext, arguments: Arguments, limit: str
) -> AsyncGenerator[Event, None]:
    code, language = arguments.text("code"), arguments.text("language")
    seconds = max(arguments.count(limit, _DEFAULT_SECONDS, _LONGEST_SECONDS), 1)
    try:
        events = place.code.stream(place.session_id, language, code, seconds, place.memory.env)
        async with aclosing(events):
            async for event in events:
                yield event
    except InvalidRequest as error:
        raise arguments.wrong(error.argument, error.message) from error


def _parts(event: Event) -> Iterator[Event]:
    """Cut long text into pieces that every client can take."""
    if not isinstance(event, StreamOutput):
        yield event
        return
    for start in range(0, len(event.text), _LONGEST_TEXT):
        yield StreamOutput(event.stream, event.text[start : start + _LONGEST_TEXT])
