"""Output of an execution: single events, and all of them as one outcome.

Both have the wire form of the service: `CodeOutcome.to_json` is the answer of the tool
``run_code``, `event_frame` the data of one frame of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from agentbay_local.protocol.json import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CodeOutcome",
    "DisplayOutput",
    "ErrorOutput",
    "Event",
    "ExecutionEnd",
    "StreamOutput",
    "event_frame",
]


@attrs.frozen
class StreamOutput:
    """Text written to standard output or standard error, in whole characters.

    Attributes:
        stream: Name of the stream.
        text: The text; invalid UTF-8 shows as replacement characters.
    """

    stream: Literal["stdout", "stderr"]
    text: str


@attrs.frozen
class DisplayOutput:
    """A displayed object, or the value of the last expression.

    Attributes:
        mime: MIME type to content: text, base64 for binary types, or JSON values.
        main: Whether it is the value of the last expression.
    """

    mime: Mapping[str, Any]
    main: bool


@attrs.frozen
class ErrorOutput:
    """The error that ended an execution.

    Attributes:
        name: Type of the error, such as ``"NameError"``.
        value: Its message.
        traceback: Its traceback; empty if unknown.
        hint: How to cure it; empty if unknown.
    """

    name: str
    value: str
    traceback: str = ""
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" if self.value else self.name


@attrs.frozen
class ExecutionEnd:
    """The end of an execution, always its last event.

    Attributes:
        count: Number of the execution in its kernel, from 1; 0 if the kernel did not count it.
        seconds: Running time, without the wait for earlier executions.
        error: The error, or None on success.
        timed_out: Whether the execution ran out of time.
        state_lost: Whether the variables and imports of earlier calls are gone.
        truncated: Whether output beyond the limit was discarded.
    """

    count: int
    seconds: float
    error: ErrorOutput | None = None
    timed_out: bool = False
    state_lost: bool = False
    truncated: bool = False


Event = StreamOutput | DisplayOutput | ErrorOutput | ExecutionEnd


@attrs.frozen
class CodeOutcome:
    """All output of one execution.

    Attributes:
        stdout: Text of standard output.
        stderr: Text of standard error, including the traceback.
        results: Displays and the value of the last expression, in order.
        end: How the execution ended.
    """

    stdout: str
    stderr: str
    results: tuple[DisplayOutput, ...]
    end: ExecutionEnd

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> CodeOutcome:
        """Collect the events of one execution.

        Example:
            >>> CodeOutcome.from_events([StreamOutput("stdout", "hi"), ExecutionEnd(1, 0.1)]).stdout
            'hi'
        """
        parts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        results: list[DisplayOutput] = []
        end = ExecutionEnd(0, 0.0)
        for event in events:
            if isinstance(event, StreamOutput):
                parts[event.stream].append(event.text)
            elif isinstance(event, DisplayOutput):
                results.append(event)
            elif isinstance(event, ExecutionEnd):
                end = event
        streams = {name: "".join(texts) for name, texts in parts.items()}
        return cls(**streams, results=tuple(results), end=end)

    async def to_json(self, trace_id: str) -> str:
        """Return the answer of the tool ``run_code`` as JSON text."""
        end = self.end
        fields: dict[str, Any] = {
            "executionError": str(end.error) if end.error else "",
            "stdout": [self.stdout] if self.stdout else [],
            "stderr": [self.stderr] if self.stderr else [],
            "traceId": trace_id,
            "result": [await _result_json(result) for result in self.results],
            **_end_fields(end),
        }
        if end.error:
            # Beside ``executionError``, which holds the parts of an error in one text.
            fields["error"] = attrs.asdict(end.error, filter=_is_sent)
        texts = (self.stdout, self.stderr, *fields["result"])
        return await dump_json(fields, sum(map(len, texts)))


def event_frame(event: Event, trace_id: str) -> dict[str, Any]:
    """Return the data of the stream's frame for an event.

    Example:
        >>> event_frame(StreamOutput("stdout", "hi"), "")
        {'phase': 'event', 'eventType': 'stdout', 'chunk': 'hi'}
    """
    if isinstance(event, StreamOutput):
        return {"phase": "event", "eventType": event.stream, "chunk": event.text}
    if isinstance(event, DisplayOutput):
        result = {"isMainResult": event.main, "mime": dict(event.mime)}
        return {"phase": "event", "eventType": "result", "result": result}
    if isinstance(event, ErrorOutput):
        # Official clients expect an object here and read its code and message as name and value.
        error = {"code": event.name, "message": event.value, "traceId": trace_id}
        error["traceback"] = event.traceback
        if event.hint:
            error["hint"] = event.hint
        return {"phase": "event", "eventType": "error", "error": error}
    return {
        "phase": "end",
        "status": "failed" if event.error else "finished",
        "executionError": str(event.error) if event.error else "",
        "traceId": trace_id,
        **_end_fields(event),
    }


def _is_sent(field: attrs.Attribute[Any], value: object) -> bool:
    return field.name != "hint" or bool(value)


async def _result_json(result: DisplayOutput) -> str:
    fields = {"isMainResult": result.main, **result.mime}
    return await dump_json(fields, sum(len(v) for v in fields.values() if isinstance(v, str)))


def _end_fields(end: ExecutionEnd) -> dict[str, Any]:
    # In both spellings, because official clients differ in the one they read.
    fields = {
        "executionTime": end.seconds,
        "execution_time": end.seconds,
        "executionCount": end.count,
        "execution_count": end.count,
    }
    flags = {"timedOut": end.timed_out, "stateLost": end.state_lost, "truncated": end.truncated}
    return {**fields, **{name: True for name, value in flags.items() if value}}
