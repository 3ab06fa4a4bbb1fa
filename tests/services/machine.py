"""A scripted session on one free port: its API, its direct address and its WebSocket.

A real server, because the tests need a peer that misbehaves: one that refuses the handshake, aborts
the connection in the middle of a call, sends invalid frames, or pushes frames at a chosen moment.
The local service does none of that, and a scripted transport has no WebSocket.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    FrameHandler = Callable[["Connection", dict[str, Any]], Awaitable[None]]

#: A secret: tests look for it where it must not be shown.
TOKEN = "session-token-91"

TOOLS = [
    {"name": "shell", "server": "wuying_shell"},
    {"name": "read_file", "serverName": "wuying_filesystem"},
    {"Name": "list_directory", "Server": "wuying_filesystem"},
    {"name": "get_file_change", "server": "wuying_filesystem"},
    {"name": "run_code", "server": "wuying_codespace"},
    {"name": "stopChrome", "server": "wuying_cdp_mcp_server"},
]


@attrs.frozen
class Call:
    """A call of a tool, and the channel it used: ``"link"`` or ``"api"``."""

    channel: str
    tool: str
    args: dict[str, Any]
    server: str
    headers: Mapping[str, str]
    body: str


class Connection:
    """One connection of the WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self.headers = request.headers
        self._transport = request.transport

    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        """Send a frame, or any text or bytes."""
        if isinstance(frame, bytes):
            await self._socket.send_bytes(frame)
        else:
            await self._socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def answer(self, frame: dict[str, Any], data: object, **more: object) -> None:
        """Answer a frame."""
        await self.send(
            {
                "invocationId": frame["invocationId"],
                "source": frame["target"],
                "target": "SDK",
                "data": data,
                **more,
            }
        )

    async def push(self, source: str, data: object) -> None:
        """Send a frame that is not an answer."""
        await self.send({"invocationId": "push", "source": source, "target": "SDK", "data": data})

    def close(self) -> None:
        """Close the connection after the data that was sent."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Break the connection at once."""
        assert self._transport is not None
        self._transport.abort()


class Machine:
    """The session. Tools and methods are scripted by name; calls and frames are recorded.

    Attributes:
        calls: The calls of tools, in order.
        frames: The frames that arrived on WebSockets, in order.
        connections: The WebSocket connections, in order.
        tools: Functions from arguments to answers, by tool.
        methods: Handlers of frames, by method.
        link: Replaces the handler of direct calls.
        handshake_status: Refuse WebSockets with this HTTP status, unless 0.
        status: The state of the session in its detail.
        refusals: The codes with which the next calls of tools are refused, through the API.
        actions: The actions of the API that were called, in order.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.calls: list[Call] = []
        self.frames: list[dict[str, Any]] = []
        self.connections: list[Connection] = []
        self.tools: dict[str, Callable[[dict[str, Any]], object]] = {}
        # Clients ask for it to learn that their input has arrived.
        self.methods: dict[str, FrameHandler] = {
            "pty.list": always_answer({"result": {"ptySessionIds": ["p-1"]}})
        }
        self.link: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.handshake_status = 0
        self.status = "FINISH"
        self.refusals: list[str] = []
        self._access: dict[str, Any] = {}
        self.actions: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()

    def offer(self, **changes: Any) -> None:
        """Offer every channel, with `changes` to the access data."""
        ws_endpoint = self.endpoint.replace("http", "ws", 1)
        self._access = {
            "LinkUrl": f"{self.endpoint}/link/",
            "WsUrl": f"{ws_endpoint}/ws",
            "Token": TOKEN,
            "ToolList": json.dumps(TOOLS),
            **changes,
        }

    def channels(self) -> list[str]:
        """Return the channels of all calls, in order."""
        return [call.channel for call in self.calls]

    async def wait_for_frame(self, method: str, count: int = 1) -> dict[str, Any]:
        """Wait until `count` frames of a method have arrived; return the last."""

        def matching() -> list[dict[str, Any]]:
            return [frame for frame in self.frames if frame["data"].get("method") == method]

        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: len(matching()) >= count), 30)
        return matching()[count - 1]

    async def wait_for_connection(self, count: int) -> Connection:
        """Wait until `count` connections were made; return the last."""
        async with self._changed:
            await asyncio.wait_for(
                self._changed.wait_for(lambda: len(self.connections) >= count), 30
            )
        return self.connections[count - 1]

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/", self._api)
        app.router.add_post("/link/callTool", self._link)
        app.router.add_get("/ws", self._ws)
        return app

    async def _api(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        action = request.query["Action"]
        self.actions.append(action)
        envelope = {"RequestId": f"REQ-{action}", "Success": True, "Code": "ok"}
        if action in ("GetSession", "CreateMcpSession"):
            data: object = {"SessionId": "s-1", "Status": "RUNNING", **self._access}
        elif action == "CallMcpTool" and self.refusals:
            refusal = {**envelope, "Success": False, "Code": self.refusals.pop(0)}
            return web.json_response(refusal, status=400)
        elif action == "CallMcpTool":
            args = json.loads(form["Args"])
            call = Call(
                "api", form["Name"], args, form.get("Server", ""), request.headers, str(form)
            )
            self.calls.append(call)
            data = self._run(call)
        elif action == "GetSessionDetail":
            data = {"Status": self.status, "EndReason": "it was idle"}
        else:
            data = None
        return web.json_response({**envelope, "Data": data})

    async def _link(self, request: web.Request) -> web.StreamResponse:
        if self.link is not None:
            return await self.link(request)
        if self.refusals:
            return web.Response(status=404)
        body = await request.text()
        document = json.loads(body)
        call = Call(
            "link", document["tool"], document["args"], document["server"], request.headers, body
        )
        self.calls.append(call)
        return web.json_response({"code": 200, "data": {"result": self._run(call)}})

    def _run(self, call: Call) -> object:
        answer = self.tools[call.tool](call.args)
        if isinstance(answer, str):
            return {"content": [{"type": "text", "text": answer}], "isError": False}
        return answer

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.handshake_status:
            return web.Response(status=self.handshake_status)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self.connections.append(connection)
        async with self._changed:
            self._changed.notify_all()
        async for message in socket:
            frame = json.loads(message.data)
            self.frames.append(frame)
            if reply := self.methods.get(frame["data"].get("method", "")):
                await reply(connection, frame)
            async with self._changed:
                self._changed.notify_all()
        return socket


def always_answer(data: object) -> FrameHandler:
    """Return a handler that answers every frame with `data`."""

    async def reply(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, data)

    return reply


def counted(names: list[str]) -> dict[str, int]:
    """Return how often each name is there."""
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return dict(counts)
