"""Scheduler of a distributed map: assign chunks of items to idle workers."""

from __future__ import annotations

import os
from asyncio import Event, create_task, get_running_loop, wait
from collections import deque
from typing import TYPE_CHECKING

import attrs

from agentbay_async._bulk.distributed.quota import Allowance, BudgetShare, Quota, QuotaPool

if TYPE_CHECKING:
    from asyncio import Task, TimerHandle
    from collections.abc import Callable, Collection, Iterator

    from agentbay_async._bulk.distributed.engine import ChunkResult
    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.map_sessions import MapOptions
    from agentbay_async._clock import Clock
    from agentbay_async.models.budget import Budget

    Item = tuple[int, bytes]

# The size of a chunk, as a multiple of the concurrency of its worker. A worker waits for the
# slowest item of a chunk, so a larger chunk wastes less of its time; but all items of a chunk are
# processed again when the worker dies. Sessions do not outlive a chunk: if one session serves many
# items, chunks have to be that much larger.
_MIN_ROUNDS = 2
_MAX_ROUNDS = 20
_HOUR = 3600.0


class Prefetch:
    """Reads items ahead of the workers, so that a slow iterable does not delay finished chunks.

    Args:
        inputs: The items.
        size: How many items to hold at most.
        on_change: Called when there are more items, or no more.

    Attributes:
        ended: Whether all items were read.
        error: The error that the iterable raised, or ``None``.
    """

    def __init__(self, inputs: Inputs[bytes], size: int, on_change: Callable[[], None]) -> None:
        self.ended = False
        self.error: Exception | None = None
        self._inputs = inputs
        self._size = size
        self._on_change = on_change
        self._items: deque[Item] = deque()
        self._room = Event()
        self._task: Task[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def start(self) -> None:
        """Start to read."""
        self._task = create_task(self._read())

    async def _read(self) -> None:
        try:
            while (item := await self._inputs.take()) is not None:
                self._items.append(item)
                if len(self._items) >= self._size:
                    self._on_change()
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self.error = error
        finally:
            self.ended = True
            self._on_change()

    def take(self, limit: int) -> list[Item]:
        """Return at most `limit` items."""
        taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
        if len(self._items) < self._size:
            self._room.set()
        return taken

    async def aclose(self) -> None:
        """Stop to read."""
        if self._task is not None:
            self._task.cancel()
            await wait([self._task])
        await self._inputs.aclose()


@attrs.define(eq=False)
class Chunk:
    """Items that one worker processes.

    Attributes:
        items: The index in the run and the pickled value of each item.
        losses: How many workers were lost while they processed the chunk.
        label: The label of its sessions; a new one for each worker.
        slot: Where it runs.
        quota: The quota of its worker.
        allowance: What it may spend of the budget.
        started_at: When it was assigned, by the clock of the event loop.
    """

    items: list[Item]
    losses: int = 0
    label: str = ""
    slot: str = ""
    quota: Quota = attrs.field(default=Quota(1, None))
    allowance: Allowance = attrs.field(default=Allowance())
    started_at: float = 0.0


class Scheduler:
    """Assigns chunks to idle slots.

    Args:
        inputs: The items, pickled.
        options: How the run proceeds.
        max_concurrency: How many items all workers process at once; ``None`` lets each worker
            process as many as the options say.
        budget: The budget of the client, or ``None``.
        clock: Time, for the budget.
        on_change: Called when there may be more to assign.

    Attributes:
        prefetch: The items that were read and not yet assigned.
    """

    def __init__(
        self,
        inputs: Inputs[bytes],
        options: MapOptions,
        max_concurrency: int | None,
        budget: Budget | None,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        run = options.run
        self._rounds = max(_MIN_ROUNDS, min(options.max_uses or _MAX_ROUNDS, _MAX_ROUNDS))
        self.prefetch = Prefetch(inputs, self._rounds * run.concurrency, on_change)
        self._inputs = inputs
        self._options = options
        self._quotas = QuotaPool(max_concurrency, run.concurrency, run.rate)
        self._budget = BudgetShare(budget)
        self._clock = clock
        self._on_change = on_change
        self._requeued: deque[Chunk] = deque()
        self._timers: list[TimerHandle] = []
        # Labels of two runs must differ, or one would delete the sessions of the other.
        self._run_id = os.urandom(8).hex()
        self._chunks = self._assigned_items = 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to assign."""
        return self.prefetch.ended and not (self.prefetch or self._requeued)

    @property
    def is_out_of_budget(self) -> bool:
        """Whether the budget allows no session, until a chunk returns a part of it."""
        return self._budget.affordable(self._clock.monotonic()) == 0

    def assign(
        self, slots: Collection[str], busy: Collection[str], *, flush: bool
    ) -> Iterator[Chunk]:
        """Yield a chunk for each idle slot, while there are quotas and items.

        Args:
            slots: The slots of the cluster.
            busy: The slots that process a chunk.
            flush: Whether to assign chunks that are not full although more items may follow.
        """
        idle = [slot for slot in slots if slot not in busy]
        for number, slot in enumerate(idle):
            quota = self._quotas.acquire(len(slots))
            if quota is None:
                return
            remaining = len(idle) - number
            chunk = self._next_chunk(quota.concurrency, len(slots), remaining, flush=flush)
            if chunk is None:
                self._quotas.release(quota)
                return
            yield self._start(chunk, quota, slot, len(slots))

    def _next_chunk(self, concurrency: int, slots: int, idle: int, *, flush: bool) -> Chunk | None:
        """Return the next chunk, or ``None`` while there is too little for one."""
        affordable = self._budget.affordable(self._clock.monotonic())
        if affordable == 0:
            return None
        if self._requeued:
            return self._requeued.popleft()
        size = self._chunk_size(concurrency, slots, idle)
        if affordable is not None and self._options.max_uses == 1:
            size = min(size, affordable)
        available = len(self.prefetch)
        if not available or (available < size and not (flush or self.prefetch.ended)):
            return None
        items = self.prefetch.take(size)
        self._assigned_items += len(items)
        return Chunk(items)

    def _chunk_size(self, concurrency: int, slots: int, idle: int) -> int:
        full, total = self._rounds * concurrency, self._inputs.size
        if total is None:
            return full
        # Towards the end each slot gets an equal part of the rest, so that no worker is left alone
        # with a full chunk; but not fewer items than its worker processes at once.
        left = total - self._assigned_items
        fair = max(-(-left // slots), min(-(-left // idle), concurrency))
        return min(full, max(fair, 1))

    def _start(self, chunk: Chunk, quota: Quota, slot: str, slots: int) -> Chunk:
        self._chunks += 1
        max_sessions = len(chunk.items) * (1 + self._options.retries)
        chunk.label = f"{self._run_id}.{self._chunks}"
        chunk.slot = slot
        chunk.quota = quota
        chunk.allowance = self._budget.reserve(max_sessions, slots, self._clock.monotonic())
        chunk.started_at = get_running_loop().time()
        return chunk

    def release(self, chunk: Chunk, result: ChunkResult | None) -> None:
        """Return the quota and the unused budget of a chunk.

        Args:
            chunk: The chunk.
            result: Its result; ``None`` if that is not known.
        """
        seconds = get_running_loop().time() - chunk.started_at
        if result is None:
            # A dead worker reports nothing: assume that it spent all that it was allowed.
            hours = seconds * min(chunk.quota.concurrency, len(chunk.items)) / _HOUR
            self._budget.settle(chunk.allowance, chunk.allowance.sessions or 0, hours)
        else:
            self._budget.settle(chunk.allowance, result.sessions, result.session_hours)
        # A worker may have started its items faster than its rate, in a burst. Its rate is returned
        # when it would have started them all, so that the run as a whole keeps the rate.
        rate = chunk.quota.rate
        delay = 0.0 if rate is None else len(chunk.items) / rate - seconds
        if delay <= 0:
            self._quotas.release(chunk.quota)
        else:
            timer = get_running_loop().call_later(delay, self._release_quota, chunk.quota)
            self._timers.append(timer)

    def _release_quota(self, quota: Quota) -> None:
        now = get_running_loop().time()
        self._timers = [timer for timer in self._timers if timer.when() > now]
        self._quotas.release(quota)
        self._on_change()

    def requeue(self, chunk: Chunk) -> bool:
        """Queue a chunk whose worker was lost; return False if it has no retries left."""
        chunk.losses += 1
        if chunk.losses > self._options.retries:
            return False
        self._requeued.append(chunk)
        return True

    def drain(self) -> Iterator[Chunk]:
        """Remove all chunks and items that are not assigned, and yield them."""
        while self._requeued:
            yield self._requeued.popleft()
        if self.prefetch:
            yield Chunk(self.prefetch.take(len(self.prefetch)))

    async def aclose(self) -> None:
        """Read no more items."""
        for timer in self._timers:
            timer.cancel()
        await self.prefetch.aclose()
