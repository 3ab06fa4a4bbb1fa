"""What stands between a wanted session and the request for it: the budget, the host's rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from anyio import to_thread

from agentbay_async._bulk.host_rate import host_bucket
from agentbay_async._protocol import schema
from agentbay_async.errors import APIError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._clock import Clock
    from agentbay_async._protocol.envelope import Answer
    from agentbay_async._protocol.schema import Request
    from agentbay_async.config import Settings

D = TypeVar("D")

# After these no session was made; after others one may have been, and it is counted.
_REFUSED = (APIError, ConnectionFailedError)


class Admission:
    """Lets requests for sessions pass when they may, and sees sessions end.

    Args:
        settings: The budget, and the rate that is shared on this host.
        clock: Time.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._budget = settings.budget
        rate = settings.host_limit
        self._bucket = (
            None if rate is None else host_bucket(settings.endpoint, settings.api_key, rate)
        )

    async def call(
        self, request: Request[D], send: Callable[[], Awaitable[Answer[D]]]
    ) -> Answer[D]:
        """Send a request, if it may be sent.

        Raises:
            BudgetExceededError: It may not.
        """
        if isinstance(request, schema.CreateMcpSession):
            return await self._create(send)
        answer = await send()
        if isinstance(request, schema.DeleteSessionAsync) and self._budget is not None:
            self._budget.end(request.session_id or "", self._clock.monotonic())
        return answer

    async def _create(self, send: Callable[[], Awaitable[Answer[D]]]) -> Answer[D]:
        if self._budget is not None:
            self._budget.reserve(self._clock.monotonic())
        try:
            await self._turn()
            answer = await send()
        except _REFUSED:
            if self._budget is not None:
                self._budget.give_back()
            raise
        if self._budget is not None and isinstance(answer.data, schema.CreatedSession):
            self._budget.begin(answer.data.session_id or "", self._clock.monotonic())
        return answer

    async def _turn(self) -> None:
        if self._bucket is None:
            return
        # The lock is held for moments, but a file is a file.
        wait = await to_thread.run_sync(self._bucket.take, self._clock.time())
        if wait:
            await self._clock.sleep(wait)
