"""Admission of requests for sessions: the budget of the client, and the rate of the host."""

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

# After these errors no session exists. After all others, such as a timeout, the service may have
# created one, so it counts against the budget.
_NOT_CREATED = (APIError, ConnectionFailedError)


class Admission:
    """Delays or rejects requests for sessions, and counts sessions against the budget.

    Args:
        settings: The budget, and the rate that the processes of this host share.
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
        """Send a request when it is admitted, and return the answer.

        Raises:
            BudgetExceededError: The budget does not allow another session.
        """
        if isinstance(request, schema.CreateMcpSession):
            return await self._create(send)
        answer = await send()
        if isinstance(request, schema.DeleteSessionAsync) and self._budget is not None:
            self._budget.end(request.session_id or "", self._clock.monotonic())
        return answer

    async def _create(self, send: Callable[[], Awaitable[Answer[D]]]) -> Answer[D]:
        # Reserved before it is sent, so that concurrent creates cannot exceed the budget together.
        if self._budget is not None:
            self._budget.reserve(self._clock.monotonic())
        try:
            await self._wait_for_rate()
            answer = await send()
        except _NOT_CREATED:
            if self._budget is not None:
                self._budget.give_back()
            raise
        if self._budget is not None and isinstance(answer.data, schema.CreatedSession):
            self._budget.begin(answer.data.session_id or "", self._clock.monotonic())
        return answer

    async def _wait_for_rate(self) -> None:
        if self._bucket is None:
            return
        # In a thread: another process may hold the lock of the file.
        wait = await to_thread.run_sync(self._bucket.take, self._clock.time())
        if wait:
            await self._clock.sleep(wait)
