"""The pages for people, in a real browser: that of a session."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import LocalService
from agentbay_local.dashboard import pictures
from agentbay_local.urls import control_url

from .conftest import ORIGIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page, Route
    from tests.browser.conftest import Browsers

    from agentbay_local.browser.chromium import Chromium

pytestmark = pytest.mark.slow

VIEWERS = 10


@asynccontextmanager
async def opened(browsers: Browsers, url: str, width: int = 1280) -> AsyncIterator[Page]:
    """Open a page of the service in a browser.

    It runs in a session, which has no way to the service, so this process fetches for it.
    """
    browser = await browsers.connect(await browsers.session())
    context = await browser.new_context(viewport={"width": width, "height": 900})
    host, endpoint = urlsplit(url).netloc, f"127.0.0.1:{urlsplit(url).port}"
    async with aiohttp.ClientSession() as http:

        async def fetch(route: Route) -> None:
            target = route.request.url.replace(host, endpoint, 1)
            try:
                async with http.request(
                    route.request.method,
                    target,
                    data=route.request.post_data_buffer,
                    headers={**route.request.headers, "Host": host},
                ) as answer:
                    body, headers = await answer.read(), dict(answer.headers)
            except aiohttp.ClientError:
                await route.abort()
            else:
                await route.fulfill(status=answer.status, headers=headers, body=body)

        await context.route("**/*", fetch)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(url)
        try:
            yield page
        finally:
            await context.unroute_all(behavior="ignoreErrors")
            await context.close()


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_overview_lists_sessions_and_fits_the_window(
    browsers: Browsers, width: int
) -> None:
    """Nothing is wider than the window; tables scroll in themselves."""
    params = CreateSessionParams(labels={"project": "demo"})
    async with (
        browsers.bay.session(params) as session,
        opened(browsers, browsers.service.overview_url, width) as page,
    ):
        sessions = page.get_by_role("region", name="Sessions")
        row = sessions.get_by_role("row").filter(has_text=session.session_id)
        await row.get_by_text("project=demo").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_page_of_a_session_shows_its_browser_and_lets_its_files_be_found(
    browsers: Browsers,
) -> None:
    """The picture is that of the visible page; directories can be entered by keyboard."""
    session = await browsers.session()
    await browsers.serve_site(session)
    inside = await browsers.connect(session)
    shown = await inside.contexts[0].new_page()
    await shown.goto(f"{ORIGIN}/form.html")
    (await session.file_system.write_file("project/<b>notes.md", "1")).unwrap()
    async with opened(browsers, session.resource_url) as page:
        picture = page.get_by_alt_text("The visible page of the session's browser")
        await picture.wait_for()
        load = "image => new Promise(done => image.onload = () => done(image.naturalWidth))"
        assert await picture.evaluate(load) > 100
        await page.get_by_role("button", name="project/").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("cell", name="<b>notes.md").wait_for()
        await page.get_by_text("callTool").first.wait_for()


async def test_the_picture_of_a_browser_takes_mouse_and_keys(browsers: Browsers) -> None:
    """On the page that allows input, which the overview leads to."""
    session = await browsers.session()
    await browsers.serve_site(session)
    inside = await (await browsers.connect(session)).contexts[0].new_page()
    await inside.goto(f"{ORIGIN}/form.html")
    box = await inside.locator("#name").bounding_box()
    size = await inside.evaluate("[innerWidth, innerHeight]")
    assert box is not None
    url = control_url(browsers.service._running().state, session.session_id)
    async with opened(browsers, browsers.service.overview_url) as page:
        link = page.get_by_role("link", name=f"Control {session.session_id}")
        assert await link.get_attribute("href") == url
    async with opened(browsers, url) as page:
        picture = page.get_by_alt_text("The visible page of the session's browser")
        await picture.wait_for()
        load = "image => new Promise(done => image.onload = () => done(image.naturalWidth))"
        assert await picture.evaluate(load) == size[0]
        shown = await picture.bounding_box()
        assert shown is not None
        scale = (shown["width"] - 2) / size[0]
        await picture.click(position={"x": (box["x"] + 20) * scale, "y": (box["y"] + 9) * scale})
        # Each step is awaited: a person too looks before going on.
        await inside.wait_for_function("document.activeElement.id === 'name'")
        await page.keyboard.type("Ada X")
        await inside.wait_for_function("document.activeElement.value === 'Ada X'")
        await page.keyboard.press("Backspace")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("Eve")
        await inside.wait_for_function("document.activeElement.value === 'Eve'")
        await page.keyboard.press("Enter")
        await inside.get_by_text("Hello Eve").wait_for()
        await page.keyboard.press("Shift+Tab")
        assert await page.evaluate("document.activeElement === document.images[1]") is False


async def test_a_click_hits_its_point_while_the_next_picture_is_loading(browsers: Browsers) -> None:
    """The element has no size of its own then."""
    session = await browsers.session()
    inside = await (await browsers.connect(session)).contexts[0].new_page()
    await inside.set_content("<script>onclick = e => document.title = e.x > 200</script>")
    url = control_url(browsers.service._running().state, session.session_id)
    clicked = asyncio.Event()

    async def hold(route: Route) -> None:
        await clicked.wait()
        await route.fallback()

    async with opened(browsers, url) as page:
        picture = page.get_by_alt_text("The visible page of the session's browser")
        await picture.evaluate("image => new Promise(done => image.onload = done)")
        await page.route("**/browser?*", hold)
        await page.wait_for_function(
            "image => !image.naturalWidth", arg=await picture.element_handle()
        )
        await picture.click()
        await inside.wait_for_function("document.title === 'true'")
        clicked.set()


async def test_the_screen_of_a_terminal_takes_keys(browsers: Browsers) -> None:
    """It keeps the focus while its text changes."""
    session = await browsers.session()
    shell = "/bin/sh -c 'read line; echo got $line; cat'"
    terminal = await session.pty.create(shell=shell)
    url = control_url(browsers.service._running().state, session.session_id)
    async with opened(browsers, url) as page:
        screen = page.get_by_label("Terminal pty-")
        await screen.click()
        await page.keyboard.type("tea")
        await page.get_by_text("tea").wait_for()
        await page.keyboard.press("Enter")
        await page.get_by_text("got tea").wait_for()
        assert await screen.evaluate("one => document.activeElement === one")
    await terminal.kill()


async def test_the_page_of_a_session_that_ends_says_why(browsers: Browsers) -> None:
    """It does not go on asking."""
    session = await browsers.session()
    async with opened(browsers, session.resource_url) as page:
        await page.get_by_text("RUNNING").wait_for()
        (await session.delete()).unwrap()
        await page.get_by_text("This session has ended: released by the client.").wait_for()
        await _asks_nothing(page)


@pytest.mark.parametrize("which", ["session", "overview"])
async def test_the_page_of_a_service_that_stops_says_so(browsers: Browsers, which: str) -> None:
    """After some questions it does not go on asking."""
    async with AsyncExitStack() as running, AsyncExitStack() as seen:
        service = await running.enter_async_context(LocalService())
        bay = AsyncAgentBay(service.api_key, endpoint=service.endpoint)
        session = (await (await running.enter_async_context(bay)).create()).unwrap()
        url = session.resource_url if which == "session" else service.overview_url
        page = await seen.enter_async_context(opened(browsers, url))
        await page.get_by_text(session.session_id).first.wait_for()
        await running.aclose()
        stopped = page.get_by_text("The service has stopped.")
        while not await stopped.is_visible():
            await page.clock.fast_forward(60_000)
        await _asks_nothing(page)


async def _asks_nothing(page: Page) -> None:
    """Let a minute pass on the clock of a page: it does not ask the service."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.clock.fast_forward(60_000)
    await page.evaluate("1")
    assert not asked


