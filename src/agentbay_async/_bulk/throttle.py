"""Throttle of a bulk run: its rate, and a concurrency that adapts to the service."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agentbay_async._bulk.rate_limits import AdaptiveLimit, TokenBucket
from agentbay_async.errors import ThrottledError

if TYPE_CHECKING:
    from asyncio import Future

    from agentbay_async._clock import Clock
    from agentbay_async.errors import AgentBayError


class Throttle:
    """Limits how many workers of a run are active, and slows down when the service asks for it.

    Args:
        clock: Time.
        concurrency: How many may be active at once.
        bucket: The rate at which they may start; ``None`` sets no rate.
    """

    def __init__(self, clock: Clock, concurrency: int, bucket: TokenBucket | None = None) -> None:
        self.limit = AdaptiveLimit(concurrency)
        self._clock = clock
        self._bucket = bucket
        self._active = 0
        self._paused_until = 0.0
        self._waiters: deque[Future[None]] = deque()

    def try_acquire(self) -> bool:
        """Enter without waiting, if possible: the common case, which has to cost little."""
        if self._bucket is None and not self._paused_until and self._active < int(self.limit.size):
            self._active += 1
            return True
        return False

    async def acquire(self) -> None:
        """Wait for permission to enter. Always call :meth:`release` afterwards."""
        if self._bucket is not None and (wait := self._bucket.take(self._clock.monotonic())):
            await self._clock.sleep(wait)
        while self._active >= int(self.limit.size):
            await self._wait_for_room()
        self._active += 1
        if self._paused_until:
            await self._wait_for_pause()

    async def _wait_for_room(self) -> None:
        from asyncio import get_running_loop

        waiter = get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            # Cancelled, perhaps after it was woken: pass the wake-up on, or nobody gets it.
            self._wake_waiters()
            raise

    async def _wait_for_pause(self) -> None:
        try:
            while (wait := self._paused_until - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
        except BaseException:
            self.release(succeeded=False)
            raise

    def release(self, *, succeeded: bool) -> None:
        """Leave, and let the next one enter; a success raises the limit a little."""
        self._active -= 1
        if succeeded:
            self.limit.succeeded()
        if self._waiters:
            self._wake_waiters()

    def _wake_waiters(self) -> None:
        free = int(self.limit.size) - self._active
        while self._waiters and free > 0:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1

    def slow_down(self, epoch: int, error: ThrottledError) -> None:
        """Reduce the concurrency, because a call that started in `epoch` was throttled."""
        self.limit.throttled(epoch)
        if error.retry_after is not None:
            until = self._clock.monotonic() + error.retry_after
            self._paused_until = max(self._paused_until, until)


class WorkerHooks:
    """Call hooks of one worker: count its attempts, and report throttled calls to the throttle.

    Args:
        throttle: The throttle of the run.
        action: The action to count; others, such as polling a state, do not count. Throttled
            requests for sessions slow the run down as well.

    Attributes:
        attempts: How many requests were sent for the current input.
        epoch: The epoch of the adaptive limit in which the last of them was sent.
    """

    def __init__(self, throttle: Throttle, action: str) -> None:
        self._throttle = throttle
        self._action = action
        self._throttled_actions = (action, "CreateMcpSession")
        self.attempts = 0
        self.epoch = 0

    def sent(self, action: str) -> None:
        """Handle that a request is about to be sent."""
        if action == self._action:
            self.attempts += 1
        if action in self._throttled_actions:
            self.epoch = self._throttle.limit.epoch

    def failed(self, action: str, error: AgentBayError) -> None:
        """Handle that a request failed."""
        if action in self._throttled_actions and isinstance(error, ThrottledError):
            self._throttle.slow_down(self.epoch, error)
