"""Requests through a proxy that the environment names."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agentbay_async import Config, ConnectionFailedError, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.http.conftest import Bays
    from tests.http.scripted import Script

pytestmark = pytest.mark.usefixtures("over_http")


class Proxy:
    """A proxy that answers requests itself, and records the request lines."""

    def __init__(self, answer: bytes) -> None:
        self.lines: list[str] = []
        self.url = ""
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection with one answer."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.lines.append(head.partition("\r\n")[0])
        writer.write(self._answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def _proxy(status: str, body: bytes = b"") -> AsyncIterator[Proxy]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    proxy = Proxy(head.encode() + body)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy


async def test_requests_go_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, bays: Bays, scripted: Script
) -> None:
    """No connection to the service itself is made."""
    async with _proxy("200 OK", b'{"Success": true, "Data": []}') as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        bay = bays(endpoint=None, cfg=Config(endpoint="http://service.example:81", allow_http=True))
        result = await bay.context.list()
    assert result.success
    assert proxy.lines[0].startswith("POST http://service.example:81/?Format=json")
    assert scripted.requests == []


async def test_no_proxy_bypasses_the_proxy(
    monkeypatch: pytest.MonkeyPatch, bays: Bays, scripted: Script
) -> None:
    """Connections to the hosts in NO_PROXY are direct."""
    scripted.ok("ListContexts", [])
    async with _proxy("500 Never") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        assert (await bays().context.list()).success
    assert proxy.lines == []
    assert len(scripted.requests) == 1


async def test_nothing_is_sent_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch, bays: Bays, unused_port: int
) -> None:
    """So even a create may be sent again."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port}")
    bay = bays(
        endpoint=None,
        cfg=Config(endpoint="http://service.example", allow_http=True),
        retry=RetryPolicy(attempts=1),
    )
    result = await bay.create()
    assert isinstance(result.error, ConnectionFailedError)


async def test_nothing_is_sent_if_the_proxy_refuses_the_tunnel(
    monkeypatch: pytest.MonkeyPatch, bays: Bays
) -> None:
    """The answer comes from the proxy, so a create may be sent again."""
    async with _proxy("407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        bay = bays(endpoint="https://service.example", retry=RetryPolicy(attempts=1))
        result = await bay.create()
    assert proxy.lines == ["CONNECT service.example:443 HTTP/1.1"]
    assert isinstance(result.error, ConnectionFailedError)


@pytest.mark.parametrize("proxy", ["127.0.0.1:8080", "http://[::1"])
async def test_nothing_is_sent_to_an_invalid_proxy_url(
    monkeypatch: pytest.MonkeyPatch, bays: Bays, proxy: str
) -> None:
    """An invalid setting is not reported as a broken connection."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    bay = bays(
        endpoint=None,
        cfg=Config(endpoint="http://service.example", allow_http=True),
        retry=RetryPolicy(attempts=1),
    )
    result = await bay.create()
    assert isinstance(result.error, ConnectionFailedError)
