"""Retries: which failures are retried, and after what delay."""

from __future__ import annotations

import pytest

from agentbay_async._retry import RetryBudget, RetryPolicy, next_wait
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    AuthenticationError,
    BadAnswerError,
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    ServiceError,
    ThrottledError,
)

_POLICY = RetryPolicy(attempts=3, base=1.0, cap=4.0)


def _wait(
    error: AgentBayError, attempt: int = 1, *, repeatable: bool = True, remaining: float = 60
) -> float | None:
    return next_wait(_POLICY, attempt, error, repeatable=repeatable, remaining=remaining)


@pytest.mark.parametrize("kind", [ConnectionFailedError, ThrottledError])
@pytest.mark.parametrize("repeatable", [True, False])
def test_unprocessed_requests_are_always_retried(
    kind: type[AgentBayError], repeatable: bool
) -> None:
    """They did not reach the service, or it rejected them unread."""
    assert _wait(kind(), repeatable=repeatable) is not None


@pytest.mark.parametrize(
    "kind", [ConnectionLostError, RequestTimeoutError, BadAnswerError, ServiceError]
)
def test_perhaps_processed_requests_are_retried_if_idempotent(
    kind: type[AgentBayError],
) -> None:
    """A repeated create could create a second session."""
    assert _wait(kind()) is not None
    assert _wait(kind(), repeatable=False) is None


@pytest.mark.parametrize("kind", [APIError, AuthenticationError, ClosedError, AgentBayError])
def test_permanent_failures_are_not_retried(kind: type[AgentBayError]) -> None:
    """Errors of the caller, and rejections by the service."""
    assert _wait(kind()) is None


def test_attempts_are_counted() -> None:
    """The third of three is the last."""
    assert _wait(ServiceError(), 2) is not None
    assert _wait(ServiceError(), 3) is None


@pytest.mark.parametrize(("attempt", "bound"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)])
def test_delays_grow_up_to_a_bound_with_full_jitter(attempt: int, bound: float) -> None:
    """Many clients do not retry at the same moment."""
    policy = RetryPolicy(attempts=99, base=1.0, cap=4.0)
    error = ServiceError()
    waits = [next_wait(policy, attempt, error, repeatable=True, remaining=60) for _ in range(200)]
    assert all(wait is not None and 0 <= wait <= bound for wait in waits)
    assert len(set(waits)) > 100
    assert max(wait or 0 for wait in waits) > bound / 2


def test_retry_after_is_a_lower_bound() -> None:
    """With jitter on top, because many clients receive the same value."""
    error = ThrottledError()
    error.retry_after = 10.0
    waits = [_wait(error) for _ in range(50)]
    assert all(wait is not None and 10 <= wait <= 11 for wait in waits)
    assert len(set(waits)) > 25


def test_any_failure_may_have_a_retry_after() -> None:
    """Also one with status 503."""
    error = ServiceError()
    error.retry_after = 10.0
    wait = _wait(error)
    assert wait is not None
    assert 10 <= wait <= 11


@pytest.mark.parametrize("kind", [ConnectionLostError, ServiceError, ConnectionFailedError])
def test_a_budget_is_spent_and_refilled(kind: type[AgentBayError]) -> None:
    """The reserve is used first; then each call adds a part of a retry."""
    budget = RetryBudget(RetryPolicy(budget=0.25, reserve=2))
    assert [budget.covers(kind()) for _ in range(3)] == [True, True, False]
    for _ in range(4):
        assert not budget.covers(kind())
        budget.calls += 1
    assert budget.covers(kind())


def test_a_budget_holds_no_more_than_its_reserve() -> None:
    """Many successful calls do not allow many retries later."""
    budget = RetryBudget(RetryPolicy(budget=0.5, reserve=1))
    for _ in range(100):
        budget.calls += 1
    assert [budget.covers(ServiceError()) for _ in range(3)] == [True, False, False]


def test_throttled_requests_do_not_use_the_budget() -> None:
    """The service is up, and sets the pace."""
    assert RetryBudget(RetryPolicy(reserve=0)).covers(ThrottledError())


def test_a_delay_beyond_the_deadline_fails_at_once() -> None:
    """No time would remain for the attempt."""
    error = ThrottledError()
    error.retry_after = 10.0
    assert _wait(error, remaining=9.9) is None
    assert _wait(ServiceError(), remaining=0) is None
