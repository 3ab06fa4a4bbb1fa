"""An HTTP proxy before a service, which changes answers and outlives the service.

Its address stays the same when the service is started again.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_HEADERS = ("Content-Type", "x-acs-version", "x-acs-action", "x-acs-signature-nonce")


def _unchanged(_action: str, _form: Mapping[str, str], body: bytes) -> bytes:
    return body


class Proxy:
    """A proxy on its own thread, for the length of a ``with`` block.

    Args:
        upstream: The URL of the service.
        change: Called with an action, its form and the body of its answer; returns the body to
            send.

    Attributes:
        endpoint: The URL of the proxy.
        upstream: The URL of the service; may be changed.
    """

    def __init__(
        self,
        upstream: str,
        *,
        change: Callable[[str, Mapping[str, str], bytes], bytes] = _unchanged,
    ) -> None:
        self.upstream = upstream
        self._change = change

    def __enter__(self) -> Proxy:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy")
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        action = request.query.get("Action", "")
        body = await request.read()
        try:
            status, content_type, answer = await self._send(request, body)
        except (aiohttp.ClientError, OSError):
            # What a client sees of a service that is gone: a connection without an answer.
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=503)
        return web.Response(
            status=status,
            body=self._change(action, dict(parse_qsl(body.decode(errors="replace"))), answer),
            headers={"Content-Type": content_type},
        )

    async def _send(self, request: web.Request, body: bytes) -> tuple[int, str, bytes]:
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        url = f"{self.upstream}{request.path_qs}"
        async with self._client.request(request.method, url, data=body, headers=headers) as answer:
            content_type = answer.headers.get("Content-Type", "application/json")
            return answer.status, content_type, await answer.read()
