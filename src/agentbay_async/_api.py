"""Calls to the service: send, read, and send again where that is right.

The one way from a method of the library to the wire. Methods give a request of
:mod:`agentbay_async._protocol.schema` and get its answer, or the error raised.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from agentbay_async._clock import SystemClock
from agentbay_async._hooks import call_hooks
from agentbay_async._lifecycle.shielding import BackgroundTasks
from agentbay_async._protocol import schema
from agentbay_async._protocol.envelope import Answer, read_answer
from agentbay_async._retry import RetryBudget, RetryPolicy, next_wait, perhaps_acted_on
from agentbay_async.config import LOCAL
from agentbay_async.errors import (
    AgentBayError,
    Attempt,
    ClosedError,
    SessionNotFoundError,
    UsageError,
)
from agentbay_async.models.sessions import ENDING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._bulk.admission import Admission
    from agentbay_async._clock import Clock
    from agentbay_async._lifecycle.ledger import Ledger
    from agentbay_async._protocol.schema import Request
    from agentbay_async._transport.access import Access
    from agentbay_async._transport.http import Http
    from agentbay_async._transport.pool import Pools
    from agentbay_async._transport.websocket_connections import Sockets
    from agentbay_async.config import Settings

D = TypeVar("D")

logger: logging.Logger = logging.getLogger("agentbay")

# To these it is no news that a session is gone.
_AT_THE_END = frozenset({"DeleteSessionAsync", "GetSessionDetail"})


class Api:
    """The service, as a function from requests to answers.

    Args:
        settings: Where it is and how long to wait.
        retry: How patient to be.
        clock: Time; see :mod:`agentbay_async._clock`.

    Attributes:
        access: How each session that somebody holds is reached directly, by its id.
        retry: How patient it is.
        chores: Work of the client's own that goes on after the call that began it.
    """

    def __init__(
        self, settings: Settings, retry: RetryPolicy | None = None, clock: Clock | None = None
    ) -> None:
        # Imported here, so that importing the package does not load aiohttp.
        from agentbay_async._transport.pool import Pools

        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.pools: Pools = Pools(settings.max_connections, settings.ssl_context)
        self.access: WeakValueDictionary[str, Access] = WeakValueDictionary()
        self.chores = BackgroundTasks(self.clock)
        self._sockets: Sockets | None = None
        self._ledger: Ledger | None = None
        self.retry = retry or RetryPolicy()
        self._budget = RetryBudget(self.retry)
        self._http: Http | None = None
        self._closed = False
        self._admission = self._admitting()

    def _admitting(self) -> Admission | None:
        """Return what requests for sessions have to pass, if anything."""
        settings = self.settings
        if settings.budget is None and settings.host_limit is None:
            return None
        from agentbay_async._bulk.admission import Admission
        from agentbay_async._bulk.host_rate import host_bucket

        rate = settings.host_limit
        bucket = None if rate is None else host_bucket(settings.endpoint, settings.api_key, rate)
        return Admission(self.clock, settings.budget, bucket)

    async def call(
        self,
        request: Request[D],
        timeout: float | None = None,
        *,
        recover: Callable[[AgentBayError], Awaitable[Answer[D] | None]] | None = None,
        vital: bool = False,
    ) -> Answer[D]:
        """Send `request` and return the answer.

        Args:
            request: What to ask.
            timeout: Seconds for one attempt; ``None`` takes the client's.
            recover: Finds out what became of an attempt whose answer was lost. With it, a request
                that must not be acted on twice may be sent again.
            vital: Whether something is lost if it does not get through; the budget for repetitions
                does not hold it back.

        Raises:
            APIError: The service says no.
            TransportError: There was no answer that could be read.
            ClosedError: The client was closed.
            BudgetExceededError: It asks for a session that the budget does not allow.
        """
        if self._admission is None:
            return await self._call(request, timeout, recover, vital=vital)
        return await self._admission.call(
            request, lambda: self._call(request, timeout, recover, vital=vital)
        )

    async def _call(
        self,
        request: Request[D],
        timeout: float | None,
        recover: Callable[[AgentBayError], Awaitable[Answer[D] | None]] | None,
        *,
        vital: bool,
    ) -> Answer[D]:
        timeout = self.settings.timeout if timeout is None else timeout
        begun = self.clock.monotonic()
        deadline = begun + max(self.settings.deadline, timeout)
        attempts: list[Attempt] = []
        watching = call_hooks.get()
        self._budget.earn()
        while True:
            if watching is not None:
                watching.sent(request.ACTION)
            try:
                return await self._attempt(request, timeout)
            except UsageError:
                raise
            except AgentBayError as error:
                if watching is not None:
                    watching.failed(request.ACTION, error)
                attempts.append(self._noted(error, len(attempts) + 1, begun))
                error.session_id = error.session_id or getattr(request, "session_id", None) or ""
                error.attempts = tuple(attempts)
                if isinstance(error, SessionNotFoundError) and request.ACTION not in _AT_THE_END:
                    await self._tell_why(error, timeout)
                if recover is not None and perhaps_acted_on(error):
                    answer = await recover(error)
                    if answer is not None:
                        return answer
                repeatable = request.REPEATABLE or recover is not None
                wait = self._pause(error, deadline, repeatable=repeatable, vital=vital)
                if wait is None:
                    raise
                attempts[-1] = attempts[-1]._replace(waited=wait)
            await self.clock.sleep(wait)
            begun = self.clock.monotonic()
            timeout = min(timeout, max(deadline - begun, 0.001))

    async def _tell_why(self, error: SessionNotFoundError, timeout: float) -> None:
        """Ask once what became of a session; where that is not known, nothing is said."""
        try:
            request = schema.GetSessionDetail(session_id=error.session_id)
            detail = (await self._attempt(request, timeout)).data
        except AgentBayError:
            return
        if detail is not None and detail.status in ENDING:
            error.ended(detail.end_reason or "")

    def _noted(self, error: AgentBayError, number: int, begun: float) -> Attempt:
        took = self.clock.monotonic() - begun
        what = f"{type(error).__name__}: {error.message}"
        return Attempt(number, self.clock.time() - took, took, what)

    def _pause(
        self, error: AgentBayError, deadline: float, *, repeatable: bool, vital: bool
    ) -> float | None:
        attempt = len(error.attempts)
        remaining = deadline - self.clock.monotonic()
        wait = next_wait(self.retry, attempt, error, repeatable=repeatable, remaining=remaining)
        if wait is None:
            return None
        if not (vital or self._budget.covers(error)):
            error.hint = error.hint or "Too much failed lately for it to be sent again"
            return None
        logger.debug("%s; attempt %d failed, next in %.2f s", error, attempt, wait)
        return wait

    async def _attempt(self, request: Request[D], timeout: float) -> Answer[D]:
        http = self._http or await self._connect()
        reply = await http.send(request, timeout)
        answer = read_answer(request, reply.status, reply.headers, reply.body, self.clock.time())
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s ok [request %s]", request.ACTION, answer.request_id)
        return answer

    async def _connect(self) -> Http:
        from agentbay_async._transport.http import Http

        self.check_open()
        endpoint, api_key = await self.service()
        self._http = Http(endpoint, api_key, self.pools)
        return self._http

    def check_open(self) -> None:
        """Raise ClosedError if the client was closed."""
        if self._closed:
            raise ClosedError("this client is closed", hint="Make a new one")

    async def service(self) -> tuple[str, str]:
        """Return where the service is, and the key; the embedded one is started if need be."""
        if self.settings.endpoint == LOCAL:
            return await _embedded_service()
        return self.settings.endpoint, self.settings.api_key

    @property
    def sockets(self) -> Sockets:
        """The WebSockets of sessions."""
        if self._sockets is None:
            from agentbay_async._transport.websocket_connections import Sockets

            self._sockets = Sockets(self.pools, self.clock)
        return self._sockets

    @property
    def ledger(self) -> Ledger | None:
        """Where sessions are written down, or ``None`` where that is switched off.

        Those of a service inside this process end with it and are not worth writing down.
        """
        if self._ledger is None and self.settings.ledger is not None:
            if self.settings.endpoint == LOCAL:
                return None
            from agentbay_async._lifecycle.ledger import Ledger

            self._ledger = Ledger(self.settings.ledger, self.settings.endpoint, self.clock)
        return self._ledger

    async def aclose(self) -> None:
        """End the chores, close the connections of the running loop and accept no more calls."""
        await self.chores.aclose()
        self._closed = True
        self._http = None
        if self._sockets is not None:
            await self._sockets.aclose()
        await self.pools.aclose()


async def _embedded_service() -> tuple[str, str]:
    """Start the local service inside this process, once, and return where it is and its key.

    The only place where the SDK reaches for the local service.
    """
    from anyio import to_thread

    def start() -> tuple[str, str]:
        from agentbay_local.embedded import embedded

        service = embedded()
        return service.endpoint, service.api_key

    return await to_thread.run_sync(start)
