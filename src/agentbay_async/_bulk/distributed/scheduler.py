"""Who gets which items next, and with which share of what the run may use."""

from __future__ import annotations

import os
from asyncio import get_running_loop
from collections import deque
from typing import TYPE_CHECKING

import attrs

from agentbay_async._bulk.distributed.prefetch import Prefetch
from agentbay_async._bulk.distributed.quota import Allowance, BudgetShare, Share, Shares

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable, Collection, Iterator

    from agentbay_async._bulk.distributed.engine import Report
    from agentbay_async._bulk.distributed.prefetch import Item
    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.options import MapTerms
    from agentbay_async._clock import Clock
    from agentbay_async.models.budget import Budget

# How many times over a chunk occupies its worker: more waste less of it, fewer are lost with it.
# Sessions do not outlive a chunk, so that of sessions that serve many items has more.
_ROUNDS = 2
_MOST_ROUNDS = 20
_HOUR = 3600.0


@attrs.define(eq=False)
class Chunk:
    """Some items that one worker works on.

    Attributes:
        items: Each with its place in the run.
        losses: How many workers died over it.
        label: What its sessions are labelled with; another one for each worker.
        place: Where it is worked on.
        share: What the worker may use.
        allowance: What it may spend.
        began: When it was dealt out, on the clock of the loop.
    """

    items: list[Item]
    losses: int = 0
    label: str = ""
    place: str = ""
    share: Share = attrs.field(default=Share(1, None))
    allowance: Allowance = attrs.field(default=Allowance())
    began: float = 0.0


class Scheduler:
    """Deals chunks to idle workers.

    Args:
        source: The items, packed.
        terms: How the run goes.
        width: How many items all workers work on at once; ``None`` lets each work on as many as
            the plan says.
        budget: What sessions may cost, or ``None``.
        clock: Time, for the budget.
        stir: Called when there may be more to deal.

    Attributes:
        feed: Where the items come from.
    """

    def __init__(
        self,
        source: Inputs[bytes],
        terms: MapTerms,
        width: int | None,
        budget: Budget | None,
        clock: Clock,
        stir: Callable[[], None],
    ) -> None:
        plan = terms.plan
        self._rounds = max(_ROUNDS, min(terms.uses or _MOST_ROUNDS, _MOST_ROUNDS))
        self.feed = Prefetch(source, self._rounds * plan.width, stir)
        self._source = source
        self._terms = terms
        self._shares = Shares(width, plan.width, plan.rate)
        self._purse = BudgetShare(budget)
        self._clock = clock
        self._stir = stir
        self._again: deque[Chunk] = deque()
        self._timers: list[TimerHandle] = []
        self._run = os.urandom(8).hex()
        self._chunks = self._dealt = 0

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to deal."""
        return self.feed.ended and not (self.feed or self._again)

    @property
    def is_broke(self) -> bool:
        """Whether there is no money for a session, unless somebody gives some back."""
        return self._purse.affordable(self._clock.monotonic()) == 0

    def deal(
        self, places: Collection[str], busy: Collection[str], *, hurry: bool
    ) -> Iterator[Chunk]:
        """Yield a chunk for each idle place, as long as there are shares and items.

        Args:
            places: Where there are workers.
            busy: Where they work.
            hurry: Whether to deal what there is, though more may be on its way.
        """
        idle = [place for place in places if place not in busy]
        for nth, place in enumerate(idle):
            share = self._shares.take(len(places))
            if share is None:
                return
            chunk = self._next(share.width, len(places), len(idle) - nth, hurry=hurry)
            if chunk is None:
                self._shares.give_back(share)
                return
            yield self._begun(chunk, share, place, len(places))

    def _next(self, width: int, places: int, idle: int, *, hurry: bool) -> Chunk | None:
        """Return what to work on next, or ``None`` while there is too little."""
        affordable = self._purse.affordable(self._clock.monotonic())
        if affordable == 0:
            return None
        if self._again:
            return self._again.popleft()
        size = self._size(width, places, idle)
        if affordable is not None and self._terms.uses == 1:
            size = min(size, affordable)
        if not self.feed or (len(self.feed) < size and not (hurry or self.feed.ended)):
            return None
        items = self.feed.take(size)
        self._dealt += len(items)
        return Chunk(items)

    def _size(self, width: int, places: int, idle: int) -> int:
        most, total = self._rounds * width, self._source.size
        if total is None:
            return most
        # Towards the end everybody gets a part of the rest, but no less than fills the worker.
        left = total - self._dealt
        fair = max(-(-left // places), min(-(-left // idle), width))
        return min(most, max(fair, 1))

    def _begun(self, chunk: Chunk, share: Share, place: str, places: int) -> Chunk:
        self._chunks += 1
        need = len(chunk.items) * (1 + self._terms.retries)
        chunk.label = f"{self._run}.{self._chunks}"
        chunk.place = place
        chunk.share = share
        chunk.allowance = self._purse.take(need, places, self._clock.monotonic())
        chunk.began = get_running_loop().time()
        return chunk

    def take_back(self, chunk: Chunk, report: Report | None) -> None:
        """Let others have what the worker of a chunk had.

        Args:
            chunk: The chunk.
            report: What came of it; ``None`` if that is not known.
        """
        lasted = get_running_loop().time() - chunk.began
        if report is None:
            # Nobody can say what was spent: all that may have been counts.
            hours = lasted * min(chunk.share.width, len(chunk.items)) / _HOUR
            self._purse.settle(chunk.allowance, chunk.allowance.sessions or 0, hours)
        else:
            self._purse.settle(chunk.allowance, report.sessions, report.session_hours)
        # A rate is free again when as many could have begun at it as have.
        rate = chunk.share.rate
        early = 0.0 if rate is None else len(chunk.items) / rate - lasted
        if early <= 0:
            self._shares.give_back(chunk.share)
        else:
            later = get_running_loop().call_later(early, self._give_back, chunk.share)
            self._timers.append(later)

    def _give_back(self, share: Share) -> None:
        now = get_running_loop().time()
        self._timers = [timer for timer in self._timers if timer.when() > now]
        self._shares.give_back(share)
        self._stir()

    def lose(self, chunk: Chunk) -> bool:
        """Note that the worker of a chunk died; return whether another one will get it."""
        chunk.losses += 1
        if chunk.losses > self._terms.retries:
            return False
        self._again.append(chunk)
        return True

    def give_up(self) -> Iterator[Chunk]:
        """Yield what is here and no worker has, and forget it."""
        while self._again:
            yield self._again.popleft()
        if self.feed:
            yield Chunk(self.feed.take(len(self.feed)))

    async def aclose(self) -> None:
        """Read no more items."""
        for timer in self._timers:
            timer.cancel()
        await self.feed.aclose()
