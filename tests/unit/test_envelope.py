"""Envelopes: an answer or a typed error from status, headers and body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbay_async._protocol import schema
from agentbay_async._protocol.envelope import read_answer, retry_after
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    BadAnswerError,
    ServiceError,
    ThrottledError,
)

_NOW = 1_700_000_000.0


def _read(document: object, status: int = 200, **headers: str) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    request = schema.GetSession(session_id="s-1")
    return read_answer(request, status, headers, body, _NOW)


@pytest.mark.parametrize(
    "envelope",
    [
        {"Success": True},
        {"Success": True, "Code": "anything"},
        {"Code": "ok"},
        {"Code": "200"},
        {"Code": 200},
        {"Code": ""},
        {"Code": None},
        {"Code": "Success"},
        {"Success": "true"},
        {"Success": "True", "Code": "odd"},
        {},
    ],
)
def test_a_success_has_a_true_flag_or_a_good_code(envelope: dict[str, Any]) -> None:
    """Without a flag, the code and the status decide."""
    assert _read({**envelope, "Data": {"SessionId": "s"}}).data.session_id == "s"


@pytest.mark.parametrize(
    ("envelope", "status"),
    [
        ({"Success": False}, 200),
        ({"Success": False, "Code": "ok"}, 200),
        ({"Success": None, "Code": "Bad"}, 200),
        ({"Success": "yes"}, 200),
        ({"Success": 1}, 200),
        ({"Success": "false", "Code": "Success"}, 200),
        ({"Code": "Bad"}, 200),
        ({"Success": True}, 400),
        ({}, 400),
    ],
)
def test_everything_else_is_a_failure(envelope: dict[str, Any], status: int) -> None:
    """HTTP 200 with ``Success: false`` is a failure, without exception."""
    with pytest.raises(APIError):
        _read(envelope, status)


def test_an_answer_has_the_fields_beside_the_data() -> None:
    """Token, counts and id; numbers may be text."""
    answer = _read(
        {
            "Success": True,
            "RequestId": "R",
            "NextToken": "t",
            "MaxResults": "10",
            "TotalCount": 3,
            "Count": "",
        }
    )
    assert (answer.request_id, answer.next_token, answer.data) == ("R", "t", None)
    assert (answer.max_results, answer.total_count, answer.count) == (10, 3, None)


def test_unexpected_data_is_ignored() -> None:
    """An acknowledgement has no data."""
    body = b'{"Success": true, "Data": "anything"}'
    assert read_answer(schema.SetLabel(), 200, {}, body, _NOW).data is None


@pytest.mark.parametrize(
    "keys", [("Code", "Message", "RequestId"), ("code", "message", "requestId")]
)
def test_error_keys_are_read_in_both_spellings(keys: tuple[str, str, str]) -> None:
    """Gateways differ in upper and lower case."""
    values = dict(zip(keys, ("Some.Code", "because", "R-1"), strict=True))
    with pytest.raises(APIError) as caught:
        _read(values, 400)
    error = caught.value
    assert (error.code, error.request_id, error.http_status) == ("Some.Code", "R-1", 400)
    assert error.session_id == "s-1"
    assert str(error) == "GetSession: because [Some.Code, HTTP 400]"
    assert error.status_code == 400


def test_an_error_without_a_message_has_a_text() -> None:
    """An error text is never empty."""
    with pytest.raises(APIError, match=r"the service gave no reason \[HTTP 418\]"):
        _read({}, 418)


@pytest.mark.parametrize("body", [b"", b"html", b"\xff\xfe", b"[" * 50_000])
@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_is_not_json_is_a_typed_error(body: bytes, status: int) -> None:
    """By the status, or else a BadAnswerError."""
    with pytest.raises(ServiceError if status == 500 else BadAnswerError) as caught:
        _read(body, status)
    assert caught.value.http_status == status
    assert caught.value.session_id == "s-1"


@pytest.mark.parametrize("data", [5, [], "no json", {"contexts": 5}, {"contexts": [5]}])
def test_data_of_another_shape_is_a_bad_answer(data: object) -> None:
    """The message says what is wrong, and the hint where to look."""
    with pytest.raises(BadAnswerError, match=r"GetSession.*endpoint"):
        _read({"Success": True, "Data": data})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-acs-retry-after": "250"}, 0.25),
        ({"x-acs-retry-after": "0"}, None),
        ({"x-acs-retry-after": "soon", "Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:21 GMT"}, 1.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:19 GMT"}, 0.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "later"}, None),
        ({"Retry-After": "²"}, None),
        ({"x-acs-retry-after": "²"}, None),
    ],
)
def test_retry_after_is_read_from_either_header(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Milliseconds in one, seconds or a date in the other; invalid text is ignored."""
    assert retry_after(headers, _NOW) == seconds


@pytest.mark.parametrize("header", ["x-acs-retry-after", "Retry-After"])
def test_a_huge_retry_after_does_not_crash(header: str) -> None:
    """Any number of digits gives a number or None."""
    wait = retry_after({header: "9" * 5000}, _NOW)
    assert wait is None or wait > 0


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ThrottledError), (429, ThrottledError), (503, ServiceError)]
)
def test_an_error_with_retry_after_is_throttling_below_500(
    status: int, kind: type[AgentBayError]
) -> None:
    """The header decides; from 500 on, the service failed and may have acted."""
    with pytest.raises(kind) as caught:
        _read({"Code": "Whatever"}, status, **{"Retry-After": "4"})
    if isinstance(caught.value, ThrottledError):
        assert caught.value.retry_after == 4
