"""Connection pools: one for each event loop, closed with it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from agentbay_async import ClosedError, Config, ConnectionLostError, RetryPolicy
from agentbay_async._transport.http import Pools, proxy_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay

pytestmark = pytest.mark.usefixtures("over_http")

_TWO_RUNS = """
import asyncio, gc, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from agentbay_async import AsyncAgentBay

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"Success": true, "Data": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

async def ask(bay):
    results = [await bay.context.list() for _ in range(3)]
    print(all(result.success for result in results))

server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
bay = AsyncAgentBay("akm-test", endpoint=f"http://127.0.0.1:{server.server_port}")
asyncio.run(ask(bay))
asyncio.run(ask(bay))
gc.collect()
server.shutdown()
server.server_close()
"""


def test_one_client_works_in_two_event_loops(run_child: Callable[..., str]) -> None:
    """Each run closes its pool, although the client is never closed."""
    assert run_child(_TWO_RUNS, "-W", "error") == "True\nTrue"


async def _session_of(pools: Pools) -> aiohttp.ClientSession:
    async with pools.session() as session:
        return session


async def test_one_loop_has_one_pool() -> None:
    """After closing there is a new one."""
    pools = Pools(5)
    first = await _session_of(pools)
    assert await _session_of(pools) is first
    await pools.aclose()
    assert first.closed
    assert await _session_of(pools) is not first
    await pools.aclose()
    await pools.aclose()


async def test_a_pool_whose_session_was_closed_is_replaced() -> None:
    """Requests continue, even if the program has closed it."""
    pools = Pools(5)
    first = await _session_of(pools)
    await first.close()
    second = await _session_of(pools)
    assert second is not first
    # The loop closes the generator of the first pool in one of its next turns.
    for _ in range(10):
        await asyncio.sleep(0)
    assert await _session_of(pools) is second
    assert not second.closed
    await pools.aclose()


def test_a_closed_loop_is_released() -> None:
    """A client that is used in many loops does not keep them."""
    pools = Pools(5)

    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        await _session_of(pools)
        return weakref.ref(asyncio.get_running_loop())

    ended = asyncio.run(use())
    asyncio.run(use())
    gc.collect()
    assert ended() is None


async def test_a_pool_keeps_no_cookies(bay: AsyncAgentBay, scripted: Script) -> None:
    """A cookie of a gateway is not sent with the next call."""
    scripted.raw("ListContexts", '{"Success": true, "Data": []}', headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        assert (await bay.context.list()).success
    assert "Cookie" not in scripted.requests[1].headers


async def test_connections_are_kept_alive(bay: AsyncAgentBay, scripted: Script) -> None:
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


async def test_a_closed_client_sends_nothing(bay: AsyncAgentBay, scripted: Script) -> None:
    """A call after close raises."""
    scripted.ok("GetSession", {"SessionId": "s-1"})
    async with bay:
        (await bay.get("s-1")).unwrap()
    with pytest.raises(ClosedError):
        await bay.get("s-1")
    assert len(scripted.requests) == 1


async def test_closing_a_client_ends_its_calls_with_our_errors(
    bays: Bays, scripted: Script
) -> None:
    """Both running and queued calls raise ClosedError."""
    scripted.hang("GetSession")
    bay = bays(cfg=Config(max_connections=1), retry=RetryPolicy(attempts=1))
    first = asyncio.ensure_future(bay.get("s-1"))
    second = asyncio.ensure_future(bay.get("s-2"))
    await scripted.arrival("GetSession")
    await bay.aclose()
    for outcome in await asyncio.gather(first, second, return_exceptions=True):
        error = outcome if isinstance(outcome, BaseException) else outcome.error
        assert isinstance(error, (ClosedError, ConnectionLostError))
    assert len(scripted.requests) == 1


async def test_time_in_the_queue_does_not_count_against_the_timeout(
    bays: Bays, scripted: Script
) -> None:
    """With one connection, ten calls of a slow service all succeed."""
    scripted.ok("GetSession", {"SessionId": "s-1"})
    bay = bays(cfg=Config(max_connections=1))
    results = await asyncio.gather(*(bay.get("s-1") for _ in range(10)))
    assert all(result.success for result in results)
