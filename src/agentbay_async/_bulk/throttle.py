"""How a run keeps the pace: at its own rate, and within what the service can bear."""

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
    """Lets the workers of one run in, and feels it when the service asks to slow down.

    Args:
        clock: Time.
        most: How many may be inside at once.
        bucket: The rate at which they may go in; ``None`` sets no rate.
    """

    def __init__(self, clock: Clock, most: int, bucket: TokenBucket | None = None) -> None:
        self.window = AdaptiveLimit(most)
        self._clock = clock
        self._bucket = bucket
        self._inside = 0
        self._held_until = 0.0
        self._waiting: deque[Future[None]] = deque()

    def slip_in(self) -> bool:
        """Enter if there is nothing to wait for: the common case, which must cost little."""
        if self._bucket is None and not self._held_until and self._inside < int(self.window.size):
            self._inside += 1
            return True
        return False

    async def enter(self) -> None:
        """Wait for one's turn. Each one that has entered leaves, whatever happens."""
        if self._bucket is not None and (wait := self._bucket.take(self._clock.monotonic())):
            await self._clock.sleep(wait)
        while self._inside >= int(self.window.size):
            await self._line_up()
        self._inside += 1
        if self._held_until:
            await self._hold()

    async def _line_up(self) -> None:
        from asyncio import get_running_loop

        turn = get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            # It may have been this one's turn already: then it is the next one's.
            self._wake()
            raise

    async def _hold(self) -> None:
        try:
            while (wait := self._held_until - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
        except BaseException:
            self.leave(passed=False)
            raise

    def leave(self, *, passed: bool) -> None:
        """Make room for the next one; `passed` says that the service was content."""
        self._inside -= 1
        if passed:
            self.window.passed()
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        free = int(self.window.size) - self._inside
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    def refused(self, epoch: int, error: ThrottledError) -> None:
        """Slow down, because one that came in with `epoch` was turned away."""
        self.window.refused(epoch)
        if error.retry_after is not None:
            until = self._clock.monotonic() + error.retry_after
            self._held_until = max(self._held_until, until)


class Attempts:
    """What one worker learns of its calls: how many were sent, and which were turned away.

    Args:
        pace: What slows down when one is turned away.
        action: The action that counts; others, such as looks at a state, do not. That of sessions
            being made sets the pace as well.
    """

    def __init__(self, pace: Throttle, action: str) -> None:
        self._pace = pace
        self._action = action
        self._paced = (action, "CreateMcpSession")
        self.count = 0
        self.epoch = 0

    def sent(self, action: str) -> None:
        """Hear that a request is about to be sent."""
        if action == self._action:
            self.count += 1
        if action in self._paced:
            self.epoch = self._pace.window.epoch

    def failed(self, action: str, error: AgentBayError) -> None:
        """Hear that it failed."""
        if action in self._paced and isinstance(error, ThrottledError):
            self._pace.refused(self.epoch, error)
