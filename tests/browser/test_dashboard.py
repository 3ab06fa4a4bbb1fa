"""The pages for people, in a real browser: that of a session."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import pytest

from agentbay_async import CreateSessionParams

from .conftest import ORIGIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page, Route
    from tests.browser.conftest import Desk

pytestmark = pytest.mark.slow


@asynccontextmanager
async def opened(desk: Desk, url: str, width: int = 1280) -> AsyncIterator[Page]:
    """Open a page of the service in a browser.

    It runs in a session, which has no way to the service, so this process fetches for it.
    """
    browser = await desk.connect(await desk.session())
    context = await browser.new_context(viewport={"width": width, "height": 900})
    host, endpoint = urlsplit(url).netloc, urlsplit(desk.service.endpoint).netloc
    async with aiohttp.ClientSession() as http:

        async def fetch(route: Route) -> None:
            target = route.request.url.replace(host, endpoint, 1)
            async with http.get(target, headers={"Host": host}) as answer:
                body = await answer.read()
                await route.fulfill(status=answer.status, headers=dict(answer.headers), body=body)

        await context.route("**/*", fetch)
        page = await context.new_page()
        await page.goto(url)
        yield page
        await context.unroute_all(behavior="ignoreErrors")
        await context.close()


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_overview_lists_sessions_and_fits_the_window(desk: Desk, width: int) -> None:
    """Nothing is wider than the window; tables scroll in themselves."""
    params = CreateSessionParams(labels={"project": "demo"})
    async with (
        desk.bay.session(params) as session,
        opened(desk, desk.service.overview_url, width) as page,
    ):
        sessions = page.get_by_role("region", name="Sessions")
        row = sessions.get_by_role("row").filter(has_text=session.session_id)
        await row.get_by_text("project=demo").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_page_of_a_session_shows_its_browser_and_lets_its_files_be_found(
    desk: Desk,
) -> None:
    """The picture is that of the visible page; directories can be entered by keyboard."""
    session = await desk.session()
    await desk.serve_site(session)
    inside = await desk.connect(session)
    shown = await inside.contexts[0].new_page()
    await shown.goto(f"{ORIGIN}/form.html")
    (await session.file_system.write_file("project/<b>notes.md", "1")).unwrap()
    async with opened(desk, session.resource_url) as page:
        picture = page.get_by_alt_text("The visible page of the session's browser")
        await picture.wait_for()
        load = "image => new Promise(done => image.onload = () => done(image.naturalWidth))"
        assert await picture.evaluate(load) > 100
        await page.get_by_role("button", name="project/").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("cell", name="<b>notes.md").wait_for()
        await page.get_by_text("callTool").first.wait_for()


async def test_the_page_of_a_session_that_ends_says_so(desk: Desk) -> None:
    """It does not go on asking."""
    session = await desk.session()
    async with opened(desk, session.resource_url) as page:
        await page.get_by_text("RUNNING").wait_for()
        (await session.delete()).unwrap()
        await page.get_by_text("This session has ended.").wait_for()
