"""Frames of kernels are validated; outcomes and events have the wire form of the service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbay_local.code import (
    CodeOutcome,
    DisplayOutput,
    ErrorOutput,
    ExecutionEnd,
    StreamOutput,
    event_frame,
)
from agentbay_local.code.frames import (
    MAX_FRAME,
    MAX_VALUES,
    Frame,
    FrameDecoder,
    parse_count,
    parse_display,
    parse_error,
)
from agentbay_local.sandbox.errors import MalformedReply


def framed(head: object, *parts: bytes) -> bytes:
    """Return a frame of a kernel."""
    data = head if isinstance(head, bytes) else json.dumps(head).encode()
    body = len(data).to_bytes(4, "big") + data + b"".join(parts)
    return len(body).to_bytes(4, "big") + body


def result(**values: bytes) -> Frame:
    """Return a result with JSON values."""
    head = {"result": {kind: ["json", len(value)] for kind, value in values.items()}, "main": True}
    return Frame(head, b"".join(values.values()))


def test_frames_may_come_in_pieces() -> None:
    """A piece may end anywhere, also within the length."""
    data = framed({"ready": True}) + framed({"done": 1}, b"rest")
    frames = FrameDecoder()

    found = [frame for byte in data for frame in frames.feed(bytes([byte]))]

    assert found == [Frame({"ready": True}), Frame({"done": 1}, b"rest")]


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME + 1).to_bytes(4, "big"),
        b"garbage that is no frame",
        framed(b"nonsense"),
        framed([1]),
        framed(b'{"a": NaN}'),
        framed(b"[" * 60_000),
        framed(b" " * 70_000 + b"{}"),
        (5).to_bytes(4, "big") + (9).to_bytes(4, "big") + b"{",
        bytes(4),
    ],
    ids=[
        "too large",
        "not a frame",
        "not JSON",
        "not an object",
        "NaN",
        "too deep",
        "large head",
        "head past the end",
        "empty",
    ],
)
def test_invalid_frames_are_rejected(data: bytes) -> None:
    """At once, without waiting for more bytes."""
    with pytest.raises(MalformedReply):
        list(FrameDecoder().feed(data))


def test_half_a_surrogate_pair_is_replaced() -> None:
    """The text around it is kept."""
    frame = result(a=json.dumps(["x\ud800y", "\U0001f600"]).encode())

    assert parse_display(frame).mime == {"a": ["x?y", "\U0001f600"]}


def test_text_is_not_parsed() -> None:
    """Bytes that are not UTF-8 are replaced."""
    head = {"result": {"text/html": ["text", 3], "text/plain": ["text", 2]}, "main": False}

    display = parse_display(Frame(head, b"{{\xff42"))

    assert display == DisplayOutput({"text/html": "{{\ufffd", "text/plain": "42"}, main=False)


@pytest.mark.parametrize(
    "head",
    [
        {"result": [], "main": True},
        {"result": {}, "main": 1},
        {"result": {f"a/{n}": ["text", 0] for n in range(100)}, "main": True},
        {"result": {"isMainResult": ["text", 0]}, "main": True},
        {"result": {"a" * 1000: ["text", 0]}, "main": True},
        {"result": {"a": "x"}, "main": True},
        {"result": {"a": ["x", 0]}, "main": True},
        {"result": {"a": ["text"]}, "main": True},
        {"result": {"a": ["text", 1]}, "main": True},
        {"result": {"a": ["text", -1], "b": ["text", 1]}, "main": True},
        {"result": {"a": ["text", True]}, "main": True},
        {"result": {"a": ["json", 0]}, "main": True},
        {"result": {"a": [[], 0]}, "main": True},
    ],
)
def test_an_invalid_result_is_rejected(head: dict[str, Any]) -> None:
    """Its type, the number of MIME types, their names, forms and sizes are checked."""
    with pytest.raises(MalformedReply):
        parse_display(Frame(head))


def test_a_result_that_is_nested_too_deeply_is_rejected() -> None:
    """The JSON decoder accepts deeper values than the encoder."""
    with pytest.raises(MalformedReply, match="nested"):
        parse_display(result(a=b"[" * 200 + b"]" * 200))


def test_a_result_of_too_many_parts_is_not_parsed() -> None:
    """The parser would stop the service, and its lists would fill the memory."""
    with pytest.raises(MalformedReply, match="too many parts"):
        parse_display(result(a=b"[" + b"[]," * MAX_VALUES))


@pytest.mark.parametrize("error", [None, [], {}, [0, 0], [0, 0, 1], [0, "0", 0], [1, -1, 0]])
def test_an_invalid_error_is_rejected(error: object) -> None:
    """Three sizes fill the frame."""
    with pytest.raises(MalformedReply):
        parse_error(Frame({"error": error}))


def test_an_error_has_three_texts() -> None:
    """Name, value and traceback."""
    assert parse_error(Frame({"error": [1, 0, 2]}, b"Ett")) == ErrorOutput("E", "", "tt")


@pytest.mark.parametrize("count", [None, "1", True, -1, 1.0, 2**60])
def test_an_end_without_a_valid_count_is_rejected(count: object) -> None:
    """The count is a whole number of limited size."""
    with pytest.raises(MalformedReply):
        parse_count(Frame({"done": count}))


async def test_the_answer_has_the_wire_form() -> None:
    """Results are JSON in strings; time and count have both spellings."""
    outcome = CodeOutcome.from_events(
        [
            StreamOutput("stdout", "a"),
            StreamOutput("stderr", "e"),
            StreamOutput("stdout", "b"),
            DisplayOutput({"text/plain": "42"}, main=True),
            ExecutionEnd(3, 0.1),
        ]
    )

    assert json.loads(await outcome.to_json("t-1")) == {
        "executionError": "",
        "stdout": ["ab"],
        "stderr": ["e"],
        "traceId": "t-1",
        "result": ['{"isMainResult":true,"text/plain":"42"}'],
        "executionTime": 0.1,
        "execution_time": 0.1,
        "executionCount": 3,
        "execution_count": 3,
    }


async def test_the_answer_has_an_error_as_text_and_as_an_object() -> None:
    """The flags of the end are beside them."""
    error = ErrorOutput("NameError", "no x", "Traceback")
    ended = ExecutionEnd(1, 0.1, error, timed_out=True, state_lost=True, truncated=True)

    answer = json.loads(await CodeOutcome.from_events([error, ended]).to_json("t"))

    assert answer["executionError"] == "NameError: no x"
    assert answer["error"] == {"name": "NameError", "value": "no x", "traceback": "Traceback"}
    assert (answer["timedOut"], answer["stateLost"], answer["truncated"]) == (True, True, True)


def test_frames_of_the_stream_have_the_wire_form() -> None:
    """An error is an object: official clients end the stream at a string."""
    error = ErrorOutput("NameError", "no x", "Traceback")

    assert event_frame(StreamOutput("stderr", "e"), "t") == {
        "phase": "event",
        "eventType": "stderr",
        "chunk": "e",
    }
    assert event_frame(DisplayOutput({"text/html": "<b>"}, main=False), "t") == {
        "phase": "event",
        "eventType": "result",
        "result": {"isMainResult": False, "mime": {"text/html": "<b>"}},
    }
    assert event_frame(error, "t")["error"] == {
        "code": "NameError",
        "message": "no x",
        "traceId": "t",
        "traceback": "Traceback",
    }
    end = event_frame(ExecutionEnd(2, 0.5, error), "t")
    assert (end["phase"], end["status"], end["executionError"]) == (
        "end",
        "failed",
        "NameError: no x",
    )
    assert (end["executionCount"], end["executionTime"]) == (2, 0.5)
    assert event_frame(ExecutionEnd(2, 0.5), "t")["status"] == "finished"
