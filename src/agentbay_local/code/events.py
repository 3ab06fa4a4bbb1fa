"""What comes out of a piece of code: events in their order, and the whole of them as one answer.

Both are written as the service writes them: `CodeOutcome.answer` is the text of the tool
``run_code``, `frame` the data of a frame of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CodeOutcome", "Ended", "Event", "Failed", "Printed", "Shown", "frame"]


@attrs.frozen
class Printed:
    """Text written to a stream; never half a character.

    Attributes:
        stream: Which one.
        text: What was written, with replacement characters for what is no UTF-8.
    """

    stream: Literal["stdout", "stderr"]
    text: str


@attrs.frozen
class Shown:
    """A value or a display.

    Attributes:
        mime: MIME type to content: text, base64 of binary types, or JSON values.
        main: It is the value of the last expression.
    """

    mime: Mapping[str, Any]
    main: bool


@attrs.frozen
class Failed:
    """The code did not run to its end.

    Attributes:
        name: The kind of error, ``"NameError"``.
        value: Its message.
        traceback: Where it happened; empty when nobody knows.
    """

    name: str
    value: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" if self.value else self.name


@attrs.frozen
class Ended:
    """The end, always the last event.

    Attributes:
        count: Number of the execution in its shell, from 1; 0 when it was not counted.
        seconds: Time it took, without the wait for others.
        error: Why it failed, or None.
        timed_out: Its time was over.
        state_lost: The variables and imports of calls before are gone.
        truncated: More came than is kept; the rest was thrown away.
    """

    count: int
    seconds: float
    error: Failed | None = None
    timed_out: bool = False
    state_lost: bool = False
    truncated: bool = False


Event = Printed | Shown | Failed | Ended


@attrs.frozen
class CodeOutcome:
    """Everything that came out of one piece of code.

    Attributes:
        stdout: What it printed.
        stderr: What it printed to standard error, its traceback included.
        results: Displays and the value of the last expression, in their order.
        ended: How it ended.
    """

    stdout: str
    stderr: str
    results: tuple[Shown, ...]
    ended: Ended

    @classmethod
    def of(cls, events: Iterable[Event]) -> CodeOutcome:
        """Put the events of one execution together; the last one is `Ended`.

        Example:
            >>> CodeOutcome.of([Printed("stdout", "hi"), Ended(1, 0.1)]).stdout
            'hi'
        """
        parts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        results: list[Shown] = []
        ended = Ended(0, 0.0)
        for event in events:
            if isinstance(event, Printed):
                parts[event.stream].append(event.text)
            elif isinstance(event, Shown):
                results.append(event)
            elif isinstance(event, Ended):
                ended = event
        streams = {name: "".join(texts) for name, texts in parts.items()}
        return cls(**streams, results=tuple(results), ended=ended)

    def answer(self, trace: str) -> str:
        """Return the JSON text of the tool's answer.

        Times and counts are spelled in both ways, because clients differ in which one they read.
        ``error`` has the parts of an error, which ``executionError`` holds in one text.
        """
        ended = self.ended
        fields: dict[str, Any] = {
            "executionError": str(ended.error) if ended.error else "",
            "stdout": [self.stdout] if self.stdout else [],
            "stderr": [self.stderr] if self.stderr else [],
            "traceId": trace,
            "result": [compact_json(_bundle(shown)) for shown in self.results],
            **_counted(ended),
        }
        if ended.error:
            fields["error"] = attrs.asdict(ended.error)
        return compact_json(fields)


def frame(event: Event, trace: str) -> dict[str, Any]:
    """Return the data of the stream's frame for an event.

    Example:
        >>> frame(Printed("stdout", "hi"), "")
        {'phase': 'event', 'eventType': 'stdout', 'chunk': 'hi'}
    """
    if isinstance(event, Printed):
        return {"phase": "event", "eventType": event.stream, "chunk": event.text}
    if isinstance(event, Shown):
        result = {"isMainResult": event.main, "mime": dict(event.mime)}
        return {"phase": "event", "eventType": "result", "result": result}
    if isinstance(event, Failed):
        # Clients want an object here, and take its code and message for name and value.
        error = {"code": event.name, "message": event.value, "traceId": trace}
        error["traceback"] = event.traceback
        return {"phase": "event", "eventType": "error", "error": error}
    return {
        "phase": "end",
        "status": "failed" if event.error else "finished",
        "executionError": str(event.error) if event.error else "",
        "traceId": trace,
        **_counted(event),
    }


def _bundle(shown: Shown) -> dict[str, Any]:
    return {"isMainResult": shown.main, **shown.mime}


def _counted(ended: Ended) -> dict[str, Any]:
    fields = {
        "executionTime": ended.seconds,
        "execution_time": ended.seconds,
        "executionCount": ended.count,
        "execution_count": ended.count,
    }
    told = {"timedOut": ended.timed_out, "stateLost": ended.state_lost}
    told["truncated"] = ended.truncated
    return {**fields, **{name: True for name, value in told.items() if value}}
