"""Frames of code workers: what is honest passes, everything else is refused; answers as written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbay_local.code import CodeOutcome, Ended, Failed, Printed, Shown, frame
from agentbay_local.code.frames import LARGEST, Frames, count_in, failed_in, packed, shown_in
from agentbay_local.sandbox.errors import MalformedReply


def test_frames_are_put_together_when_they_come_in_pieces() -> None:
    """Cuts may fall anywhere, also within the length."""
    data = packed({"ready": True}) + packed({"done": 1})
    frames = Frames()

    messages = [message for byte in data for message in frames.feed(bytes([byte]))]

    assert messages == [{"ready": True}, {"done": 1}]


@pytest.mark.parametrize(
    "data",
    [
        (LARGEST + 1).to_bytes(4, "big"),
        b"garbage that is no frame",
        len(b"nonsense").to_bytes(4, "big") + b"nonsense",
        len(b"[1]").to_bytes(4, "big") + b"[1]",
        len(b'{"a": NaN}').to_bytes(4, "big") + b'{"a": NaN}',
        len(b"[" * 90000).to_bytes(4, "big") + b"[" * 90000,
        bytes(4),
    ],
    ids=["too large", "no frame", "no JSON", "no object", "no number", "too deep", "empty"],
)
def test_frames_are_refused_when_no_worker_would_send_them(data: bytes) -> None:
    """Nothing is waited for and nothing is kept: the conversation ends."""
    with pytest.raises(MalformedReply):
        list(Frames().feed(data))


def test_half_a_surrogate_pair_is_replaced() -> None:
    """No answer could carry it, and what is around it shall not be lost."""
    data = json.dumps({"a": "x\ud800y", "b": "\U0001f600"}).encode()

    (message,) = Frames().feed(len(data).to_bytes(4, "big") + data)

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
def test_a_result_is_refused_when_it_is_none(message: dict[str, Any]) -> None:
    """Its type, its number of forms and their names are checked."""
    with pytest.raises(MalformedReply):
        shown_in(message)


def test_a_result_is_refused_when_it_is_too_deep_to_be_written() -> None:
    """What can just be read might not be written again."""
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    with pytest.raises(MalformedReply, match="nested"):
        shown_in({"result": {"application/json": deep}, "main": True})


@pytest.mark.parametrize("error", [None, [], {}, {"name": "a", "value": 1, "traceback": ""}])
def test_an_error_is_refused_when_it_is_none(error: object) -> None:
    """All three parts are texts."""
    with pytest.raises(MalformedReply):
        failed_in({"error": error})


@pytest.mark.parametrize("count", [None, "1", True, -1, 1.0, 2**60])
def test_an_end_is_refused_without_a_number(count: object) -> None:
    """It is a whole number that fits."""
    with pytest.raises(MalformedReply):
        count_in({"done": count})


def test_the_answer_has_the_service_s_shape() -> None:
    """Results are JSON in strings, and time and count are spelled in both ways."""
    outcome = CodeOutcome.of(
        [
            Printed("stdout", "a"),
            Printed("stderr", "e"),
            Printed("stdout", "b"),
            Shown({"text/plain": "42"}, main=True),
            Ended(3, 0.1),
        ]
    )

    assert json.loads(outcome.answer("t-1")) == {
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


def test_the_answer_tells_of_an_error_in_words_and_in_parts() -> None:
    """The text is for those who know no more; the parts and the flags are beside it."""
    error = Failed("NameError", "no x", "Traceback")
    ended = Ended(1, 0.1, error, timed_out=True, state_lost=True, truncated=True)

    answer = json.loads(CodeOutcome.of([error, ended]).answer("t"))

    assert answer["executionError"] == "NameError: no x"
    assert answer["error"] == {"name": "NameError", "value": "no x", "traceback": "Traceback"}
    assert (answer["timedOut"], answer["stateLost"], answer["truncated"]) == (True, True, True)


def test_frames_of_the_stream_have_the_service_s_shape() -> None:
    """An error is an object: a text would end the stream."""
    error = Failed("NameError", "no x", "Traceback")

    assert frame(Printed("stderr", "e"), "t") == {
        "phase": "event",
        "eventType": "stderr",
        "chunk": "e",
    }
    assert frame(Shown({"text/html": "<b>"}, main=False), "t") == {
        "phase": "event",
        "eventType": "result",
        "result": {"isMainResult": False, "mime": {"text/html": "<b>"}},
    }
    assert frame(error, "t")["error"] == {
        "code": "NameError",
        "message": "no x",
        "traceId": "t",
        "traceback": "Traceback",
    }
    end = frame(Ended(2, 0.5, error), "t")
    assert (end["phase"], end["status"], end["executionError"]) == (
        "end",
        "failed",
        "NameError: no x",
    )
    assert (end["executionCount"], end["executionTime"]) == (2, 0.5)
    assert frame(Ended(2, 0.5), "t")["status"] == "finished"
