"""Admission: hold creates back by the budget of the client and the rate limit of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from anyio import to_thread

from agentbay_async._api import Api
from agentbay_async._bulk.host_rate import host_bucket
from agentbay_async._protocol import schema
from agentbay_async.errors import APIError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._protocol.envelope import Answer
    from agentbay_async._protocol.schema import Request
    from agentbay_async.errors import AgentBayError

D = TypeVar("D")

# After these errors no session exists. After all others, such as a timeout, the service may have
# created one, so it counts against the budget.
_NOT_CREATED = (APIError, ConnectionFailedError)


class AdmittingApi(Api):
    """An API that sends a create only when budget and rate limit allow it.

    It also records in the budget when sessions start and end.
    """

    async def call(
        self,
        request: Request[D],
        timeout: float | None = None,
        *,
        recover: Callable[[AgentBayError, float], Awaitable[Answer[D] | None]] | None = None,
        vital: bool = False,
        deadline: float | None = None,
    ) -> Answer[D]:
        """Send `request` if it may be sent; see :meth:`Api.call`.

        The deadline does not count the wait for the rate limit of the host.

        Raises:
            BudgetExceededError: The budget does not allow another session.
        """
        creates = isinstance(request, schema.CreateMcpSession)
        budget = self.settings.budget
        if creates and budget is not None:
            # Before it is sent, so that concurrent creates cannot exceed the budget together.
            budget.reserve(self.clock.monotonic())
        try:
            if creates:
                waited = await self._wait_for_turn()
                deadline = None if deadline is None else deadline + waited
            answer = await super().call(
                request, timeout, recover=recover, vital=vital, deadline=deadline
            )
        except _NOT_CREATED:
            if creates and budget is not None:
                budget.give_back()
            raise
        if budget is not None:
            self._record(request, answer)
        return answer

    async def _wait_for_turn(self) -> float:
        """Wait until the host may send a create; return the seconds that it took."""
        settings = self.settings
        if settings.host_limit is None:
            return 0.0
        began = self.clock.monotonic()
        bucket = host_bucket(settings.endpoint, settings.api_key, settings.host_limit)
        # In a thread: another process may hold the lock of the file.
        wait = await to_thread.run_sync(bucket.take, self.clock.time())
        if wait:
            await self.clock.sleep(wait)
        return self.clock.monotonic() - began

    def _record(self, request: Request[D], answer: Answer[D]) -> None:
        budget, now = self.settings.budget, self.clock.monotonic()
        if budget is not None and isinstance(answer.data, schema.CreatedSession):
            budget.begin(answer.data.session_id or "", now)
        elif budget is not None and isinstance(request, schema.DeleteSessionAsync):
            budget.end(request.session_id or "", now)
