"""Playwright drives the Chromium of a session through its link."""

from __future__ import annotations

import asyncio
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from tests.browser.conftest import ORIGIN

from agentbay import AgentBay, CreateSessionParams
from agentbay_async import AsyncExtensionsService, BrowserContext, BrowserOption
from agentbay_local import LocalService

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.conftest import Browsers

    from agentbay_async import AsyncSession
    from agentbay_local.images import Image


async def test_a_form_is_filled_and_sent(browsers: Browsers) -> None:
    """The page is served inside the session."""
    session = await browsers.session()
    await browsers.serve_site(session)
    page = await (await browsers.connect(session)).contexts[0].new_page()
    await page.goto(f"{ORIGIN}/form.html")
    await page.fill("#name", "Ada")
    await page.click("button")
    assert await page.inner_text("#said") == "Hello Ada"


async def test_a_table_is_read_in_one_of_several_tabs(browsers: Browsers) -> None:
    """Each tab has its own page."""
    session = await browsers.session()
    await browsers.serve_site(session)
    context = (await browsers.connect(session)).contexts[0]
    tabs = [await context.new_page() for _ in range(3)]
    for tab, name in zip(tabs, ("form", "table", "visits"), strict=True):
        await tab.goto(f"{ORIGIN}/{name}.html")
    cells = await tabs[1].locator("td").all_inner_texts()
    assert cells[-2:] == ["4", "16"]
    assert [await tab.title() for tab in tabs[:2]] == ["Form", "Table"]


async def test_a_download_lands_in_the_session(browsers: Browsers) -> None:
    """In the downloads of its user, or in the directory that a client names."""
    session = await browsers.session()
    await browsers.serve_site(session)
    browser = await browsers.connect(session)
    page = await browser.contexts[0].new_page()
    devtools = await browser.new_browser_cdp_session()
    await devtools.send(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": "/tmp/mine"}
    )
    await page.goto(f"{ORIGIN}/download.html")
    await page.click("#get")
    wait = "until grep -q 16 /tmp/mine/t.html 2>/dev/null; do sleep 0.05; done"
    done = await session.command.execute_command(wait, timeout_ms=30_000)
    assert done.success, done.error_message


async def test_files_are_uploaded(browsers: Browsers) -> None:
    """Those of the client as bytes, and those of the session by their path."""
    session = await browsers.session()
    await browsers.serve_site(session)
    page = await (await browsers.connect(session)).contexts[0].new_page()
    await page.goto(f"{ORIGIN}/upload.html")
    given = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"from outside"}
    await page.set_input_files("#file", given)
    await page.wait_for_function("said.textContent == 'a.txt: from outside'")
    (await session.file_system.write_file("/tmp/b.txt", "from inside")).unwrap()
    devtools = await page.context.new_cdp_session(page)
    document = await devtools.send("DOM.getDocument")
    found = await devtools.send(
        "DOM.querySelector", {"nodeId": document["root"]["nodeId"], "selector": "#file"}
    )
    await devtools.send("DOM.setFileInputFiles", {"files": ["/tmp/b.txt"], **found})
    await page.wait_for_function("said.textContent == 'b.txt: from inside'")


async def test_options_are_what_pages_see(browsers: Browsers) -> None:
    """User agent, sizes, arguments, first page and stealth."""
    session = await browsers.session()
    await browsers.serve_site(session)
    option = BrowserOption(
        user_agent="Mine/1.0",
        viewport=(1000, 700),
        screen=(1600, 900),
        cmd_args=("--lang=de", "--accept-lang=de", "--user-data-dir=/elsewhere"),
        default_navigate_url=f"{ORIGIN}/form.html",
        use_stealth=True,
    )
    context = (await browsers.connect(session, option)).contexts[0]
    assert [page.url for page in context.pages] == [f"{ORIGIN}/form.html"]
    for page in (context.pages[0], await context.new_page()):
        seen = await page.evaluate(
            """[navigator.userAgent, innerWidth, innerHeight, screen.width, screen.height,
            navigator.language, navigator.webdriver]"""
        )
        assert seen == ["Mine/1.0", 1000, 700, 1600, 900, "de", False]
    assert await session.file_system.exists("/tmp/agentbay_browser/Local State")


async def test_stealth_without_a_user_agent_hides_that_the_browser_is_headless(
    browsers: Browsers,
) -> None:
    """Without it, the user agent says so."""
    for stealth, said in ((True, "Chrome/"), (False, "HeadlessChrome/")):
        session = await browsers.session()
        browser = await browsers.connect(session, BrowserOption(use_stealth=stealth))
        agent = await browser.contexts[0].pages[0].evaluate("navigator.userAgent")
        assert f" {said}" in agent


_MARKING = {
    "manifest.json": json.dumps(
        {
            "manifest_version": 3,
            "name": "marks",
            "version": "1.0",
            "content_scripts": [{"matches": ["<all_urls>"], "js": ["mark.js"]}],
        }
    ),
    "mark.js": "document.title = 'marked'",
}


