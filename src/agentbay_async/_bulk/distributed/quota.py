"""Quotas of workers: their parts of the concurrency, the rate and the budget of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from agentbay_async.models.budget import Budget


@attrs.define
class DividedLimit:
    """A limit of a run, divided among workers.

    The parts never add up to more than the limit. A part that a worker returns, also a dead one, is
    available for the next. A remainder much smaller than a fair part is kept until there is more:
    a worker with a tiny rate would occupy its slot and hardly progress.

    Attributes:
        total: The limit.
        integral: Whether parts are whole numbers; early workers then get the remainder.
        available: The part that no worker has.
        holders: How many workers have a part.

    Example:
        >>> limit = DividedLimit(10, integral=True)
        >>> limit.acquire(3), limit.acquire(3), limit.acquire(3), limit.acquire(3)
        (4, 3, 3, None)
    """

    total: float
    integral: bool = False
    available: float = attrs.field(init=False)
    holders: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.available = self.total

    def acquire(self, slots: int) -> float | None:
        """Return the part of one of `slots` workers, or ``None`` if too little is available."""
        waiting = max(slots - self.holders, 1)
        part = -(-self.available // waiting) if self.integral else self.available / waiting
        minimum = 1 if self.integral else self.total / slots / 2
        if part < minimum:
            return None
        self.available -= part
        self.holders += 1
        return part

    def release(self, part: float) -> None:
        """Return a part."""
        self.holders -= 1
        # Rounding errors of floating point would add up; without holders the total is available.
        self.available = self.available + part if self.holders else self.total


@attrs.frozen
class Quota:
    """The part of one worker while it processes a chunk.

    Attributes:
        concurrency: How many items it processes at once.
        rate: How many items it starts per second, or ``None``.
    """

    concurrency: int
    rate: float | None


class QuotaPool:
    """Divides the concurrency and the rate of a run among its workers.

    Args:
        max_concurrency: How many items all workers process at once; ``None`` sets no limit.
        per_worker: How many items one worker processes at once without such a limit.
        rate: How many items all workers start per second, or ``None``.
    """

    def __init__(self, max_concurrency: int | None, per_worker: int, rate: float | None) -> None:
        self._max_concurrency = max_concurrency
        self._per_worker = per_worker
        self._concurrency = (
            None if max_concurrency is None else DividedLimit(max_concurrency, integral=True)
        )
        self._rate = None if rate is None else DividedLimit(rate)

    def acquire(self, slots: int) -> Quota | None:
        """Return the quota of one of `slots` workers, or ``None`` if too little is available."""
        # With fewer items at once than slots, the other slots stay idle and need no rate.
        used = slots if self._max_concurrency is None else min(slots, self._max_concurrency)
        if self._concurrency is None:
            concurrency: float | None = self._per_worker
        else:
            concurrency = self._concurrency.acquire(used)
        if concurrency is None:
            return None
        rate = None if self._rate is None else self._rate.acquire(used)
        if self._rate is not None and rate is None:
            self._release_concurrency(concurrency)
            return None
        return Quota(int(concurrency), rate)

    def release(self, quota: Quota) -> None:
        """Return a quota."""
        self._release_concurrency(quota.concurrency)
        if self._rate is not None and quota.rate is not None:
            self._rate.release(quota.rate)

    def _release_concurrency(self, concurrency: float) -> None:
        if self._concurrency is not None:
            self._concurrency.release(concurrency)


@attrs.frozen
class Allowance:
    """The share of a budget that one chunk may spend; ``None`` sets no limit."""

    sessions: int | None = None
    hours: float | None = None


class BudgetShare:
    """Divides the budget of the caller among chunks.

    The sessions that a chunk may need are charged before it is sent, and settled when its result is
    known: workers in other processes cannot ask the budget.

    Args:
        budget: The budget, or ``None``.
    """

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget

    def affordable(self, now: float) -> int | None:
        """Return how many sessions the budget allows; ``None`` means no limit."""
        if self._budget is None:
            return None
        sessions, hours = self._budget.left(now)
        return 0 if hours == 0 else sessions

    def reserve(self, sessions: int, slots: int, now: float) -> Allowance:
        """Charge at most `sessions` for a chunk, and return what it may spend."""
        if self._budget is None:
            return Allowance()
        sessions_left, hours_left = self._budget.left(now)
        reserved = None if sessions_left is None else min(sessions, sessions_left)
        self._budget.charge(reserved or 0, 0.0)
        return Allowance(reserved, None if hours_left is None else hours_left / slots)

    def settle(self, allowance: Allowance, sessions: int, hours: float) -> None:
        """Charge what a chunk has spent instead of what was reserved for it."""
        if self._budget is not None:
            self._budget.charge(sessions - (allowance.sessions or 0), hours)
