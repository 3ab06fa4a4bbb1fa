"""When to send again, and after how long."""

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
def test_what_was_not_acted_on_is_always_sent_again(
    kind: type[AgentBayError], repeatable: bool
) -> None:
    """It never reached the service, or was turned away unread."""
    assert _wait(kind(), repeatable=repeatable) is not None


@pytest.mark.parametrize(
    "kind", [ConnectionLostError, RequestTimeoutError, BadAnswerError, ServiceError]
)
def test_what_was_perhaps_acted_on_is_sent_again_if_that_does_no_harm(
    kind: type[AgentBayError],
) -> None:
    """A repeated create could be a second session."""
    assert _wait(kind()) is not None
    assert _wait(kind(), repeatable=False) is None


@pytest.mark.parametrize("kind", [APIError, AuthenticationError, ClosedError, AgentBayError])
def test_what_will_not_change_is_not_sent_again(kind: type[AgentBayError]) -> None:
    """The service said no, or the caller did wrong."""
    assert _wait(kind()) is None


def test_attempts_are_counted() -> None:
    """The third of three is the last."""
    assert _wait(ServiceError(), 2) is not None
    assert _wait(ServiceError(), 3) is None


@pytest.mark.parametrize(("attempt", "bound"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)])
def test_waits_grow_up_to_a_bound_and_are_spread(attempt: int, bound: float) -> None:
    """Anywhere between nothing and the bound, so that a crowd does not come back at once."""
    policy = RetryPolicy(attempts=99, base=1.0, cap=4.0)
    error = ServiceError()
    waits = [next_wait(policy, attempt, error, repeatable=True, remaining=60) for _ in range(200)]
    assert all(wait is not None and 0 <= wait <= bound for wait in waits)
    assert len(set(waits)) > 100
    assert max(wait or 0 for wait in waits) > bound / 2


def test_the_service_is_never_come_back_to_earlier_than_it_asked() -> None:
    """What it asks for is a lower bound, and not everybody comes back at that moment."""
    error = ThrottledError()
    error.retry_after = 10.0
    waits = [_wait(error) for _ in range(50)]
    assert all(wait is not None and 10 <= wait <= 11 for wait in waits)
    assert len(set(waits)) > 25


def test_a_service_that_failed_may_say_when_to_come_back_too() -> None:
    """Any refusal may carry the time to wait."""
    error = ServiceError()
    error.retry_after = 10.0
    wait = _wait(error)
    assert wait is not None
    assert 10 <= wait <= 11


@pytest.mark.parametrize("kind", [ConnectionLostError, ServiceError, ConnectionFailedError])
def test_a_budget_is_spent_and_refilled(kind: type[AgentBayError]) -> None:
    """The reserve is used up first; then each call adds a part of a repetition."""
    budget = RetryBudget(RetryPolicy(budget=0.25, reserve=2))
    assert [budget.covers(kind()) for _ in range(3)] == [True, True, False]
    for _ in range(4):
        assert not budget.covers(kind())
        budget.calls += 1
    assert budget.covers(kind())


def test_a_budget_holds_no_more_than_its_reserve() -> None:
    """Many successful calls do not allow many repetitions later."""
    budget = RetryBudget(RetryPolicy(budget=0.5, reserve=1))
    for _ in range(100):
        budget.calls += 1
    assert [budget.covers(ServiceError()) for _ in range(3)] == [True, False, False]


def test_throttled_requests_do_not_use_the_budget() -> None:
    """The service is up, and says when to come back."""
    assert RetryBudget(RetryPolicy(reserve=0)).covers(ThrottledError())


def test_a_wait_that_ends_after_the_deadline_is_not_begun() -> None:
    """There would be no time left to ask."""
    error = ThrottledError()
    error.retry_after = 10.0
    assert _wait(error, remaining=9.9) is None
    assert _wait(ServiceError(), remaining=0) is None
