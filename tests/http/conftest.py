"""A small HTTP service whose answers are scripted, and clients that speak to it.

For each action the test queues answers; the last one of a queue is given again and again. What was
asked is kept in ``received``. Paths below ``/blob`` stand for the store of files that the service's
URLs lead to.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentbay_async import AsyncAgentBay, AsyncSession

from .remembering import Remembering
from .toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from tests.conftest import InstantClock

    Step = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Bays = Callable[..., AsyncAgentBay]

#: Shown to nobody: tests look for it where it must not be.
API_KEY = "akm-5e6f-the-secret-key"


@attrs.frozen
class Received:
    """One request, as it arrived."""

    action: str
    query: dict[str, str]
    form: dict[str, str]
    headers: Mapping[str, str]
    target: str


class Scripted:
    """The service. Each method queues one answer to an action."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.ports: set[int] = set()
        self.blob: Step | None = None
        self.endpoint = ""
        self._steps: dict[str, deque[Step]] = defaultdict(deque)
        self._arrivals: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._closing = asyncio.Event()

    def ok(self, action: str, data: object = None, **envelope: object) -> None:
        """Answer with success and `data`."""
        document = {"RequestId": f"REQ-{action}", "Success": True, "Code": "ok", **envelope}
        self.raw(action, json.dumps(document if data is None else {**document, "Data": data}))

    def refuse(
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

        async def step(_request: web.Request) -> web.Response:
            return web.Response(status=status, body=content, headers=headers)

        self.act(action, step)

    def does(self, action: str, make: Callable[[dict[str, str]], object]) -> None:
        """Answer with success and what `make` returns for the form."""

        async def step(_request: web.Request) -> web.Response:
            document = {"RequestId": f"REQ-{action}", "Success": True, "Code": "ok"}
            return web.json_response({**document, "Data": make(self.received[-1].form)})

        self.act(action, step)

    def does_later(self, action: str, make: Callable[[dict[str, str]], Awaitable[object]]) -> None:
        """Answer with success and what awaiting `make` gives for the form."""

        async def step(_request: web.Request) -> web.Response:
            document = {"RequestId": f"REQ-{action}", "Success": True, "Code": "ok"}
            return web.json_response({**document, "Data": await make(self.received[-1].form)})

        self.act(action, step)

    def tasks(self, *listings: list[dict[str, Any]]) -> None:
        """List movements of files, as GetContextInfo does: JSON in JSON in JSON."""
        for tasks in listings:
            wrappers = [{"type": "other", "data": "?"}, {"type": "data", "data": json.dumps(tasks)}]
            self.ok("GetContextInfo", {"ContextStatus": json.dumps(wrappers)})

    def cut(self, action: str) -> None:
        """Promise more bytes than come."""

        async def step(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"Success":')
            _hang_up(request)
            return response

        self.act(action, step)

    def reset(self, action: str) -> None:
        """Break the connection instead of answering."""

        async def step(request: web.Request) -> web.StreamResponse:
            _hang_up(request)
            return web.Response()

        self.act(action, step)

    def hang(self, action: str) -> None:
        """Take the request and say nothing until the test is over."""

        async def step(_request: web.Request) -> web.StreamResponse:
            await self._closing.wait()
            return web.Response()

        self.act(action, step)

    def gate(self, action: str, opened: asyncio.Event, data: object = None) -> None:
        """Answer with success and `data` once `opened` is set."""

        async def step(_request: web.Request) -> web.StreamResponse:
            await opened.wait()
            return web.json_response({"Success": True, "Data": data})

        self.act(action, step)

    def act(self, action: str, step: Step) -> None:
        """Answer with whatever `step` makes of the request."""
        self._steps[action].append(step)

    def asked(self, action: str) -> list[dict[str, str]]:
        """Return the forms of all requests of an action, without the key."""
        return [
            {name: value for name, value in one.form.items() if name != "Authorization"}
            for one in self.received
            if one.action == action
        ]

    @property
    def actions(self) -> list[str]:
        """The actions that were asked for, in order."""
        return [one.action for one in self.received]

    async def arrival(self, action: str) -> None:
        """Wait until a request of that action has come."""
        await asyncio.wait_for(self._arrivals[action].wait(), 10)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        if request.path.startswith("/blob") and self.blob is not None:
            return await self.blob(request)
        assert request.transport is not None
        self.ports.add(request.transport.get_extra_info("peername")[1])
        action = request.query.get("Action", "")
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.received.append(
            Received(action, dict(request.query), form, request.headers, request.raw_path)
        )
        self._arrivals[action].set()
        return await self.step(action, request)

    async def step(self, action: str, request: web.Request) -> web.StreamResponse:
        """Give the next answer that is queued for an action."""
        steps = self._steps[action]
        if not steps:
            raise web.HTTPNotImplemented(text=f"nothing is scripted for {action}")
        return await (steps.popleft() if len(steps) > 1 else steps[0])(request)

    def forget(self) -> None:
        """Begin anew: nothing scripted, nothing received."""
        self._steps.clear()
        self.received.clear()

    async def closing(self) -> None:
        """Wait until the test is over."""
        await self._closing.wait()

    def release(self) -> None:
        """Let those go that wait for an answer."""
        self._closing.set()


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


@pytest.fixture(autouse=True)
def _empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work where no ``.env`` file lies, here or above."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """Give a service to script, on a port of its own."""
    service = Scripted()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", service.handle)
    server = TestServer(app)
    # The service's own log of requests is no log of ours: tests read what the client writes.
    await server.start_server(access_log=None)
    service.endpoint = str(server.make_url("")).rstrip("/")
    yield service
    service.release()
    await server.close()


@pytest.fixture
async def bays(scripted: Scripted, clock: InstantClock) -> AsyncIterator[Bays]:
    """Give a function that makes clients of the service; they are closed at the end."""
    made: list[AsyncAgentBay] = []

    def make(**options: Any) -> AsyncAgentBay:
        given = {"endpoint": scripted.endpoint, "clock": clock, "timeout": 10, **options}
        made.append(AsyncAgentBay(API_KEY, **given))
        return made[-1]

    yield make
    for bay in made:
        await bay.aclose()


@pytest.fixture
def bay(bays: Bays) -> AsyncAgentBay:
    """Give a client of the service."""
    return bays()


@pytest.fixture
def remembering(scripted: Scripted, clock: InstantClock) -> Remembering:
    """Let the service remember its sessions."""
    return Remembering(scripted, clock)


@pytest.fixture
async def session(bay: AsyncAgentBay, scripted: Scripted) -> AsyncSession:
    """Give a session that was looked up; what was asked for that is forgotten."""
    scripted.ok("GetSession", {"SessionId": "s-1", "Status": "RUNNING"})
    found = (await bay.get("s-1")).session
    scripted.forget()
    return found


@pytest.fixture
def toolbox(session: AsyncSession, scripted: Scripted, tmp_path: Path) -> Toolbox:
    """Give the session tools that work in a directory of this machine."""
    home = tmp_path / "home"
    home.mkdir()
    toolbox = Toolbox(home)
    scripted.does_later("CallMcpTool", toolbox.answer)
    return toolbox


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Give a port that nobody listens on, and that nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def api_key() -> str:
    """Give the key that the clients use: it must not be shown anywhere."""
    return API_KEY
