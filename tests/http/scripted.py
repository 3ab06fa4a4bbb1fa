"""A scripted transport: answers queued for each action, and a record of all requests.

Most tests need nothing but answers, so no socket is opened. Tests of the HTTP edge serve the same
script on a port (the fixture ``over_http``); failures of the connection are then real ones.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agentbay_async import (
    BadAnswerError,
    ConnectionLostError,
    HttpRequest,
    HttpResponse,
    MockTransport,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentbay_async import Transport

    Interceptor = Callable[[HttpRequest], HttpRequest | HttpResponse]
    Replacement = Callable[[HttpRequest, HttpResponse], HttpResponse]
    Handler = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
    BlobHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Recorder(MockTransport):
    """A transport with a record of its requests, by action."""

    def forms(self, action: str) -> list[dict[str, str]]:
        """Return the forms of all requests of an action, without the key."""
        return [request.form for request in self.requests if request.action == action]

    @property
    def actions(self) -> list[str]:
        """The actions of all requests, in order."""
        return [request.action for request in self.requests]


class Relay(Recorder):
    """Sends requests to a real service; a test may change requests and responses.

    Attributes:
        intercept: Returns the request to send in place of the given one, or a response to it.
        replace: Returns the response to a request in place of the one of the service.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(self._relay)
        self.intercept: Interceptor = lambda request: request
        self.replace: Replacement = lambda _request, response: response
        self._transport = transport

    async def _relay(self, request: HttpRequest) -> HttpResponse:
        outcome = self.intercept(request)
        if isinstance(outcome, HttpResponse):
            return outcome
        return self.replace(request, await self._transport.send(outcome))


class Script(Recorder):
    """Answers each action from its queue; the last answer of a queue is given again and again.

    Attributes:
        endpoint: The URL of the service; reachable only over HTTP.
        ports: The ports that clients connected from, over HTTP.
        blob: Serves paths below ``/blob``, over HTTP: the object store.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.endpoint = "https://scripted.test"
        self.ports: set[int] = set()
        self.blob: BlobHandler | None = None
        self._handlers: dict[str, deque[Handler]] = defaultdict(deque)
        self._arrivals: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._ending = asyncio.Event()

    def ok(self, action: str, data: object = None, **envelope: object) -> None:
        """Answer with success and `data`."""
        self.respond(action, lambda _: success(action, data, **envelope))

    def fail(
        self,
        action: str,
        code: str,
        message: str = "",
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with an error of the service."""
        document = {"RequestId": f"REQ-{action}", "Success": False, "Code": code}
        body = json.dumps({**document, "Message": message})
        self.raw(action, body, status=status, headers=headers)

    def raw(
        self,
        action: str,
        body: str | bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with any bytes."""
        content = body.encode() if isinstance(body, str) else body
        self.respond(action, lambda _: HttpResponse(status, content, headers or {}))

    def ok_from(self, action: str, make: Callable[[dict[str, str]], Any]) -> None:
        """Answer with success and the data that `make` returns, or awaits, for the form."""

        async def handler(request: HttpRequest) -> HttpResponse:
            data = make(request.form)
            return success(action, await data if inspect.isawaitable(data) else data)

        self.respond(action, handler)

    def ok_after(self, action: str, event: asyncio.Event, data: object = None) -> None:
        """Answer with success and `data` once `event` is set."""

        async def handler(_request: HttpRequest) -> HttpResponse:
            await event.wait()
            return success(action, data)

        self.respond(action, handler)

    def tasks(self, *listings: list[dict[str, Any]]) -> None:
        """List sync tasks, as GetContextInfo does: JSON in JSON in JSON."""
        for tasks in listings:
            wrappers = [{"type": "other", "data": "?"}, {"type": "data", "data": json.dumps(tasks)}]
            self.ok("GetContextInfo", {"ContextStatus": json.dumps(wrappers)})

    def truncate(self, action: str) -> None:
        """Send fewer bytes than promised."""
        self.respond(action, _truncate)

    def disconnect(self, action: str) -> None:
        """Break the connection instead of answering."""
        self.respond(action, disconnect)

    def hang(self, action: str) -> None:
        """Take the request and send nothing until the test is over."""

        async def handler(_request: HttpRequest) -> HttpResponse:
            await self.until_end()
            return HttpResponse(500)

        self.respond(action, handler)

    def respond(self, action: str, handler: Handler) -> None:
        """Answer with the response of `handler`."""
        self._handlers[action].append(handler)

    async def arrival(self, action: str) -> None:
        """Wait until a request of that action has come."""
        await asyncio.wait_for(self._arrivals[action].wait(), 30)

    async def until_end(self) -> None:
        """Wait until the test is over."""
        await self._ending.wait()

    def end(self) -> None:
        """Release the requests that hang."""
        self._ending.set()

    def clear(self) -> None:
        """Forget all answers and all requests."""
        self._handlers.clear()
        self.requests.clear()

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        self._arrivals[request.action].set()
        # As on a network: other tasks run before the answer, and a cancellation is delivered.
        await asyncio.sleep(0)
        handlers = self._handlers[request.action]
        if not handlers:
            return HttpResponse(501, f"no answer is scripted for {request.action}".encode())
        response = (handlers.popleft() if len(handlers) > 1 else handlers[0])(request)
        return await response if inspect.isawaitable(response) else response

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that came over HTTP."""
        if request.path.startswith("/blob") and self.blob is not None:
            return await self.blob(request)
        assert request.transport is not None
        self.ports.add(request.transport.get_extra_info("peername")[1])
        action = request.query.get("Action", "")
        arrived = HttpRequest(action, request.raw_path, await request.read(), request.headers)
        self.requests.append(arrived)
        try:
            response = await self._answer(arrived)
        except ConnectionLostError:
            request.transport.abort()
            return web.Response()
        except BadAnswerError:
            return await _send_half(request)
        return web.Response(status=response.status, body=response.body, headers=response.headers)


async def _send_half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"Success":')
    assert request.transport is not None
    request.transport.abort()
    return response


def success(action: str, data: object = None, **envelope: object) -> HttpResponse:
    """Return the answer to an action that succeeded."""
    return HttpResponse.success(data, **{"RequestId": f"REQ-{action}", **envelope})


def tool_answer(text: str, *, error: bool = False) -> dict[str, Any]:
    """Return the data of a tool call whose tool returned `text`, or failed with it."""
    return {"content": [{"type": "text", "text": text}], "isError": error}


def disconnect(request: HttpRequest) -> HttpResponse:
    """Break the connection after the request was sent."""
    raise ConnectionLostError(f"{request.action}: the connection broke")


def _truncate(request: HttpRequest) -> HttpResponse:
    raise BadAnswerError(f"{request.action}: the answer was cut short")
