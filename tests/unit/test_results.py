"""Results: reading the value of a failed result raises its error."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from agentbay_async import (
    APIError,
    CommandError,
    CommandOutput,
    CommandResult,
    DeleteResult,
    OperationResult,
    Result,
    SessionListResult,
    SessionPage,
    SessionResult,
)
from agentbay_async.models import contexts, results, tools

_ALL: list[type[Result[Any]]] = [
    kind
    for module in (results, contexts, tools)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Result) and kind.__module__ == module.__name__
]
_READS = [
    (kind, name)
    for kind in _ALL
    for name, value in vars(kind).items()
    if isinstance(value, property) and not name.startswith("_") and kind is not Result
]


def _error() -> APIError:
    return APIError("it broke", code="Some.Code", request_id="R-1", http_status=400)


@pytest.mark.parametrize("kind", _ALL)
def test_a_successful_result_has_no_error(kind: type[Result[Any]]) -> None:
    """Message and code are empty."""
    value = object()
    result = kind.ok(value, "R-1")
    assert type(result) is kind
    assert result.success
    assert result.unwrap() is value
    assert (result.error, result.error_message, result.code) == (None, "", "")
    assert result.http_status_code is None
    assert result.request_id == result.get_request_id() == "R-1"


@pytest.mark.parametrize("kind", _ALL)
def test_a_failed_result_has_the_facts_of_its_error(kind: type[Result[Any]]) -> None:
    """Message, code, status and request id."""
    error = _error()
    result = kind.failed(error)
    assert type(result) is kind
    assert not result.success
    assert (result.error, result.error_message) == (error, "it broke")
    assert (result.code, result.http_status_code, result.request_id) == ("Some.Code", 400, "R-1")
    with pytest.raises(APIError) as caught:
        result.unwrap()
    assert caught.value is error


@pytest.mark.parametrize(("kind", "name"), _READS)
def test_reading_a_failed_result_raises_its_error(kind: type[Result[Any]], name: str) -> None:
    """It never returns None; only the session id can be read."""
    if name == "session_id":
        assert getattr(kind.failed(_error()), name) == _error().session_id
        return
    with pytest.raises(APIError, match="it broke"):
        getattr(kind.failed(_error()), name)


@pytest.mark.parametrize("kind", _ALL)
def test_results_pickle(kind: type[Result[Any]]) -> None:
    """With their errors."""
    assert pickle.loads(pickle.dumps(kind.ok("v", "R"))) == kind.ok("v", "R")
    twin = pickle.loads(pickle.dumps(kind.failed(_error())))
    assert twin.error_message == "it broke"


def test_results_cannot_be_changed() -> None:
    """They are frozen."""
    result: Any = DeleteResult.ok()
    with pytest.raises(AttributeError):
        result.request_id = "other"


def test_a_session_can_be_mapped() -> None:
    """The value changes; request id and error stay."""
    assert SessionResult.ok(2, "R").map(str) == SessionResult.ok("2", "R")
    failed: SessionResult[int] = SessionResult.failed(_error())
    assert failed.map(str).error is failed.error
    assert failed.map(str).request_id == "R-1"


def test_a_page_can_be_mapped() -> None:
    """Sessions change; token and counts stay."""
    result: SessionListResult[int] = SessionListResult.ok(SessionPage([1, 2], "t", 2, 9), "R")
    changed = result.map(str)
    assert changed.unwrap() == SessionPage(["1", "2"], "t", 2, 9)
    assert changed.request_id == "R"
    assert (list(result), len(result)) == ([1, 2], 2)
    failed: SessionListResult[int] = SessionListResult.failed(_error())
    assert failed.map(str).error is failed.error


def test_a_failed_command_keeps_its_output() -> None:
    """A result may have an error and an output."""
    error = CommandError("no")
    result = CommandResult(CommandOutput("o", "e", 3, "t"), error, "R")
    assert not result.success
    assert (result.stdout, result.stderr, result.output) == ("o", "e", "oe")
    assert (result.exit_code, result.trace_id) == (3, "t")
    with pytest.raises(CommandError):
        result.unwrap()


def test_a_value_may_be_none() -> None:
    """An acknowledgement is a success with the value None."""
    result: OperationResult[None] = OperationResult.ok()
    assert result.success
    assert result.data is None
