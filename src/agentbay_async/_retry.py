"""When to send a request again, and after how long. Pure: no clock, no I/O.

What decides is what could have reached the service. A request that surely did not, or that the
service turned away unread, may always be sent again; one that may have been acted on only if
sending it twice does no more than sending it once.

A service that is down is not helped by a client that sends everything four times, so what a client
sends again is kept to a share of what it sends.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs

from agentbay_async.errors import (
    APIError,
    BadAnswerError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    ServiceError,
    ThrottledError,
)

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError

_NOT_ACTED_ON = (ConnectionFailedError, ThrottledError)
_PERHAPS_ACTED_ON = (ConnectionLostError, RequestTimeoutError, BadAnswerError, ServiceError)


@attrs.frozen
class RetryPolicy:
    """How patient to be.

    Attributes:
        attempts: How often a request is sent at most. Default 4; 1 turns retries off.
        base: Upper bound of the first wait, in seconds; it doubles with every attempt.
        cap: Upper bound of any wait that the service did not ask for, in seconds.
        budget: How many repetitions each call earns the client. Default 0.1: in the long run, one
            request in ten.
        reserve: Repetitions that a client may have saved at most, and begins with. Default 100.
    """

    attempts: int = 4
    base: float = 0.2
    cap: float = 5.0
    budget: float = 0.1
    reserve: int = 100


class RetryBudget:
    """The repetitions that a client has left. What the service asks for costs nothing.

    Args:
        policy: How many are earned and saved.

    Example:
        >>> budget = RetryBudget(RetryPolicy(budget=0.5, reserve=1))
        >>> [budget.covers(ServiceError()), budget.covers(ServiceError())]
        [True, False]
    """

    __slots__ = ("_left", "_policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._left = float(policy.reserve)

    def earn(self) -> None:
        """Count a call."""
        if self._left < self._policy.reserve:
            self._left += self._policy.budget

    def covers(self, error: AgentBayError) -> bool:
        """Take one repetition out, and return whether there was one."""
        if isinstance(error, ThrottledError):
            # The service is well and says when to come back: that is no storm.
            return True
        if self._left < 1:
            return False
        self._left -= 1
        return True


def perhaps_acted_on(error: AgentBayError) -> bool:
    """Whether the service may have done what was asked, although the answer was lost."""
    return isinstance(error, _PERHAPS_ACTED_ON)


def next_wait(
    policy: RetryPolicy, attempt: int, error: AgentBayError, *, repeatable: bool, remaining: float
) -> float | None:
    """Return how many seconds to wait before the next attempt, or ``None`` to give up.

    Args:
        policy: How patient to be.
        attempt: The number of the attempt that failed; the first is 1.
        error: How it failed.
        repeatable: Whether sending the request twice does no more than sending it once.
        remaining: Seconds left until the deadline of the whole call.

    Example:
        >>> next_wait(RetryPolicy(), 4, ThrottledError(), repeatable=True, remaining=60) is None
        True
    """
    sendable = isinstance(error, _NOT_ACTED_ON) or (repeatable and perhaps_acted_on(error))
    if not sendable or attempt >= policy.attempts:
        return None
    wait = _jittered(policy, attempt)
    asked = error.retry_after if isinstance(error, APIError) else None
    if asked is not None:
        # Never earlier than asked for, and spread so that a crowd does not come back at once.
        wait += asked
    return wait if wait < remaining else None


def _jittered(policy: RetryPolicy, attempt: int) -> float:
    bound = min(policy.cap, policy.base * 2 ** (attempt - 1))
    return random.uniform(0, bound)  # noqa: S311  # spreads load; nothing secret hangs on it
