"""Any status, headers and body give an answer or a typed error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async._protocol import schema
from agentbay_async._protocol.envelope import Answer, read_answer, retry_after
from agentbay_async.errors import AgentBayError, APIError, BadAnswerError, PageTokenError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUESTS = [schema.GetSession(session_id="s-1"), schema.ListSession(), schema.SetLabel()]
_statuses = st.sampled_from([200, 204, 302, 400, 404, 429, 500, 503])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
_keys = st.sampled_from(
    ["Success", "Code", "Message", "RequestId", "Data", "NextToken", "MaxResults", "TotalCount"]
)
_headers = st.dictionaries(
    st.sampled_from(["Retry-After", "x-acs-retry-after"]), st.text() | st.integers().map(str)
)


def _read(request: Any, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    found = _outcome(request, status, body, headers)
    if isinstance(found, AgentBayError):
        assert found.http_status == status
        assert str(found)
    else:
        assert isinstance(found, Answer)
        assert status < 400


def _outcome(request: Any, status: int, body: bytes, headers: Mapping[str, str]) -> object:
    try:
        return read_answer(request, status, headers, body, 0.0)
    except (APIError, BadAnswerError, PageTokenError) as error:
        return error


@pytest.mark.parametrize("request_", _REQUESTS)
@given(status=_statuses, body=st.binary(), headers=_headers)
def test_any_body_is_an_answer_or_a_typed_error(
    request_: object, status: int, body: bytes, headers: dict[str, str]
) -> None:
    """No exception of a JSON parser escapes."""
    _read(request_, status, body, headers)


@pytest.mark.parametrize("request_", _REQUESTS)
@given(status=_statuses, document=_json | st.dictionaries(_keys, _json), headers=_headers)
def test_any_json_is_an_answer_or_a_typed_error(
    request_: object, status: int, document: object, headers: dict[str, str]
) -> None:
    """Also with the keys of the protocol and other values."""
    _read(request_, status, json.dumps(document).encode(), headers)


@given(st.dictionaries(_keys, _json))
def test_a_false_flag_is_never_a_success(document: dict[str, Any]) -> None:
    """Whatever the rest of the envelope."""
    body = json.dumps({**document, "Success": False}).encode()
    with pytest.raises((APIError, PageTokenError)):
        read_answer(schema.SetLabel(), 200, {}, body, 0.0)


@given(_headers, st.floats(0, 1e10))
def test_retry_after_is_never_negative(headers: dict[str, str], now: float) -> None:
    """Any header gives a number of seconds, or None."""
    wait = retry_after(headers, now)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("key", ["Code", "Message", "RequestId", "NextToken", "Data"])
def test_a_deeply_nested_envelope_is_a_typed_error(key: str) -> None:
    """Some depths can be parsed, but not formatted."""
    for depth in range(900, 1030):
        body = f'{{"{key}":{"[" * depth}{"]" * depth}}}'.encode()
        for status in (200, 400):
            assert _outcome(_REQUESTS[0], status, body, {}) is not None


_odd = st.integers().map(str) | st.just("9" * 30)


@given(
    st.builds(
        lambda day, year, hour, zone: f"Mon, {day} Jan {year} {hour}:00:00 {zone}",
        _odd,
        _odd,
        _odd,
        _odd | st.sampled_from(["GMT", "+0000"]) | _odd.map(lambda zone: f"+{zone}"),
    )
)
def test_an_invalid_date_is_ignored(date: str) -> None:
    """Years, days and zones that are out of range."""
    wait = retry_after({"Retry-After": date}, 1e9)
    assert wait is None or wait >= 0


@given(st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S GMT")))
def test_any_date_gives_a_delay(date: str) -> None:
    """A date in the past gives 0."""
    wait = retry_after({"Retry-After": date}, 1e9)
    assert wait is None or wait >= 0
