"""Browsers that crash, are killed, do not start, or answer what no browser would."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import ThreadedResolver, web
from aiohttp.test_utils import TestServer
from yarl import URL

from agentbay_async import AsyncAgentBay, BrowserOption, CreateSessionParams
from agentbay_local import LocalService
from agentbay_local.browser.pages import open_page
from agentbay_local.sandbox.base import Limits
from agentbay_local.sandbox.outbound.proxy import Proxy

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult
    from tests.browser.conftest import Browsers

    from agentbay_async import AsyncSession
    from agentbay_local.images import Image


async def _until_gone(browsers: Browsers, link: str) -> None:
    """Wait until the service knows that the browser of a link has ended."""

    async def is_gone() -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{link}json/version") as answer:
            return answer.status == 502 and "does not run" in await answer.text()

    end = time.monotonic() + 30
    while not await is_gone():
        assert time.monotonic() < end, "the service did not notice it"
        await asyncio.sleep(0.05)


async def test_a_browser_that_its_session_kills_is_started_again(browsers: Browsers) -> None:
    """With the same options, at the next call."""
    session = await browsers.session()
    first = await browsers.connect(session, BrowserOption(user_agent="Mine/1.0"))
    link = (await session.get_link("https")).unwrap()
    closed = asyncio.Event()
    first.on("disconnected", lambda _: closed.set())
    await session.command.execute_command("pkill -9 chromium")
    await asyncio.wait_for(closed.wait(), 30)
    await _until_gone(browsers, link)
    second = await browsers.playwright.chromium.connect_over_cdp(
        await session.browser.get_endpoint_url()
    )
    browsers.connected.append(second)
    assert await second.contexts[0].pages[0].evaluate("navigator.userAgent") == "Mine/1.0"
    async with aiohttp.ClientSession() as http, http.get(f"{link}json/version") as answer:
        assert (await answer.json())["User-Agent"] == "Mine/1.0"


async def test_a_browser_that_a_client_closes_is_started_again(browsers: Browsers) -> None:
    """As one that was killed; its profile is whole."""
    session = await browsers.session()
    browser = await browsers.connect(session)
    link = (await session.get_link("https")).unwrap()
    await (await browser.new_browser_cdp_session()).send("Browser.close")
    await _until_gone(browsers, link)
    assert (await browsers.connect(session)).contexts[0].pages


async def test_a_second_start_leaves_the_browser_as_it_is(browsers: Browsers) -> None:
    """Several at once start one."""
    session = await browsers.session()
    await asyncio.gather(*(session.browser.initialize() for _ in range(3)))
    ports = {session.browser.endpoint_router_port}
    (await session.browser.initialize(BrowserOption(user_agent="Other/1.0"))).unwrap()
    assert ports == {session.browser.endpoint_router_port}
    count = "pgrep -c -f -- --remote-debugging-pipe.*about:blank$"
    assert (await session.command.execute_command(count)).output.strip() == "1"


async def test_a_session_without_enough_memory_says_so(browser_image: Image) -> None:
    """The kernel, or the service, kills the browser."""
    async with (
        LocalService(images=[browser_image], limits=Limits(memory_bytes=48 * 2**20)) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):
        params = CreateSessionParams(image_id="browser_latest")
        session = (await bay.create(params)).unwrap()
        answer = await session.browser.initialize()
        assert not answer.success
        assert "The browser does not start" in str(answer.error)
        assert "memory" in str(answer.error)


_HOSTILE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open("/tmp/answer", "rb").read()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


_ANSWERS = (
    ('{"webSocketDebuggerUrl": "ws://evil.example/devtools/browser/1"}', 200),
    ('{"webSocketDebuggerUrl": "ws://evil.example/steal", "devtoolsFrontendUrl": "//e"}', 200),
    ('[{"webSocketDebuggerUrl": "ws://[/devtools/page/1"}, {"url": "x"}]', 200),
    ('{"a": ' * 80_000, 502),
    ("[1]", 502),
    ("{", 502),
    ("[" + " " * 1_000_000 + "]", 502),
    ("<script>alert(1)</script>", 200),
)


async def test_nothing_that_a_session_answers_leads_elsewhere(browsers: Browsers) -> None:
    """A program of the session has taken the place of its browser."""
    session = await browsers.session()
    link = await _link_to_impostor(browsers, session)
    for answer, status in _ANSWERS:
        (await session.file_system.write_file("/tmp/answer", answer)).unwrap()
        async with aiohttp.ClientSession() as http, http.get(f"{link}json/version") as found:
            text = await found.text()
            assert (found.status, found.content_type.endswith("html")) == (status, False), text
        assert "evil" not in text
        assert "Frontend" not in text
        if "devtools/browser" in answer:
            prefix = link.replace("http", "ws", 1)
            assert json.loads(text) == {"webSocketDebuggerUrl": f"{prefix}devtools/browser/1"}


async def _link_to_impostor(browsers: Browsers, session: AsyncSession) -> str:
    """Let a program of a session listen where the service expects its browser."""
    (await session.browser.initialize()).unwrap()
    (await session.file_system.write_file("/tmp/hostile.py", _HOSTILE)).unwrap()
    link = (await session.get_link("https")).unwrap()
    browser = browsers.service._running().state.browsers.alive(session.session_id)
    assert browser is not None
    browser.port = 8123
    start = "python3 /tmp/hostile.py 8123 >/dev/null 2>&1 &"
    ready = "until python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8123))'"
    await session.command.execute_command(f"{start} {ready} 2>/dev/null; do :; done")
    return link


async def test_the_address_of_a_browser_is_not_for_pages(browsers: Browsers) -> None:
    """A page that learned it could drive the browser."""
    session = await browsers.session()
    (await session.browser.initialize()).unwrap()
    link = (await session.get_link("https")).unwrap()
    headers = {"Origin": "http://evil.example"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{link}json/version", headers=headers) as answer,
    ):
        assert answer.status == 403
        assert "devtools" not in await answer.text()


@pytest.fixture
def localhost_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service see a machine whose programs find names below ``localhost``."""

    async def found() -> bool:
        return True

    monkeypatch.setattr("agentbay_local.actions.browser.names_are_found", found)


