"""Retry policy: when to send a request again, and after which wait. No clock, no I/O.

A request may always be sent again if it certainly did not reach the service, or if the service
rejected it unread. If the service may have acted on it, it is sent again only if sending it twice
has the same effect as sending it once.

A client that sends everything four times makes an outage worse. Therefore a retry budget limits
repetitions to a share of the client's calls.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
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
    """Limits of retries.

    Attributes:
        attempts: Most attempts for one request. Default 4; 1 turns retries off.
        base: Upper bound of the first wait, in seconds. It doubles with each attempt. Default 0.2.
        cap: Upper bound of a wait that the service did not ask for, in seconds. Default 5.
        budget: Repetitions that each call adds to the client's budget. Default 0.1: in the long
            run, one request in ten may be a repetition.
        reserve: Repetitions that the budget starts with and can hold. Default 100.
    """

    attempts: int = 4
    base: float = 0.2
    cap: float = 5.0
    budget: float = 0.1
    reserve: int = 100

    def __attrs_post_init__(self) -> None:
        _check.positive_int(self.attempts, "attempts")


class RetryBudget:
    """The repetitions that a client has left.

    Args:
        policy: How fast the budget fills, and how much it holds.

    Attributes:
        calls: Calls since the last repetition; the client counts them.

    Example:
        >>> budget = RetryBudget(RetryPolicy(budget=0.5, reserve=1))
        >>> [budget.covers(ServiceError()), budget.covers(ServiceError())]
        [True, False]
    """

    __slots__ = ("_left", "_policy", "calls")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._left = float(policy.reserve)
        self.calls = 0

    def covers(self, error: AgentBayError) -> bool:
        """Take one repetition; return False if none is left. Throttled requests are free."""
        if isinstance(error, ThrottledError):
            # The service is up, and has said when to come back.
            return True
        earned = self.calls * self._policy.budget
        self.calls = 0
        self._left = min(float(self._policy.reserve), self._left + earned)
        if self._left < 1:
            return False
        self._left -= 1
        return True


def perhaps_acted_on(error: AgentBayError) -> bool:
    """Return whether the service may have acted on the request although the answer was lost."""
    return isinstance(error, _PERHAPS_ACTED_ON)


def next_wait(
    policy: RetryPolicy, attempt: int, error: AgentBayError, *, repeatable: bool, remaining: float
) -> float | None:
    """Return the seconds to wait before the next attempt, or ``None`` to give up.

    Args:
        policy: The limits.
        attempt: The number of the attempt that failed; the first is 1.
        error: Its error.
        repeatable: Whether sending the request twice has the same effect as sending it once.
        remaining: Seconds left until the deadline of the whole call.

    Example:
        >>> next_wait(RetryPolicy(), 4, ThrottledError(), repeatable=True, remaining=60) is None
        True
    """
    sendable = isinstance(error, _NOT_ACTED_ON) or (repeatable and perhaps_acted_on(error))
    # An answer that is too large, another server or a failed TLS handshake would be met again.
    if not (sendable and error.retryable) or attempt >= policy.attempts:
        return None
    wait = _jittered(policy, attempt)
    asked = error.retry_after if isinstance(error, APIError) else None
    if asked is not None:
        # Never earlier than the service asked. The jitter keeps many clients from coming back at
        # the same moment.
        wait += asked
    return wait if wait < remaining else None


def _jittered(policy: RetryPolicy, attempt: int) -> float:
    bound = min(policy.cap, policy.base * 2 ** (attempt - 1))
    return random.uniform(0, bound)  # noqa: S311  # jitter needs no secret
