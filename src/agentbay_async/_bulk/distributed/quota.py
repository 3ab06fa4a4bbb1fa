"""What the workers of a run share: its concurrency, its rate, and the caller's budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async._bulk.distributed.portions import Portions

if TYPE_CHECKING:
    from agentbay_async.models.budget import Budget


@attrs.frozen
class Share:
    """What one worker may use while it works on a chunk.

    Attributes:
        width: How many items it works on at once.
        rate: How many it begins in a second, or ``None``.
    """

    width: int
    rate: float | None


class Shares:
    """Deals shares to the workers that are there, so that they never exceed what the run may use.

    Args:
        width: How many items all workers work on at once, or ``None``.
        each: How many one of them works on at once if nothing is said for all.
        rate: How many items are begun in a second by all, or ``None``.
    """

    def __init__(self, width: int | None, each: int, rate: float | None) -> None:
        self._most = width
        self._each = each
        self._widths = None if width is None else Portions(width, counted=True)
        self._rates = None if rate is None else Portions(rate)

    def take(self, places: int) -> Share | None:
        """Return the share of one of so many workers, or ``None`` while there is none for it."""
        seats = places if self._most is None else min(places, self._most)
        width = self._each if self._widths is None else self._widths.take(seats)
        if width is None:
            return None
        rate = None if self._rates is None else self._rates.take(seats)
        if self._rates is not None and rate is None:
            self._return_width(width)
            return None
        return Share(int(width), rate)

    def give_back(self, share: Share) -> None:
        """Take a share back."""
        self._return_width(share.width)
        if self._rates is not None and share.rate is not None:
            self._rates.give_back(share.rate)

    def _return_width(self, width: float) -> None:
        if self._widths is not None:
            self._widths.give_back(width)


@attrs.frozen
class Allowance:
    """What a worker may spend of a budget on one chunk; ``None`` sets no limit."""

    sessions: int | None = None
    hours: float | None = None


class BudgetShare:
    """Hands out a budget; what a worker may need is set aside for it until it has reported.

    Args:
        budget: The caller's, or ``None``.
    """

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget

    def affordable(self, now: float) -> int | None:
        """Return how many sessions there is money for; ``None`` sets no limit."""
        if self._budget is None:
            return None
        sessions, hours = self._budget.left(now)
        return 0 if hours == 0 else sessions

    def take(self, need: int, places: int, now: float) -> Allowance:
        """Set aside sessions for a chunk, and a part of the hours."""
        if self._budget is None:
            return Allowance()
        sessions, hours = self._budget.left(now)
        part = None if sessions is None else min(need, sessions)
        self._budget.charge(part or 0, 0.0)
        return Allowance(part, None if hours is None else hours / places)

    def settle(self, allowance: Allowance, sessions: int, hours: float) -> None:
        """Book what was spent in place of what was set aside."""
        if self._budget is not None:
            self._budget.charge(sessions - (allowance.sessions or 0), hours)
