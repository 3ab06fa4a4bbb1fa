"""Calls to the service: send, read, and send again where that is right.

The one way from a method of the library to the wire. Methods give a request of
:mod:`agentbay_async._wire.schema` and get its answer, or the error raised.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from agentbay_async._clock import SystemClock
from agentbay_async._retry import RetryPolicy, next_wait
from agentbay_async._wire.envelope import Answer, read_answer
from agentbay_async.config import LOCAL
from agentbay_async.errors import AgentBayError, ClosedError

if TYPE_CHECKING:
    from agentbay_async._access import Access
    from agentbay_async._clock import Clock
    from agentbay_async._wire.http import Http
    from agentbay_async._wire.pool import Pools
    from agentbay_async._wire.schema import Request
    from agentbay_async.config import Settings

D = TypeVar("D")

logger: logging.Logger = logging.getLogger("agentbay")


class Api:
    """The service, as a function from requests to answers.

    Args:
        settings: Where it is and how long to wait.
        retry: How patient to be.
        clock: Time; see :mod:`agentbay_async._clock`.

    Attributes:
        access: How each session that somebody holds is reached directly, by its id.
        sockets: The WebSockets of sessions.
    """

    def __init__(
        self, settings: Settings, retry: RetryPolicy | None = None, clock: Clock | None = None
    ) -> None:
        # Imported here, so that importing the package does not load aiohttp.
        from agentbay_async._wire.pool import Pools
        from agentbay_async._wire.ws import Sockets

        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.pools: Pools = Pools(settings.max_connections, settings.ssl_context)
        self.access: WeakValueDictionary[str, Access] = WeakValueDictionary()
        self.sockets = Sockets(self.pools, self.clock)
        self._retry = retry or RetryPolicy()
        self._http: Http | None = None
        self._closed = False

    async def call(self, request: Request[D], timeout: float | None = None) -> Answer[D]:
        """Send `request` and return the answer.

        Args:
            request: What to ask.
            timeout: Seconds for one attempt; ``None`` takes the client's.

        Raises:
            APIError: The service says no.
            TransportError: There was no answer that could be read.
            ClosedError: The client was closed.
        """
        timeout = self.settings.timeout if timeout is None else timeout
        deadline = self.clock.monotonic() + max(self.settings.deadline, timeout)
        attempt = 1
        while True:
            try:
                return await self._attempt(request, timeout)
            except AgentBayError as error:
                remaining = deadline - self.clock.monotonic()
                wait = next_wait(
                    self._retry, attempt, error, repeatable=request.REPEATABLE, remaining=remaining
                )
                if wait is None:
                    raise
                logger.debug("%s; attempt %d failed, next in %.2f s", error, attempt, wait)
            await self.clock.sleep(wait)
            attempt += 1
            timeout = min(timeout, max(deadline - self.clock.monotonic(), 0.001))

    async def _attempt(self, request: Request[D], timeout: float) -> Answer[D]:
        http = self._http or await self._connect()
        reply = await http.send(request, timeout)
        answer = read_answer(request, reply.status, reply.headers, reply.body, self.clock.time())
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s ok [request %s]", request.ACTION, answer.request_id)
        return answer

    async def _connect(self) -> Http:
        from agentbay_async._wire.http import Http

        self.check_open()
        endpoint, api_key = await self._service()
        self._http = Http(endpoint, api_key, self.pools)
        return self._http

    def check_open(self) -> None:
        """Raise ClosedError if the client was closed."""
        if self._closed:
            raise ClosedError("this client is closed", hint="Make a new one")

    async def _service(self) -> tuple[str, str]:
        if self.settings.endpoint == LOCAL:
            return await _embedded_service()
        return self.settings.endpoint, self.settings.api_key

    async def aclose(self) -> None:
        """Close the connections of the running loop and accept no more calls."""
        self._closed = True
        self._http = None
        await self.sockets.aclose()
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
