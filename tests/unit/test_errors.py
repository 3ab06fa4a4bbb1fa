"""Errors: the tree, the attributes, pickling."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

from agentbay_async import errors
from agentbay_async.errors import AgentBayError

_ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AgentBayError)
]

_FACTS: dict[str, Any] = {
    "code": "Some.Code",
    "request_id": "R-1",
    "http_status": 400,
    "retryable": True,
    "session_id": "s-1",
    "hint": "Do this",
}


def test_the_module_docstring_draws_the_tree() -> None:
    """Each class is drawn below its base class."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in _ALL}


@pytest.mark.parametrize("kind", _ALL)
def test_every_error_pickles_with_all_attributes(kind: type[AgentBayError]) -> None:
    """By every protocol; copies are the same."""
    error = kind("it broke", **_FACTS)
    vars(error)["path"] = "/f"
    error.attempts = (errors.Attempt(1, 0.5, 0.25, "it broke", 1.5),)
    pickled = [pickle.dumps(error, number) for number in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (*map(pickle.loads, pickled), copy.copy(error)):
        assert type(twin) is kind
        assert vars(twin) == vars(error)
        assert str(twin) == "it broke. Do this"
        assert twin.explain() == error.explain()
        assert twin.args == ("it broke",)


@pytest.mark.parametrize("kind", _ALL)
def test_every_error_can_be_made_without_arguments(kind: type[AgentBayError]) -> None:
    """All attributes have defaults; the text is never empty."""
    error = kind()
    assert error.message
    assert str(error) == error.message == error.args[0]
    assert (error.code, error.request_id) == ("", "")
    assert (error.http_status, error.session_id, error.hint) == (None, "", "")
    assert error.retryable is kind.RETRYABLE


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.InvalidArgumentError, ValueError),
        (errors.ArgumentTypeError, TypeError),
        (errors.ConfigurationError, ValueError),
        (errors.ClosedError, RuntimeError),
        (errors.BlockingCallError, RuntimeError),
        (errors.ConnectionFailedError, ConnectionError),
        (errors.ConnectionLostError, ConnectionError),
        (errors.RequestTimeoutError, TimeoutError),
        (errors.OperationTimeoutError, TimeoutError),
        (errors.ClearanceTimeoutError, TimeoutError),
        (errors.SyncTimeoutError, TimeoutError),
    ],
)
def test_errors_are_subclasses_of_the_standard_exceptions(
    kind: type[AgentBayError], base: type[Exception]
) -> None:
    """Catching the standard class catches ours."""
    with pytest.raises(base, match="it broke"):
        raise kind("it broke")
    assert str(kind("it broke", hint="Mend it")) == "it broke. Mend it"


def test_errors_that_may_pass_are_retryable() -> None:
    """By class; an instance may differ."""
    retryable = {kind for kind in _ALL if kind().retryable}
    assert retryable == {
        errors.TransportError,
        errors.ConnectionFailedError,
        errors.ConnectionLostError,
        errors.RequestTimeoutError,
        errors.BadAnswerError,
        errors.ThrottledError,
        errors.ServiceError,
        errors.OperationTimeoutError,
        errors.ClearanceTimeoutError,
        errors.SyncTimeoutError,
        errors.SyncMissingError,
        errors.WorkerLostError,
    }
    assert errors.ServiceError(retryable=False).retryable is False


def test_special_attributes_have_defaults() -> None:
    """They can be read before they are set."""
    assert errors.ThrottledError().retry_after is None
    assert errors.SessionStateError().status == ""
    assert errors.ContextSyncError().tasks == ()
    assert errors.TransferError().path == errors.FileError().path == ""
    command = errors.CommandError()
    assert (command.exit_code, command.stdout, command.stderr) == (1, "", "")


def test_an_error_without_attempts_explains_itself() -> None:
    """Such as one that was raised before anything was sent."""
    assert AgentBayError("it broke").explain() == "AgentBayError: it broke"


def test_the_official_name_of_the_status_works() -> None:
    """Programs written for the official client read ``status_code``."""
    assert errors.APIError(http_status=400).status_code == 400
