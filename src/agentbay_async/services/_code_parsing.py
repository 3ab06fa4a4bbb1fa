"""Parse the answers to run_code, in the forms that different images use; no I/O."""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async.models.code import (
    FORMATS,
    MEDIA_TYPES,
    CodeEvent,
    CodeFailure,
    CodeLogs,
    CodeOutcome,
    CodeOutput,
)
from agentbay_async.services._shell import read_hint

_JSON_FORMATS = frozenset({"json", "chart"})

#: The message of a failure that has none.
NO_REASON = "the code failed without a reason"

# Fields of an answer. Plain images return the bare output, which may itself be a JSON object.
_ANSWER_FIELDS = frozenset(
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
    """The outcome of running code, and its failure, if it failed."""

    outcome: CodeOutcome
    failure: CodeFailure | None = None


def parse_answer(text: str) -> CodeAnswer:
    """Read the text of the tool: an answer, or the bare output."""
    answer = parse_document(text)
    if answer is not None:
        return answer
    output = CodeOutput(text=text, is_main_result=True, formats=("text",))
    return CodeAnswer(CodeOutcome([output] if text else [], CodeLogs([text] if text else [])))


def parse_document(text: str) -> CodeAnswer | None:
    """Read an answer in JSON; ``None`` if the text is not an answer."""
    document = _load(text)
    if not isinstance(document, dict) or not _is_answer(document):
        return None
    logs = document.get("logs")
    streams = logs if isinstance(logs, dict) else document
    outcome = CodeOutcome(
        [parse_output(item) for item in _as_list(_first(document, "results", "result"))],
        CodeLogs(_as_texts(streams.get("stdout")), _as_texts(streams.get("stderr"))),
        _read_count(document),
        _read_time(document),
        _as_text(_first(document, "traceId", "trace_id")),
        document.get("truncated") is True,
    )
    return CodeAnswer(outcome, _find_failure(document))


def parse_output(item: Any) -> CodeOutput:
    """Read one result.

    It is an object with media types or short names as keys, or the JSON text of such an object,
    which some images encode twice.
    """
    bundle = _load_bundle(item)
    if bundle is None:
        text = item if isinstance(item, str) else _dump(item)
        return CodeOutput(text=text, formats=("text",))
    values = _read_formats(bundle)
    main = _first(bundle, "isMainResult", "is_main_result") is True
    return CodeOutput(
        **values, is_main_result=main, formats=tuple(name for name in FORMATS if name in values)
    )


def _load_bundle(item: Any) -> dict[str, Any] | None:
    for _ in range(2):
        inner = _load(item) if isinstance(item, str) else None
        if isinstance(inner, (dict, str)):
            item = inner
    return item if isinstance(item, dict) else None


def _read_formats(bundle: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    mime = bundle.get("mime")
    for name, value in {**bundle, **(mime if isinstance(mime, dict) else {})}.items():
        format_name = MEDIA_TYPES.get(name, name)
        # Null is a valid JSON result; for a picture or a text it means that there is none.
        if format_name in FORMATS and (value is not None or name == "application/json"):
            values.setdefault(
                format_name, value if format_name in _JSON_FORMATS else _as_text(value)
            )
    return values


def parse_event(data: dict[str, Any]) -> CodeEvent | None:
    """Read a frame of a stream; ``None`` if its kind is unknown."""
    if data.get("phase") != "event":
        return CodeEvent(
            "end",
            execution_count=_read_count(data),
            execution_time=_read_time(data),
            truncated=data.get("truncated") is True,
        )
    kind = data.get("eventType")
    if kind == "stdout" or kind == "stderr":
        return CodeEvent(kind, text=_as_text(data.get("chunk")))
    if kind == "result":
        return CodeEvent("result", result=parse_output(data.get("result")))
    if kind == "error":
        return CodeEvent("error", error=_parse_error(data.get("error")))
    return None


def parse_failure(data: dict[str, Any]) -> CodeFailure | None:
    """Return the failure in the last frame of a stream, if there is one."""
    failure = _find_failure(data)
    if failure is None and str(data.get("status", "")).lower() == "failed":
        return CodeFailure("ExecutionError", NO_REASON)
    return failure


def _is_answer(document: dict[str, Any]) -> bool:
    if _ANSWER_FIELDS.intersection(document) or isinstance(document.get("logs"), dict):
        return True
    # Without these fields, an answer is recognized by lists in place of plain texts.
    streams = isinstance(document.get("stdout"), list) and isinstance(document.get("stderr"), list)
    return streams or isinstance(document.get("results"), list)


def _find_failure(document: dict[str, Any]) -> CodeFailure | None:
    # If both are present, the object has the name and the traceback.
    if error := document.get("error"):
        return _parse_error(error)
    if text := _first(document, "executionError", "execution_error"):
        return CodeFailure("ExecutionError", _as_text(text))
    if document.get("isError") is True:
        return CodeFailure("ExecutionError", NO_REASON)
    return None


def _parse_error(error: Any) -> CodeFailure:
    if not isinstance(error, dict):
        return CodeFailure("ExecutionError", _as_text(error))
    trace = _as_text(_first(error, "traceId", "trace_id"))
    return CodeFailure(
        _as_text(_first(error, "name", "code")) or "ExecutionError",
        _as_text(_first(error, "value", "message")),
        "\n".join(_as_texts(error.get("traceback"))) or (f"traceId={trace}" if trace else ""),
        read_hint(error),
    )


def _read_count(document: dict[str, Any]) -> int | None:
    value = _first(document, "executionCount", "execution_count")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_time(document: dict[str, Any]) -> float | None:
    value = _first(document, "executionTime", "execution_time")
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _first(document: dict[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if document.get(name) is not None), None)


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _dump(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "..."  # json.loads() allows deeper nesting than json.dumps()


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _as_texts(value: Any) -> list[str]:
    return [_as_text(item) for item in _as_list(value)]


def _as_text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        # Notebooks store a text of several lines as a list.
        return "".join(value)
    return value if isinstance(value, str) else "" if value is None else _dump(value)
