"""Connections: one pool for each event loop, and none left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay
from agentbay_async._wire.pool import Pools, proxy_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import Scripted

_TWO_RUNS = """
import asyncio, gc, json
from aiohttp import web
from aiohttp.test_utils import TestServer
from agentbay_async import AsyncAgentBay

async def answer(request):
    return web.json_response({"Success": True, "Data": []})

async def ask(bay):
    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app, port=PORT) as server:
        results = [await bay.context.list() for _ in range(3)]
        print(all(result.success for result in results))

import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    PORT = probe.getsockname()[1]
bay = AsyncAgentBay("akm-test", endpoint=f"http://127.0.0.1:{PORT}")
asyncio.run(ask(bay))
asyncio.run(ask(bay))
gc.collect()
"""


def test_two_runs_with_one_client_just_work(run_child: Callable[..., str]) -> None:
    """The client is never closed, and still nothing is leaked: each run ends its own pool."""
    assert run_child(_TWO_RUNS, "-W", "error", "-X", "dev") == "True\nTrue"


async def test_one_loop_has_one_pool() -> None:
    """Asked again, the pool is the same; after closing, it is a new one."""
    pools = Pools(5)
    first = await pools.current()
    assert await pools.current() is first
    await pools.aclose()
    assert not first.usable
    second = await pools.current()
    assert second is not first
    await pools.aclose()
    await pools.aclose()


async def test_a_pool_whose_session_was_closed_is_replaced() -> None:
    """Whoever closed it, requests go on."""
    pools = Pools(5)
    first = await pools.current()
    await first.session.close()
    assert await pools.current() is not first
    await first.aclose()
    await pools.aclose()


def test_a_loop_that_has_ended_is_let_go() -> None:
    """A client that lives through many loops does not keep them all."""
    pools = Pools(5)

    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        await pools.current()
        return weakref.ref(asyncio.get_running_loop())

    ended = asyncio.run(use())
    asyncio.run(use())
    gc.collect()
    assert ended() is None


async def test_a_pool_keeps_no_cookies(bay: AsyncAgentBay, scripted: Scripted) -> None:
    """A gateway's cookie is not carried from one call to the next."""
    scripted.raw("ListContexts", '{"Success": true, "Data": []}', headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        assert (await bay.context.list()).success
    assert "Cookie" not in scripted.received[1].headers


async def test_connections_are_kept_alive(bay: AsyncAgentBay, scripted: Scripted) -> None:
    """Ten calls in a row use one connection."""
    scripted.ok("ListContexts", [])
    for _ in range(10):
        await bay.context.list()
    assert len(scripted.ports) == 1


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://service", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://service", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://service", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://service", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://service:8443/path", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://service", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "other,service"}, "http://service:80", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "example.com"}, "http://a.example.com", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, "http://service", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "other"}, "http://service", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "/no/host", None),
    ],
)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    """By scheme, in either case, with regard to NO_PROXY."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy
