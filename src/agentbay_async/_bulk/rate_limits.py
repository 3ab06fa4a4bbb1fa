"""Rate limits: a token bucket, and a concurrency limit that adapts to throttling (AIMD).

Both are pure: the time is passed in, and the delay is returned in seconds. Callers sleep.
"""

from __future__ import annotations

import attrs


@attrs.define
class TokenBucket:
    """Allows `rate` calls per second, and `burst` calls at once after a pause.

    Callers that arrive early wait their turn: `take` books a token of the future and returns the
    delay, so that nobody has to ask twice and callers pass in the order in which they arrive.

    Example:
        >>> bucket = TokenBucket(rate=2, burst=1)
        >>> bucket.take(now=0.0), bucket.take(now=0.0), bucket.take(now=0.0)
        (0.0, 0.5, 1.0)
    """

    rate: float
    burst: float
    tokens: float = attrs.field(init=False)
    at: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, now: float) -> float:
        """Take one token; return the seconds to wait before it may be used."""
        if self.at is not None:
            # Processes share a bucket by a file, and the clock may be set back between two calls.
            self.tokens = min(self.burst, self.tokens + max(now - self.at, 0.0) * self.rate)
        self.at = now
        self.tokens -= 1.0
        return max(0.0, -self.tokens / self.rate)


@attrs.define
class AdaptiveLimit:
    """A concurrency limit with additive increase and multiplicative decrease (AIMD).

    Throttling halves the limit, and each round of successes adds one, as TCP does: concurrency
    falls fast enough to relieve an overloaded service, and returns slowly enough not to overload it
    again at once. All calls of one burst are throttled together, which is one signal and not a
    hundred. So each call notes the `epoch` in which it started, and only the first throttled call
    of an epoch halves the limit.

    Attributes:
        maximum: The upper bound.
        size: The limit now.
        epoch: How often the limit was halved.

    Example:
        >>> limit = AdaptiveLimit(maximum=8)
        >>> limit.throttled(0), limit.throttled(0), limit.size
        (True, False, 4.0)
        >>> limit.succeeded()
        >>> limit.size
        4.25
    """

    maximum: int
    size: float = attrs.field(init=False)
    epoch: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.size = float(self.maximum)

    def throttled(self, epoch: int) -> bool:
        """Halve the limit, unless it was halved since the call of `epoch` started."""
        if epoch != self.epoch:
            return False
        self.epoch += 1
        # Never below one: somebody has to find out whether the service has recovered.
        self.size = max(self.size / 2, 1.0)
        return True

    def succeeded(self) -> None:
        """Raise the limit by one for each `size` successes, up to the maximum."""
        if self.size < self.maximum:
            self.size = min(self.size + 1 / self.size, float(self.maximum))
