"""How fast one may go: a token bucket, and a window that narrows when the service is overrun.

Pure: times come in as numbers and go out as seconds to wait. Who waits, and on which clock, is
decided elsewhere.
"""

from __future__ import annotations

import attrs


@attrs.define
class TokenBucket:
    """Lets `rate` pass in a second, and `burst` at once after a rest.

    Who comes too early is told how long to wait, and has its place in the line: the next one waits
    longer. So nobody has to ask twice, and the order of asking is the order of passing.

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
        """Take one token; return the seconds after which it may be used."""
        if self.at is not None:
            self.tokens = min(self.burst, self.tokens + max(now - self.at, 0.0) * self.rate)
        self.at = now
        self.tokens -= 1.0
        return max(0.0, -self.tokens / self.rate)


@attrs.define
class AdaptiveLimit:
    """How many may be under way at once: half as many after a refusal, one more after each round.

    A crowd that was let in together is refused together. So each one remembers the `epoch` it came
    in with, and only the first refusal of an epoch narrows the window.

    Attributes:
        most: The width that is never exceeded.
        size: The width now.
        epoch: How often it was narrowed.

    Example:
        >>> window = AdaptiveLimit(most=8)
        >>> window.refused(0), window.refused(0), window.size
        (True, False, 4.0)
        >>> window.passed()
        >>> window.size
        4.25
    """

    most: int
    size: float = attrs.field(init=False)
    epoch: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.size = float(self.most)

    def refused(self, epoch: int) -> bool:
        """Narrow the window, if one that came in with `epoch` is the first to be refused."""
        if epoch != self.epoch:
            return False
        self.epoch += 1
        self.size = max(self.size / 2, 1.0)
        return True

    def passed(self) -> None:
        """Widen the window a little: by one in all when as many have passed as fit into it."""
        if self.size < self.most:
            self.size = min(self.size + 1 / self.size, float(self.most))
