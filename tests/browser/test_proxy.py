"""A proxy of the user's own, outside the session, that wants a user name."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay, BrowserOption, BrowserProxy, CreateSessionParams
from agentbay_local import LocalService
from agentbay_local.browser.pages import open_page
from agentbay_local.sandbox.outbound.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from agentbay_async import AsyncSession
    from agentbay_local.browser.chromium import Chromium
    from agentbay_local.images import Image

PASSWORD = "a-secret"
IN_BASE64 = "Proxy-Authorization: Basic YWRhOmEtc2VjcmV0"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as every page that a proxy is asked for, with what it was asked."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        status = "200 OK" if IN_BASE64 in head else "407 Proxy Authentication Required"
        title = f"<title>{status}, {head.split()[1]}</title>"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n"
            f"Content-Length: {len(title)}\r\n\r\n{title}".encode("ascii")
        )
    writer.close()


@asynccontextmanager
async def session_and_proxy(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[LocalService, AsyncSession, int]]:
    """Give a session that may reach ``proxy.example``, and the port of the proxy there."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(Proxy.__init__, "__defaults__", (resolve,))
    async with await asyncio.start_server(_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hosts = [f"proxy.example:{port}", f"127.0.0.1:{port}"]
        async with (
            LocalService(images=[image], allow_hosts=hosts) as service,
            AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        ):
            params = CreateSessionParams(image_id="browser_latest")
            yield service, (await bay.create(params)).unwrap(), port


def option(host: str, port: int) -> BrowserOption:
    """Return the options of a browser with a proxy."""
    server = f"http://{host}:{port}"
    return BrowserOption(proxy=BrowserProxy("custom", server, "ada", PASSWORD))


def running(service: LocalService, session: AsyncSession) -> Chromium:
    """Return the browser of a session."""
    browser = service._running().state.browsers.alive(session.session_id)
    assert browser is not None
    return browser


async def command_lines(session: AsyncSession) -> str:
    """Return the command lines of all processes of a session; some may end meanwhile."""
    read = "cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' '"
    return (await session.command.run(read, check=True)).stdout


async def test_pages_come_through_a_proxy_outside_the_session(
    browser_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request has the user name; the password is in no command line."""
    async with session_and_proxy(browser_image, monkeypatch) as (service, session, port):
        (await session.browser.initialize(option("proxy.example", port))).unwrap()
        async with open_page(running(service, session).devtools) as page:
            for path in ("first", "second"):
                await page.navigate(f"http://site.invalid/{path}")
                assert (await page.look())["title"] == f"200 OK, http://site.invalid/{path}"
        assert PASSWORD not in await command_lines(session)
        await session.browser.destroy()
        assert "Proxy-Authorization" not in await command_lines(session)


async def test_a_proxy_that_the_allow_list_lacks_is_an_error_with_the_cure(
    browser_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a browser starts, and a page is asked for without it."""
    async with session_and_proxy(browser_image, monkeypatch) as (service, session, port):
        started = await session.browser.initialize(option("other.example", port))
        assert not started.success
        assert f"--allow-host other.example:{port}" in str(started.error)
        assert PASSWORD not in str(started.error)
        assert service._running().state.browsers.alive(session.session_id) is None


async def test_a_proxy_outside_a_session_without_network_is_an_error_with_the_cure(
    browser_image: Image,
) -> None:
    """Such a session has no way out at all."""
    async with (
        LocalService(images=[browser_image]) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session(CreateSessionParams(image_id="browser_latest")) as session,
    ):
        started = await session.browser.initialize(option("proxy.example", 3128))
        assert "--allow-host" in str(started.error)
