"""One call to the service: attempts, deadline, retry budget, hooks.

Every method of the library reaches the service through :meth:`Api.call`. It takes a request of
:mod:`agentbay_async._protocol.schema`, and returns the answer or raises the error. The layers above
attach what they need by hooks, so that this module knows neither bulk runs nor the ledger.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import attrs

from agentbay_async._protocol import schema
from agentbay_async._protocol.envelope import Answer, read_answer
from agentbay_async._protocol.error_codes import NOT_LOGIN, find_hint
from agentbay_async._retry import RetryBudget, next_wait, perhaps_acted_on
from agentbay_async._transport.access import AccessMap
from agentbay_async.config import LOCAL
from agentbay_async.errors import (
    AgentBayError,
    Attempt,
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    PageTokenError,
    SessionNotFoundError,
    UsageError,
)
from agentbay_async.models.sessions import ENDING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from agentbay_async._clock import Clock
    from agentbay_async._protocol.schema import Request
    from agentbay_async._retry import RetryPolicy
    from agentbay_async._transport.base import RequestBuilder, Transport
    from agentbay_async._transport.http import Pools
    from agentbay_async._transport.websocket_pool import SessionSockets
    from agentbay_async.config import Settings
    from agentbay_async.models.local import LocalOptions

D = TypeVar("D")

logger: logging.Logger = logging.getLogger("agentbay")

# Seconds for an attempt at the deadline: with 0, the transport would wait for ever.
_LEAST_TIMEOUT = 0.001
# Their callers expect that the session may be gone, and need no explanation.
_MAY_BE_GONE = frozenset({"DeleteSessionAsync", "GetSessionDetail"})


class CallHooks(Protocol):
    """Callbacks for each attempt of the calls of one task."""

    def sent(self, action: str) -> None:
        """Handle that a request of `action` is about to be sent."""
        ...

    def failed(self, action: str, error: AgentBayError) -> None:
        """Handle that an attempt failed; the request may be sent again."""
        ...


#: The hooks of this task and of the tasks that it starts.
call_hooks: ContextVar[CallHooks | None] = ContextVar("agentbay_call_hooks", default=None)


class LedgerHook(Protocol):
    """A record of the sessions that this host created."""

    def began(self) -> None:
        """Record this process, before it asks for its first session."""
        ...

    def created(self, session_id: str, owner: str, lasts: float | None) -> None:
        """Record a session that lives for at most `lasts` seconds."""
        ...

    def deleted(self, session_id: str) -> None:
        """Record that a session is gone."""
        ...


class BackgroundHook(Protocol):
    """Work that goes on after the call that started it.

    Attributes:
        has_created: Whether the client has begun a create.
    """

    has_created: bool

    def schedule(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Run `work` after each of `pauses`, in seconds."""
        ...

    def creating(self) -> AbstractContextManager[None]:
        """Make closing the client wait for the end of a block."""
        ...

    def add_run(self, run: Any) -> None:
        """Close a bulk run when the client is closed."""
        ...

    def discard_run(self, run: Any) -> None:
        """Forget a run that is closed."""
        ...

    async def aclose(self) -> None:
        """Close the runs, wait for creates, and run scheduled work one last time, at once."""
        ...


class RunSpanHook(Protocol):
    """The span of a bulk run."""

    def call(self, start: Callable[[], None]) -> None:
        """Call a function that starts tasks of the run."""
        ...

    def carrier(self) -> dict[str, str]:
        """Return the context of the span, for workers in other processes."""
        ...

    def fail(self, error: Exception) -> None:
        """Mark the run as failed, because `error` ended it."""
        ...

    def end(self, done: int, failed: int) -> None:
        """End the span with the numbers of the run."""
        ...


class TelemetryHook(Protocol):
    """Spans of what consists of several calls."""

    async def command(self, session_id: str, running: Awaitable[D], variables: dict[str, str]) -> D:
        """Await a command of a session, with the trace context in its variables."""
        ...

    def add_context(self, variables: dict[str, str]) -> None:
        """Add the trace context to the variables of a command."""
        ...

    def run(self, operation: str, size: int | None) -> RunSpanHook:
        """Begin the span of a bulk run."""
        ...

    def within(self, carrier: Mapping[str, str]) -> AbstractContextManager[None]:
        """Let the spans of a block be below that of another process."""
        ...


