"""The answers to run_code, in all their forms, as values. Pure."""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async.models.code import (
    FORMATS,
    CodeEvent,
    CodeFailure,
    CodeLogs,
    CodeOutcome,
    CodeOutput,
)

_MEDIA = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/svg+xml": "svg",
    "application/json": "json",
    "text/latex": "latex",
    "application/vnd.vegalite.v4+json": "chart",
    "application/vnd.vegalite.v5+json": "chart",
    "application/vnd.vega.v5+json": "chart",
}
_ANY_VALUE = frozenset({"json", "chart"})

# What tells an answer from output that happens to be a JSON object: only plain images answer with
# the bare output.
_OF_ANSWERS = frozenset(
    {
        "executionError",
        "execution_error",
        "executionCount",
        "execution_count",
        "executionTime",
        "execution_time",
    }
)


@attrs.frozen
class CodeAnswer:
    """What came of running code, and how it failed, if it did."""

    outcome: CodeOutcome
    failure: CodeFailure | None = None


def read_answer(text: str) -> CodeAnswer:
    """Read the text of a tool: an answer, or else the bare output itself."""
    answer = read_document(text)
    if answer is not None:
        return answer
    output = CodeOutput(text=text, is_main_result=True, formats=("text",))
    return CodeAnswer(CodeOutcome([output] if text else [], CodeLogs([text] if text else [])))


def read_document(text: str) -> CodeAnswer | None:
    """Read an answer, which is JSON of one of two forms; ``None`` if the text is no answer."""
    document = _parsed(text)
    if not isinstance(document, dict) or not _is_answer(document):
        return None
    logs = document.get("logs")
    streams = logs if isinstance(logs, dict) else document
    outcome = CodeOutcome(
        [read_output(one) for one in _list(_first(document, "results", "result"))],
        CodeLogs(_texts(streams.get("stdout")), _texts(streams.get("stderr"))),
        _count(document),
        _time(document),
        _text(_first(document, "traceId", "trace_id")),
    )
    return CodeAnswer(outcome, _failure(document))


def read_output(item: Any) -> CodeOutput:
    """Read one result: a bundle by media types or short names, or JSON text of one, even twice."""
    bundle = item
    for _ in range(2):
        inner = _parsed(bundle) if isinstance(bundle, str) else None
        if isinstance(inner, (dict, str)):
            bundle = inner
    if not isinstance(bundle, dict):
        text = item if isinstance(item, str) else _written(item)
        return CodeOutput(text=text, formats=("text",))
    forms: dict[str, Any] = {}
    mime = bundle.get("mime")
    for name, value in {**bundle, **(mime if isinstance(mime, dict) else {})}.items():
        form = _MEDIA.get(name, name)
        # Null is a JSON value; as a picture or a text it is nothing.
        if form in FORMATS and (value is not None or name == "application/json"):
            forms.setdefault(form, value if form in _ANY_VALUE else _text(value))
    main = _first(bundle, "isMainResult", "is_main_result") is True
    return CodeOutput(
        **forms, is_main_result=main, formats=tuple(one for one in FORMATS if one in forms)
    )


def read_event(data: dict[str, Any]) -> CodeEvent | None:
    """Read a frame of a stream; ``None`` for one of a kind that is not known."""
    if data.get("phase") != "event":
        return CodeEvent("end", execution_count=_count(data), execution_time=_time(data))
    kind = data.get("eventType")
    if kind == "stdout" or kind == "stderr":
        return CodeEvent(kind, text=_text(data.get("chunk")))
    if kind == "result":
        return CodeEvent("result", result=read_output(data.get("result")))
    if kind == "error":
        return CodeEvent("error", error=_named(data.get("error")))
    return None


def read_failure(data: dict[str, Any]) -> CodeFailure | None:
    """Return how the frame that ends a stream says that the code failed, if it does."""
    failure = _failure(data)
    if failure is None and str(data.get("status", "")).lower() == "failed":
        return CodeFailure("ExecutionError", "the code failed without a reason")
    return failure


def _is_answer(document: dict[str, Any]) -> bool:
    if _OF_ANSWERS.intersection(document) or isinstance(document.get("logs"), dict):
        return True
    # Without any of these, lists alone tell an answer, for of them answers are made.
    streams = isinstance(document.get("stdout"), list) and isinstance(document.get("stderr"), list)
    return streams or isinstance(document.get("results"), list)


def _failure(document: dict[str, Any]) -> CodeFailure | None:
    # Where a session tells both, the one in parts has the name and the traceback.
    if error := document.get("error"):
        return _named(error)
    if said := _first(document, "executionError", "execution_error"):
        return CodeFailure("ExecutionError", _text(said))
    if document.get("isError") is True:
        return CodeFailure("ExecutionError", "the code failed without a reason")
    return None


def _named(error: Any) -> CodeFailure:
    if not isinstance(error, dict):
        return CodeFailure("ExecutionError", _text(error))
    trace = _text(_first(error, "traceId", "trace_id"))
    return CodeFailure(
        _text(_first(error, "name", "code")) or "ExecutionError",
        _text(_first(error, "value", "message")),
        "\n".join(_texts(error.get("traceback"))) or (f"traceId={trace}" if trace else ""),
    )


def _count(document: dict[str, Any]) -> int | None:
    value = _first(document, "executionCount", "execution_count")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(document: dict[str, Any]) -> float | None:
    value = _first(document, "executionTime", "execution_time")
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _first(document: dict[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if document.get(name) is not None), None)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _written(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "..."  # it could just be read


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in _list(value)]


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        # As notebooks store what has several lines.
        return "".join(value)
    return value if isinstance(value, str) else "" if value is None else _written(value)
