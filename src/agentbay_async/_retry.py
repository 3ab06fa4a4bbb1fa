"""When to send a request again, and after how long. Pure: no clock, no I/O.

What decides is what could have reached the service. A request that surely did not, or that the
service turned away unread, may always be sent again; one that may have been acted on only if
sending it twice does no more than sending it once.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs

from agentbay_async.errors import (
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
    """

    attempts: int = 4
    base: float = 0.2
    cap: float = 5.0


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
    sendable = isinstance(error, _NOT_ACTED_ON) or (
        repeatable and isinstance(error, _PERHAPS_ACTED_ON)
    )
    if not sendable or attempt >= policy.attempts:
        return None
    wait = _jittered(policy, attempt)
    asked = error.retry_after if isinstance(error, ThrottledError) else None
    if asked is not None:
        # Never earlier than asked for, and spread so that a crowd does not come back at once.
        wait += asked
    return wait if wait < remaining else None


def _jittered(policy: RetryPolicy, attempt: int) -> float:
    bound = min(policy.cap, policy.base * 2 ** (attempt - 1))
    return random.uniform(0, bound)  # noqa: S311  # spreads load; nothing secret hangs on it
