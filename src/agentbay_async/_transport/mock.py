"""A transport that answers from a function, for tests without a service."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import anyio

from agentbay_async.errors import RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._transport.base import HttpRequest, HttpResponse


class MockTransport:
    """A :class:`Transport` that passes each request to a function, and opens no connection.

    Args:
        handler: Called with each request; returns the response, or awaits it. It may raise the
            errors of :meth:`Transport.send`.

    Attributes:
        requests: The requests that were sent, in order.
        closed: Whether the client was closed.

    Example:
        >>> import asyncio
        >>> from agentbay_async import AsyncAgentBay, HttpRequest, HttpResponse
        >>> def answer(request: HttpRequest) -> HttpResponse:
        ...     return HttpResponse.success({"SessionId": request.form["SessionId"]})
        >>> async def main() -> None:
        ...     transport = MockTransport(answer)
        ...     async with AsyncAgentBay("any-key", transport=transport) as bay:
        ...         print((await bay.get("s-1")).session.session_id)
        ...     print([request.action for request in transport.requests])
        >>> asyncio.run(main())
        s-1
        ['GetSession']
    """

    def __init__(
        self, handler: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
    ) -> None:
        self._handler = handler
        self.requests: list[HttpRequest] = []
        self.closed = False

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Record `request` and return the handler's response.

        Raises:
            RequestTimeoutError: The handler took longer than ``request.timeout`` seconds.
        """
        self.requests.append(request)
        response = self._handler(request)
        if not inspect.isawaitable(response):
            return response
        with anyio.move_on_after(request.timeout):
            return await response
        raise RequestTimeoutError(f"{request.action}: no answer within {request.timeout:.3g} s")

    async def aclose(self) -> None:
        """Note that the client was closed."""
        self.closed = True