async def test_viewers_of_a_browser_share_its_picture(
    browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many people look, one picture is taken at a time."""
    session = await browsers.session()
    await browsers.connect(session)
    taken: list[str] = []
    all_asked, asked = asyncio.Event(), 0
    visible_page, of_browser = pictures._visible_page, pictures.Pictures.of_browser

    async def slow(browser: Chromium) -> bytes | None:
        taken.append("picture")
        await all_asked.wait()
        return await visible_page(browser)

    async def counted(self: pictures.Pictures, session_id: str) -> bytes | None:
        nonlocal asked
        asked += 1
        if asked == VIEWERS:
            all_asked.set()
        return await of_browser(self, session_id)

    monkeypatch.setattr(pictures, "_visible_page", slow)
    monkeypatch.setattr(pictures.Pictures, "of_browser", counted)
    host, url = urlsplit(session.resource_url).netloc, f"{browsers.service.endpoint}/browser"
    async with aiohttp.ClientSession(headers={"Host": host}) as http:

        async def view() -> bytes:
            async with http.get(url) as answer:
                assert answer.status == 200
                return await answer.read()

        (shown, *others) = await asyncio.gather(*(view() for _ in range(VIEWERS)))
    assert taken == ["picture"]
    assert shown.startswith(b"\x89PNG")
    assert others == [shown] * (VIEWERS - 1)
