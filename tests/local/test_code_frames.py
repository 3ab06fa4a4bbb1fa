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
    FrameDecoder,
    encode_frame,
    parse_count,
    parse_display,
    parse_error,
)
from agentbay_local.sandbox.errors import MalformedReply


def test_frames_may_come_in_pieces() -> None:
    """A piece may end anywhere, also within the length."""
    data = encode_frame({"ready": True}) + encode_frame({"done": 1})
    frames = FrameDecoder()

    messages = [message for byte in data for message in frames.feed(bytes([byte]))]

    assert messages == [{"ready": True}, {"done": 1}]


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME + 1).to_bytes(4, "big"),
        b"garbage that is no frame",
        len(b"nonsense").to_bytes(4, "big") + b"nonsense",
        len(b"[1]").to_bytes(4, "big") + b"[1]",
        len(b'{"a": NaN}').to_bytes(4, "big") + b'{"a": NaN}',
        len(b"[" * 90000).to_bytes(4, "big") + b"[" * 90000,
        bytes(4),
    ],
    ids=["too large", "not a frame", "not JSON", "not an object", "NaN", "too deep", "empty"],
)
def test_invalid_frames_are_rejected(data: bytes) -> None:
    """At once, without waiting for more bytes."""
    with pytest.raises(MalformedReply):
        list(FrameDecoder().feed(data))


def test_half_a_surrogate_pair_is_replaced() -> None:
    """The text around it is kept."""
    data = json.dumps({"a": "x\ud800y", "b": "\U0001f600"}).encode()

    (message,) = FrameDecoder().feed(len(data).to_bytes(4, "big") + data)

    assert message == {"a": "x?y", "b": "\U0001f600"}


@pytest.mark.parametrize(
    "message",
    [
        {"result": [], "main": True},
        {"result": {}, "main": 1},
        {"result": {f"a/{n}": "" for n in range(100)}, "main": True},
        {"result": {"isMainResult": "x"}, "main": True},
        {"result": {"a" * 1000: ""}, "main": True},
    ],
)
def test_an_invalid_result_is_rejected(message: dict[str, Any]) -> None:
    """Its type, the number of MIME types and their names are checked."""
    with pytest.raises(MalformedReply):
        parse_display(message)


def test_a_result_that_is_nested_too_deeply_is_rejected() -> None:
    """The JSON decoder accepts deeper values than the encoder."""
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    with pytest.raises(MalformedReply, match="nested"):
        parse_display({"result": {"application/json": deep}, "main": True})


@pytest.mark.parametrize("error", [None, [], {}, {"name": "a", "value": 1, "traceback": ""}])
def test_an_invalid_error_is_rejected(error: object) -> None:
    """All three fields are strings."""
    with pytest.raises(MalformedReply):
        parse_error({"error": error})


@pytest.mark.parametrize("count", [None, "1", True, -1, 1.0, 2**60])
def test_an_end_without_a_valid_count_is_rejected(count: object) -> None:
    """The count is a whole number of limited size."""
    with pytest.raises(MalformedReply):
        parse_count({"done": count})


def test_the_answer_has_the_wire_form() -> None:
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

    assert json.loads(outcome.to_json("t-1")) == {
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


def test_the_answer_has_an_error_as_text_and_as_an_object() -> None:
    """The flags of the end are beside them."""
    error = ErrorOutput("NameError", "no x", "Traceback")
    ended = ExecutionEnd(1, 0.1, error, timed_out=True, state_lost=True, truncated=True)

    answer = json.loads(CodeOutcome.from_events([error, ended]).to_json("t"))

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
