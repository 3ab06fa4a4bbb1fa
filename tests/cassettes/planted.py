"""A service that plants a secret in every place that an answer has."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

API_KEY = "akm-the/key+of=the-account"
TOKEN = "token-of-the-session-93f1"
AUTH_CODE = "auth-code-77aa"
TICKET = "ticket-551c"
SIGNATURE = "c2lnbmF0dXJlLTEyMzQ="
LINK_PATH = "link-path-" + "8" * 40
WS_SECRET = "ws-secret-" + "9" * 40
RESOURCE_LABEL = "resource-label-" + "7" * 30
PORT_TOKEN = "port-token-" + "6" * 40
COOKIE = "cookie-of-the-gateway"

ALL = (
    API_KEY,
    TOKEN,
    AUTH_CODE,
    TICKET,
    SIGNATURE,
    LINK_PATH,
    WS_SECRET,
    RESOURCE_LABEL,
    PORT_TOKEN,
    COOKIE,
)


class Planted:
    """The service.

    Attributes:
        seen: The path and the ``Authorization`` of each request, and the bodies.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.endpoint = ""

    async def run(self) -> AsyncIterator[Planted]:
        """Serve on a free port."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/", self._act)
        app.router.add_post(f"/{LINK_PATH}/callTool", self._call)
        app.router.add_get(f"/{WS_SECRET}", self._talk)
        app.router.add_route("*", "/store/{name}", self._store)
        app.router.add_get("/moved/{kind}", self._move)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _see(self, request: web.Request) -> None:
        key = request.headers.get("Authorization", "")
        body = (await request.read()).decode("utf-8", "replace")
        self.seen.append(f"{request.method} {request.raw_path} {key} {body}")

    async def _act(self, request: web.Request) -> web.Response:
        await self._see(request)
        host = self.endpoint.partition("://")[2]
        data = {
            "SessionId": "s-1",
            "Token": TOKEN,
            "LinkUrl": f"{self.endpoint}/{LINK_PATH}",
            "WsUrl": f"ws://{host}/{WS_SECRET}?token={TOKEN}",
            "wsUrl": f"ws://{host}/{WS_SECRET}?token={TOKEN}",
            "ResourceUrl": f"http://{RESOURCE_LABEL}.localhost:1/?resourceId=r-1",
            "Url": f"{self.endpoint}/store/a.txt?Expires=1&Signature={SIGNATURE}",
            "DesktopInfo": {"AuthCode": AUTH_CODE, "Ticket": TICKET},
            "ContextStatus": json.dumps([{"data": json.dumps({"token": TOKEN})}]),
            "text": f"{API_KEY} {TOKEN} http://h/port/{PORT_TOKEN}?token={PORT_TOKEN}",
        }
        answer = {"Success": True, "Code": "ok", "RequestId": "r-1", "Data": data}
        return web.json_response(answer, headers={"Set-Cookie": f"a={COOKIE}", "X-Echo": API_KEY})

    async def _call(self, request: web.Request) -> web.Response:
        await self._see(request)
        text = json.dumps({"stdout": f"{API_KEY}\n{base64.b64encode(API_KEY.encode()).decode()}"})
        result = {"content": [{"type": "text", "text": text}], "isError": False}
        return web.json_response({"code": 200, "data": {"result": result}, "token": TOKEN})

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        self.seen.append(f"{request.raw_path} {request.headers.get('X-Access-Token')}")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(json.dumps({"heard": message.data, "token": TOKEN}))
        return socket

    async def _store(self, request: web.Request) -> web.Response:
        await self._see(request)
        return web.Response(body=b"\xff\x00" + API_KEY.encode(), headers={"ETag": '"e-1"'})

    async def _move(self, request: web.Request) -> web.Response:
        await self._see(request)
        target = {"own": "/store/b.txt", "other": "https://elsewhere.example/"}
        return web.Response(status=302, headers={"Location": target[request.match_info["kind"]]})