class Api:
    """The service, as a function from requests to answers.

    Args:
        settings: Endpoint, key and timeouts.
        retry: When to send a request again.
        clock: Time; see :mod:`agentbay_async._clock`.
        background: Runs work after the call that started it.
        ledger: Records sessions, or ``None``.
        transport: Sends the requests; by default aiohttp.

    Attributes:
        access: Direct addresses of sessions, by session id.
        find_client: Returns the client, which sets this.
        telemetry: Traces commands and bulk runs, or ``None``.
    """

    telemetry: TelemetryHook | None = None

    # The client is in a layer above, so this module does not know its type.
    find_client: Callable[[], Any]

    def __init__(
        self,
        settings: Settings,
        retry: RetryPolicy,
        clock: Clock,
        background: BackgroundHook,
        ledger: LedgerHook | None = None,
        transport: Transport | None = None,
    ) -> None:
        # Imported here, so that importing the package does not load aiohttp.
        from agentbay_async._transport.http import AiohttpTransport, Pools

        self.settings = settings
        self.retry = retry
        self.clock = clock
        self.background = background
        self.ledger = ledger
        self.pools: Pools = Pools(settings.max_connections, settings.ssl_context)
        self.transport: Transport = transport or AiohttpTransport(self.pools)
        self.access = AccessMap()
        # Whether the endpoint has given an answer of the protocol.
        self._is_known = False
        self._budget = RetryBudget(retry)
        self._sockets: SessionSockets | None = None
        self._builder: RequestBuilder | None = None
        self._closed = False

    async def call(
        self,
        request: Request[D],
        timeout: float | None = None,
        *,
        recover: Callable[[AgentBayError, float], Awaitable[Answer[D] | None]] | None = None,
        vital: bool = False,
        deadline: float | None = None,
    ) -> Answer[D]:
        """Send `request` and return the answer.

        Args:
            request: The request.
            timeout: Seconds for one attempt; ``None`` takes the client's.
            recover: Called after an attempt whose answer was lost, with the error and the deadline;
                returns the answer if the service acted on it. With it, a request that must not be
                acted on twice may be sent again.
            vital: Whether something is lost if the request does not get through. The retry budget
                does not limit such a request.
            deadline: When the last attempt ends, on the client's clock; for a request that is one
                of several for one method. ``None`` begins a new one; see :meth:`deadline`.

        Raises:
            APIError: The service answers with an error.
            TransportError: No readable answer arrived.
            ClosedError: The client was closed.
            BudgetExceededError: A budget does not allow another session; see
                :class:`agentbay_async._bulk.admission.AdmittingApi`.
        """
        timeout = self.settings.timeout if timeout is None else timeout
        if deadline is None:
            deadline = self.clock.monotonic() + max(self.settings.deadline, timeout)
        attempts: list[Attempt] = []
        hooks = call_hooks.get()
        self._budget.calls += 1
        while True:
            started = self.clock.monotonic()
            timeout = min(timeout, max(deadline - started, _LEAST_TIMEOUT))
            if hooks is not None:
                hooks.sent(request.ACTION)
            try:
                return await self._attempt(request, timeout)
            except UsageError:
                raise
            except AgentBayError as error:
                if hooks is not None:
                    hooks.failed(request.ACTION, error)
                attempts.append(self._failed_attempt(error, len(attempts) + 1, started))
                error.attempts = tuple(attempts)
                await self._explain(error, request, deadline)
                if recover is not None and perhaps_acted_on(error):
                    answer = await recover(error, deadline)
                    if answer is not None:
                        return answer
                repeatable = request.REPEATABLE or recover is not None
                wait = self._next_wait(error, deadline, repeatable=repeatable, vital=vital)
                if wait is None:
                    raise
                attempts[-1] = attempts[-1]._replace(waited=wait)
            await self.clock.sleep(wait)

    def deadline(self, timeout: float = 0.0) -> float:
        """Return the deadline of a method that starts now, on the client's clock.

        All requests that the method sends share it.

        Args:
            timeout: Seconds that the caller allows; ``Config.deadline`` if that is more.
        """
        return self.clock.monotonic() + max(self.settings.deadline, timeout)

    async def pages(self, request: Request[D]) -> AsyncGenerator[Answer[D], None]:
        """Yield the pages of a listing, from the one that `request` asks for.

        Args:
            request: A request with a ``next_token``.

        Raises:
            PageTokenError: The service repeats a token, so that the listing would never end.
            AgentBayError: A page cannot be fetched; the pages before it were yielded.
        """
        seen: set[str] = set()
        while True:
            answer = await self.call(request)
            yield answer
            if not answer.next_token:
                return
            if answer.next_token in seen:
                raise PageTokenError(
                    "the service repeated the token of an earlier page",
                    request_id=answer.request_id,
                )
            seen.add(answer.next_token)
            request = attrs.evolve(cast("Any", request), next_token=answer.next_token)

    def _failed_attempt(self, error: AgentBayError, number: int, started: float) -> Attempt:
        seconds = self.clock.monotonic() - started
        reason = f"{type(error).__name__}: {error.message}"
        return Attempt(number, self.clock.time() - seconds, seconds, reason)

    async def _explain(self, error: AgentBayError, request: Request[D], deadline: float) -> None:
        """Add the session's id to `error`, and the reason why a missing session ended.

        Without an explanation by `deadline`, the error has no reason.
        """
        error.session_id = error.session_id or getattr(request, "session_id", None) or ""
        error.hint = error.hint or find_hint(request.ACTION, error, self.current_endpoint())
        if not isinstance(error, SessionNotFoundError) or request.ACTION in _MAY_BE_GONE:
            return
        remaining = deadline - self.clock.monotonic()
        if remaining <= 0:
            return
        limit = min(self.settings.timeout, remaining)
        reason = await self.end_reason(error.session_id, limit)
        if reason is not None:
            error.ended(reason)
        elif error.session_id:
            error.hint = error.hint or f"The service knows no session {error.session_id}"

    def current_endpoint(self) -> str:
        """Return the URL of the service; of one inside this process that runs, too."""
        return self._builder.endpoint if self._builder is not None else self.settings.endpoint

    async def end_reason(self, session_id: str, timeout: float | None = None) -> str | None:
        """Return the service's text for why a session ended, perhaps ``""``.

        Args:
            session_id: The session.
            timeout: Seconds for the answer; ``None`` takes the client's.

        Returns:
            ``None`` if the session lives, or if the service does not say.
        """
        request = schema.GetSessionDetail(session_id=session_id)
        try:
            detail = (await self._attempt(request, timeout or self.settings.timeout)).data
        except AgentBayError:
            return None
        ended = detail is not None and detail.status in ENDING
        return (detail.end_reason or "") if detail is not None and ended else None

    def _next_wait(
        self, error: AgentBayError, deadline: float, *, repeatable: bool, vital: bool
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or ``None`` to give up."""
        attempt = len(error.attempts)
        remaining = deadline - self.clock.monotonic()
        wait = next_wait(self.retry, attempt, error, repeatable=repeatable, remaining=remaining)
        if wait is None:
            return None
        if not (vital or self._budget.covers(error)):
            error.hint = error.hint or "Not sent again: too many calls of this client failed lately"
            return None
        logger.debug("%s; attempt %d failed, next in %.2f s", error, attempt, wait)
        return wait

    async def _attempt(self, request: Request[D], timeout: float) -> Answer[D]:
        builder = self._builder or await self._connect()
        ends = self.clock.monotonic() + timeout
        response = await self.transport.send(builder.build(request, timeout))
        try:
            answer = read_answer(
                request,
                response.status,
                response.headers,
                response.body,
                self.clock.time(),
                is_known=self._is_known,
            )
        except AuthenticationError as error:
            wants_key = error.code == NOT_LOGIN and request.KEY_MAY_BE_IN_QUERY
            if not wants_key or builder.key_in_query:
                raise
            remaining = max(ends - self.clock.monotonic(), _LEAST_TIMEOUT)
            answer = await self._send_key_in_query(builder, request, remaining)
        self._is_known = True
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s ok [request %s]", request.ACTION, answer.request_id)
        return answer

    async def _send_key_in_query(
        self, builder: RequestBuilder, request: Request[D], timeout: float
    ) -> Answer[D]:
        """Repeat a request that was refused unread; remember it if the gateway missed the key."""
        builder.key_in_query = True
        try:
            return await self._attempt(request, timeout)
        except AgentBayError:
            builder.key_in_query = False
            raise

    async def _connect(self) -> RequestBuilder:
        from agentbay_async._transport.base import RequestBuilder

        self.check_open()
        endpoint, api_key = await self.service()
        self._builder = RequestBuilder(endpoint, api_key)
        return self._builder

    def check_open(self) -> None:
        """Raise ClosedError if the client was closed."""
        if self._closed:
            raise ClosedError("this client is closed", hint="Make a new one")

    async def service(self) -> tuple[str, str]:
        """Return URL and key of the service; the endpoint ``"local"`` starts it if need be."""
        if self.settings.endpoint == LOCAL:
            return await _embedded_service(self.settings.local)
        return self.settings.endpoint, self.settings.api_key

    @property
    def sockets(self) -> SessionSockets:
        """The WebSockets of sessions."""
        if self._sockets is None:
            from agentbay_async._transport.websocket_pool import SessionSockets

            self._sockets = SessionSockets(self.pools, self.clock, self.end_reason)
        return self._sockets

    async def aclose(self) -> None:
        """Finish background work, close the connections of the running loop, refuse more calls."""
        try:
            # First, because background work makes calls.
            await self.background.aclose()
        finally:
            self._closed = True
            self._builder = None
            if self._sockets is not None:
                await self._sockets.aclose()
            await self.transport.aclose()
            await self.pools.aclose()


def check_local_options(options: LocalOptions) -> None:
    """Check the options of the local service, before anything starts.

    Raises:
        ConfigurationError: A host or a limit is invalid.
    """
    if sys.platform != "linux":
        return  # the first call says that there is no local service
    from agentbay_local.embedded import check_options

    try:
        check_options(options)
    except ValueError as error:
        raise ConfigurationError(f"local: {error}") from None


async def _embedded_service(options: LocalOptions | None) -> tuple[str, str]:
    """Start the local service inside this process, once, and return its URL and key.

    With the check above, the only function of the SDK that imports the local service.
    """
    if sys.platform != "linux":
        from agentbay_local.other_systems import explain

        raise ConfigurationError(explain('endpoint="local"', sys.platform))
    from anyio import to_thread

    def start() -> tuple[str, str]:
        from agentbay_local.embedded import embedded

        service = embedded(options)
        return service.endpoint, service.api_key

    return await to_thread.run_sync(start)