async def _marks_pages(browsers: Browsers, session: AsyncSession) -> None:
    """Wait until the extension has changed the title of a page."""
    await browsers.serve_site(session)
    page = await (await browsers.connect(session)).contexts[0].new_page()
    await page.goto(f"{ORIGIN}/table.html")
    await page.wait_for_function("document.title == 'marked'")


async def test_an_extension_is_loaded(browsers: Browsers) -> None:
    """From a directory below that of the options."""
    session = await browsers.session()
    for name, text in _MARKING.items():
        path = f"/tmp/extensions/marks/{name}"
        (await session.file_system.write_file(path, text)).unwrap()
    await _marks_pages(browsers, session)


async def test_an_uploaded_extension_is_unpacked_and_loaded(
    browsers: Browsers, tmp_path: Path
) -> None:
    """Its archive comes from a context."""
    with zipfile.ZipFile(tmp_path / "marks.zip", "w") as archive:
        for name, text in _MARKING.items():
            archive.writestr(name, text)
    extensions = AsyncExtensionsService(browsers.bay)
    uploaded = await extensions.create(str(tmp_path / "marks.zip"))
    context = BrowserContext(
        (await browsers.bay.context.get("extended", create=True)).context.id,
        extension_option=await extensions.create_extension_option([uploaded.id]),
    )
    session = await browsers.session(browser_context=context)
    await _marks_pages(browsers, session)
    name = uploaded.id.partition(".")[0]
    assert await session.file_system.exists(f"/tmp/extensions/{name}/manifest.json")
    assert await extensions.delete(uploaded.id)


async def test_an_extension_that_is_no_archive_is_named(browsers: Browsers) -> None:
    """The browser does not start without what it was asked for."""
    session = await browsers.session()
    (await session.file_system.write_file("/tmp/extensions/x.zip", "not an archive")).unwrap()
    result = await session.browser.initialize()
    assert "extension /tmp/extensions/x.zip cannot be unpacked" in result.error_message
    assert "not a zip file" in result.error_message


async def test_cookies_survive_a_session_by_a_context(browsers: Browsers) -> None:
    """Although the browser still runs when its session is released."""
    context = (await browsers.bay.context.get("profile", create=True)).unwrap()
    titles = []
    for _ in range(2):
        session = await browsers.session(browser_context=BrowserContext(context.id))
        await browsers.serve_site(session)
        page = await (await browsers.connect(session)).contexts[0].new_page()
        await page.goto(f"{ORIGIN}/visits.html")
        titles.append((await page.title(), await page.evaluate("localStorage.seen")))
        (await session.delete(sync_context=True)).unwrap()
    assert titles == [("1", "x"), ("2", "xx")]


async def test_a_sync_has_the_cookies_of_a_browser_that_runs_on(browsers: Browsers) -> None:
    """Chromium alone would write them half a minute later; the page stays open."""
    context = (await browsers.bay.context.get("profile", create=True)).unwrap()
    first = await browsers.session(browser_context=BrowserContext(context.id, auto_upload=False))
    await browsers.serve_site(first)
    page = await (await browsers.connect(first)).contexts[0].new_page()
    await page.goto(f"{ORIGIN}/visits.html")
    (await first.context.sync()).unwrap()
    assert await page.title() == "1"
    second = await browsers.session(browser_context=BrowserContext(context.id))
    kept = (await browsers.connect(second)).contexts[0]
    assert {"visits": "1"}.items() <= {
        cookie["name"]: cookie["value"] for cookie in await kept.cookies(ORIGIN)
    }.items()


@pytest.mark.slow
async def test_ten_browsers_work_at_once(browsers: Browsers) -> None:
    """Each in a session of its own."""

    async def drive(number: int) -> str:
        session = await browsers.session()
        page = await (await browsers.connect(session)).contexts[0].new_page()
        await page.set_content(f"<title>{number}</title><p>hello")
        return await page.title()

    titles = await asyncio.gather(*(drive(number) for number in range(10)))
    assert titles == [str(number) for number in range(10)]


def test_the_blocking_api_drives_a_form(browser_image: Image) -> None:
    """With the blocking API of Playwright, by the address that describes the browser."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with LocalService(images=[browser_image]) as service, sync_playwright() as playwright:
        bay = AgentBay(service.api_key, endpoint=service.endpoint)
        session = bay.create(CreateSessionParams(image_id="browser_latest")).unwrap()
        assert session.browser.initialize()
        link = session.get_link("https").unwrap()
        assert link.startswith("http://")
        browser = playwright.chromium.connect_over_cdp(link)
        page = browser.contexts[0].new_page()
        page.set_content("<input id=a oninput='document.title = a.value'>")
        page.fill("#a", "typed")
        assert page.title() == "typed"
        assert page.screenshot().startswith(b"\x89PNG")
        browser.close()
        bay.close()
