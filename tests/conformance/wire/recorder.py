"""Record what a client sends: a server in place of the cloud, and a client in its own process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import WSMsgType, web
from wire.cloud import FRAMES, Cloud
from wire.recording import Operation, Request, flatten
from wire.tools import CHANGE, answer_of_tool, content_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Seconds. All operations take about half a minute, and the machine may be busy.
_TIME_LIMIT = 600
_POLL = "CallMcpTool get_file_change"
_PROGRAM = Path(__file__).parent / "operations.py"


async def record(python: str, directory: Path) -> dict[str, Operation]:
    """Let a client perform all operations, and return what it sent.

    Args:
        python: The interpreter that has the client.
        directory: An empty directory for its files.
    """
    recorder = Recorder()
    async with recorder.serving():
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "AGENTBAY_ENDPOINT": recorder.url,
            "AGENTBAY_API_KEY": "akm-conformance",
            "AGENTBAY_LOG_FILE": str(directory / "client.log"),
            "AGENTBAY_LEDGER": str(directory / "ledger.jsonl"),
        }
        child = await asyncio.create_subprocess_exec(
            python,
            str(_PROGRAM),
            cwd=directory,
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await asyncio.wait_for(child.communicate(), _TIME_LIMIT)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    assert child.returncode == 0, errors.decode()[-4000:]
    return recorder.operations


class Recorder:
    """The server.

    Attributes:
        operations: What was sent, by the name of the operation.
        url: Its URL, while it serves.
    """

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.url = ""
        self._sockets: list[web.WebSocketResponse] = []
        self._watched = asyncio.Event()
        self._operation = Operation()
        self._cloud = Cloud("")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free port while the block runs."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/-/{command}", self._control)
        app.router.add_route("*", "/link/{session}/callTool", self._direct_call)
        app.router.add_get("/ws/{session}", self._socket)
        app.router.add_route("*", "/store/{path:.*}", self._store)
        app.router.add_route("*", "/{path:.*}", self._action)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()

    async def _control(self, request: web.Request) -> web.Response:
        match request.match_info["command"]:
            case "begin":
                # Each operation meets the same cloud, whatever those before it did.
                self._operation, self._cloud = Operation(), Cloud(self.url)
                self.operations[request.query["operation"]] = self._operation
            case "end":
                self._operation.outcome = request.query["outcome"]
                self._operation.reason = request.query["reason"]
            case "change":
                self._cloud.changed = True
            case "push":
                await self._push()
        return web.Response()

    async def _push(self) -> None:
        # The official client says that it watches before it does.
        await asyncio.wait_for(self._watched.wait(), _TIME_LIMIT)
        data = {"eventType": "file_change", "path": "/tmp/watched", "events": [CHANGE]}
        for socket in self._sockets:
            await socket.send_json(_frame("push-1", "wuying_filesystem", data))

    def _keep(self, name: str, request: web.Request, fields: dict[str, str]) -> None:
        head = {"method": request.method, "path": request.path}
        headers = {f"header.{name.lower()}": value for name, value in request.headers.items()}
        query = {f"query.{name}": value for name, value in request.query.items()}
        self._add(name, {**head, **headers, **query, **fields})

    def _add(self, name: str, fields: dict[str, str]) -> None:
        request = Request.of(name, fields, self.url)
        sent = self._operation.requests
        # How often a directory is polled depends on the machine, so a poll is kept once.
        if name != _POLL or request not in sent:
            sent.append(request)

    async def _action(self, request: web.Request) -> web.Response:
        form = {
            name: value for name, value in (await request.post()).items() if isinstance(value, str)
        }
        values = {**form, **request.query}
        action = values.get("Action", "")
        name = f"{action} {values['Name']}" if action == "CallMcpTool" else action
        fields: dict[str, str] = {}
        for field, value in form.items():
            fields |= flatten(f"form.{field}", value)
        self._keep(name, request, fields)
        status, document = self._cloud.answer(action, values)
        return web.json_response(document, status=status)

    async def _direct_call(self, request: web.Request) -> web.Response:
        document = await request.json()
        self._keep(f"direct {document['tool']}", request, flatten("body", document))
        if request.match_info["session"].startswith("s-direct-refused"):
            refusal = {"code": "Forbidden", "message": "The token has expired."}
            return web.json_response(refusal, status=403)
        result = answer_of_tool(document["tool"], document["args"])
        return web.json_response({"code": 200, "data": {"result": result}})

    async def _store(self, request: web.Request) -> web.Response:
        content = await request.read()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        body = f"{len(content)} bytes with MD5 {digest[:8]}"
        self._keep(f"{request.method} file", request, {"body": body})
        if request.method == "PUT":
            return web.Response(headers={"ETag": f'"{digest.upper()}"'})
        return web.Response(body=content_of(unquote(request.path)))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self._keep("WebSocket", request, {})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._frame(socket, json.loads(message.data))
        self._sockets.remove(socket)
        return socket

    async def _frame(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        method = frame["data"].get("method", "message")
        self._add(f"frame {method}", flatten("frame", frame))
        for answer in FRAMES.get(method, ()):
            await socket.send_json(_frame(frame["invocationId"], frame["target"], answer))
        if method == "subscribe_file_change":
            self._watched.set()


def _frame(number: str, source: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"invocationId": number, "source": source, "target": "SDK", "data": data}