class _Localhost(ThreadedResolver):
    """Finds names below ``localhost`` on this machine, as systemd's sources of names do."""

    async def resolve(self, host: str, *rest: Any, **more: Any) -> list[ResolveResult]:
        assert host.endswith(".localhost")
        return await super().resolve("127.0.0.1", *rest, **more)


@pytest.mark.usefixtures("localhost_names")
async def test_a_link_keeps_its_secret_where_clients_replace_its_path(browsers: Browsers) -> None:
    """Puppeteer's `browserURL` does; then the address names the WebSocket, which leads on."""
    session = await browsers.session()
    link = (await session.get_link("https")).unwrap()
    connector = aiohttp.TCPConnector(resolver=_Localhost())
    async with aiohttp.ClientSession(connector=connector) as http:
        async with http.get(URL(link).with_path("/json/version")) as answer:
            address = URL((await answer.json())["webSocketDebuggerUrl"])
        assert (address.scheme, address.authority) == ("ws", URL(link).authority)
        async with http.ws_connect(address) as socket:
            await socket.send_json({"id": 1, "method": "Browser.getVersion"})
            assert "Chrome" in (await socket.receive_json())["result"]["product"]
        page = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
        async with http.get(URL(link) / "json/version", headers=page) as answer:
            assert (answer.status, "devtools" in await answer.text()) == (403, False)
        label, _, rest = URL(link).authority.partition(".")
        forged = f"http://{label[:-1]}{'0' if label[-1] != '0' else '1'}.{rest}/json/version"
        async with http.get(forged) as answer:
            assert answer.status == 403


async def test_a_browser_reaches_allowed_hosts_only(
    browser_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the proxy of its session."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=f"this is {request.host}")

    monkeypatch.setattr(Proxy.__init__, "__defaults__", (resolve,))
    app = web.Application()
    app.router.add_get("/", serve)
    async with TestServer(app) as server:
        hosts = [f"site.example:{server.port}", f"127.0.0.1:{server.port}"]
        async with (
            LocalService(images=[browser_image], allow_hosts=hosts) as service,
            AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        ):
            params = CreateSessionParams(image_id="browser_latest")
            session = (await bay.create(params)).unwrap()
            for host, seen in (("site", "this is site.example"), ("other", "was refused")):
                url = f"http://{host}.example:{server.port}/"
                await session.call_mcp_tool("page_use_navigate", {"url": url})
                browser = service._running().state.browsers.alive(session.session_id)
                assert browser is not None
                async with open_page(browser.devtools) as page:
                    assert seen in (await page.look())["text"]


async def test_a_paused_session_keeps_its_browser(browsers: Browsers) -> None:
    """A start fails while it is paused, and its pages go on afterwards."""
    session = await browsers.session()
    page = (await browsers.connect(session)).contexts[0].pages[0]
    await page.set_content("<title>kept</title>")
    (await session.pause()).unwrap()
    assert not (await session.browser.initialize()).success
    (await session.resume()).unwrap()
    assert await page.title() == "kept"
