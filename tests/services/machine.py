"""A session that is scripted: its API, its direct address and its WebSocket on one free port."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Reply = Callable[["Line", dict[str, Any]], Awaitable[None]]

#: Shown to nobody, as the key is not.
TOKEN = "session-token-91"

TOOLS = [
    {"name": "shell", "server": "wuying_shell"},
    {"name": "read_file", "serverName": "wuying_filesystem"},
    {"Name": "list_directory", "Server": "wuying_filesystem"},
    {"name": "get_file_change", "server": "wuying_filesystem"},
    {"name": "run_code", "server": "wuying_codespace"},
]


@attrs.frozen
class Called:
    """A call of a tool, and by which channel it came."""

    channel: str
    tool: str
    args: dict[str, Any]
    server: str
    headers: Mapping[str, str]
    body: str


class Line:
    """One connection of the WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self.headers = request.headers
        self._transport = request.transport

    async def says(self, frame: dict[str, Any] | str | bytes) -> None:
        """Send a frame, or anything."""
        if isinstance(frame, bytes):
            await self._socket.send_bytes(frame)
        else:
            await self._socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def answers(self, asked: dict[str, Any], data: object, **more: object) -> None:
        """Answer a frame."""
        await self.says(
            {
                "invocationId": asked["invocationId"],
                "source": asked["target"],
                "target": "SDK",
                "data": data,
                **more,
            }
        )

    async def pushes(self, source: str, data: object) -> None:
        """Say something unasked."""
        await self.says({"invocationId": "push", "source": source, "target": "SDK", "data": data})

    def ends(self) -> None:
        """End the connection, after what was said."""
        assert self._transport is not None
        self._transport.close()

    def breaks(self) -> None:
        """Break the connection."""
        assert self._transport is not None
        self._transport.abort()


class Machine:
    """The session. Tools and methods are scripted by name; what came is kept."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.called: list[Called] = []
        self.heard: list[dict[str, Any]] = []
        self.lines: list[Line] = []
        self.tools: dict[str, Callable[[dict[str, Any]], object]] = {}
        self.methods: dict[str, Reply] = {}
        self.link: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.refused = 0
        self.offers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._heard = asyncio.Condition()

    def offer(self, **changes: Any) -> None:
        """Say how it is reached: by everything, unless `changes` say otherwise."""
        there = self.endpoint.replace("http", "ws", 1)
        self.offers = {
            "LinkUrl": f"{self.endpoint}/link/",
            "WsUrl": f"{there}/ws",
            "Token": TOKEN,
            "ToolList": json.dumps(TOOLS),
            **changes,
        }

    def channels(self) -> list[str]:
        """Return by which channels tools were called, in order."""
        return [call.channel for call in self.called]

    async def hears(self, method: str, count: int = 1) -> dict[str, Any]:
        """Wait until frames of a method have come; return the last of them."""

        def found() -> list[dict[str, Any]]:
            return [frame for frame in self.heard if frame["data"].get("method") == method]

        async with self._heard:
            await asyncio.wait_for(self._heard.wait_for(lambda: len(found()) >= count), 10)
        return found()[count - 1]

    async def has_lines(self, count: int) -> Line:
        """Wait until so many connections were made; return the last."""
        async with self._heard:
            await asyncio.wait_for(self._heard.wait_for(lambda: len(self.lines) >= count), 10)
        return self.lines[count - 1]

    def app(self) -> web.Application:
        """Return the service."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/", self._api)
        app.router.add_post("/link/callTool", self._link)
        app.router.add_get("/ws", self._ws)
        return app

    async def _api(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        action = request.query["Action"]
        self.asked.append(action)
        envelope = {"RequestId": f"REQ-{action}", "Success": True, "Code": "ok"}
        if action in ("GetSession", "CreateMcpSession"):
            data: object = {"SessionId": "s-1", "Status": "RUNNING", **self.offers}
        elif action == "CallMcpTool":
            args = json.loads(form["Args"])
            call = Called(
                "api", form["Name"], args, form.get("Server", ""), request.headers, str(form)
            )
            self.called.append(call)
            data = self._run(call)
        elif action == "GetSessionDetail":
            data = {"Status": "FINISH"}
        else:
            data = None
        return web.json_response({**envelope, "Data": data})

    async def _link(self, request: web.Request) -> web.StreamResponse:
        if self.link is not None:
            return await self.link(request)
        body = await request.text()
        document = json.loads(body)
        call = Called(
            "link", document["tool"], document["args"], document["server"], request.headers, body
        )
        self.called.append(call)
        return web.json_response({"code": 200, "data": {"result": self._run(call)}})

    def _run(self, call: Called) -> object:
        answer = self.tools[call.tool](call.args)
        if isinstance(answer, str):
            return {"content": [{"type": "text", "text": answer}], "isError": False}
        return answer

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.refused:
            return web.Response(status=self.refused)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        line = Line(socket, request)
        self.lines.append(line)
        async with self._heard:
            self._heard.notify_all()
        async for message in socket:
            frame = json.loads(message.data)
            self.heard.append(frame)
            if reply := self.methods.get(frame["data"].get("method", "")):
                await reply(line, frame)
            async with self._heard:
                self._heard.notify_all()
        return socket


def always(data: object) -> Reply:
    """Answer every frame with `data`."""

    async def reply(line: Line, frame: dict[str, Any]) -> None:
        await line.answers(frame, data)

    return reply


def counted(names: list[str]) -> dict[str, int]:
    """Return how often each name is there."""
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return dict(counts)
