"""A form in a browser: a session serves a page, its Chromium opens it, and Playwright fills it in.

`./run demo browser` makes the image and runs this. By hand it needs Playwright, of which the client
is enough (`pip install playwright`; the browser is that of the session), and once on this machine:

    agentbay image build browser_latest

AGENTBAY_ENDPOINT selects the service; without it, the session runs on this machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

from playwright.async_api import async_playwright

from agentbay_async import AgentBayError, AsyncAgentBay, BrowserOption, CreateSessionParams

if TYPE_CHECKING:
    from playwright.async_api import Page

    from agentbay_async import AsyncSession

PORT = 8000
ORDER = """<!doctype html><title>Order</title>
<form onsubmit="total.value = amount.value * 3; document.title = 'Thank you'; return false">
  <label>Name <input id=name></label>
  <label>Cups <input id=amount type=number></label>
  <button>Order</button>
  <output id=total></output>
</form>"""

_start = time.monotonic()


def say(text: str) -> None:
    """Print a line with the time since the start."""
    print(f"[{time.monotonic() - _start:5.2f} s] {text}", flush=True)


async def serve_page(session: AsyncSession) -> str:
    """Serve the form inside the session, which needs no network for that; return its address."""
    (await session.file_system.write("site/order.html", ORDER)).unwrap()
    serve = f"nohup python3 -m http.server {PORT} -d site > log 2>&1 &"
    ready = f"until (exec 3<>/dev/tcp/127.0.0.1/{PORT}) 2> /dev/null; do sleep 0.05; done"
    await session.command.run(f"{serve} bash -c '{ready}'", check=True)
    return f"http://127.0.0.1:{PORT}/order.html"


async def fill_form(page: Page, url: str) -> None:
    """Order three cups."""
    await page.goto(url)
    say(f"opened {url} inside the session: {await page.title()!r}")
    await page.get_by_label("Name").fill("Ada")
    await page.get_by_label("Cups").fill("3")
    await page.get_by_role("button").click()
    say(f"filled in the form and sent it: {await page.title()!r}, total {await total(page)}")
    say(f"took a screenshot of {len(await page.screenshot())} bytes")


async def total(page: Page) -> str:
    """Return what the page has calculated."""
    return await page.locator("#total").inner_text()


async def let_look(page_url: str) -> None:
    """Say where the session can be seen; keep it until Enter, if a person runs this."""
    say(f"done: served a form, filled it in and sent it; the session's page is {page_url}")
    if sys.stdin.isatty():
        print("Open the page to look at the session. Enter ends it.", flush=True)
        enter = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, enter.set)
        await enter.wait()


async def main() -> None:
    """Create a session, connect Playwright to its browser, and order."""
    endpoint = os.environ.get("AGENTBAY_ENDPOINT", "local")
    async with (
        AsyncAgentBay(endpoint=endpoint) as bay,
        bay.session(CreateSessionParams(image_id="browser_latest")) as session,
        async_playwright() as playwright,
    ):
        say(f"created {session.session_id}")
        url = await serve_page(session)
        (await session.browser.initialize(BrowserOption(viewport=(1280, 720)))).unwrap()
        say("started Chromium in its sandbox")
        devtools = await session.browser.get_endpoint_url()
        browser = await playwright.chromium.connect_over_cdp(devtools)
        say(f"connected Playwright to Chromium {browser.version}")
        await fill_form(await browser.contexts[0].new_page(), url)
        await let_look((await session.info()).unwrap().resource_url)
        await browser.close()
        (await session.browser.destroy()).unwrap()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except AgentBayError as error:
        sys.exit(f"browser_form: {error}")
