"""How a run over many sessions goes: what its options come to."""

from __future__ import annotations

import attrs

from agentbay_async._bulk.rate_limits import TokenBucket


@attrs.frozen
class Plan:
    """How a run goes.

    Attributes:
        what: What it does, for messages.
        action: The action of the wire that does it.
        width: How many inputs are worked on at once.
        patience: Seconds for which an input that the service turns away is tried again.
        deadline: Seconds for the whole run, or ``None``.
        each_deadline: Seconds for one input, or ``None``.
        rate: How many inputs are begun in a second, or ``None``.
        burst: How many of them at once after a rest.
        trusted: Whether what is done is our own code alone, which cancels nothing.
    """

    what: str
    action: str
    width: int
    patience: float
    deadline: float | None = None
    each_deadline: float | None = None
    rate: float | None = None
    burst: float = 1.0
    trusted: bool = False

    def bucket(self) -> TokenBucket | None:
        """Return what keeps the rate."""
        return None if self.rate is None else TokenBucket(self.rate, self.burst)
