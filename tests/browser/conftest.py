"""A service whose image ``browser_latest`` has Chromium, a client of it, and Playwright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from tests.image_cache import ready_image

from agentbay_async import AsyncAgentBay, BrowserOption, CreateSessionParams
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Playwright

    from agentbay_async import AsyncSession
    from agentbay_local.images import Image

#: A site in a session: a form, a table, a file, and a page that counts its visits in a cookie.
SITE = {
    "form.html": """<title>Form</title><form onsubmit="said.textContent = 'Hello ' + name.value;
        return false"><input name=name id=name><button>Say</button></form><p id=said></p>""",
    "table.html": "<title>Table</title><table>"
    + "".join(f"<tr><td>{n}</td><td>{n * n}</td></tr>" for n in range(5))
    + "</table>",
    "download.html": "<title>Download</title><a id=get href=table.html download=t.html>get</a>",
    "upload.html": """<title>Upload</title><input type=file id=file multiple
        onchange="Promise.all([...this.files].map(async f => f.name + ': ' + await f.text()))
        .then(all => said.textContent = all.join())"><p id=said></p>""",
    "visits.html": """<title>Visits</title><script>
        const seen = Number((document.cookie.match(/visits=(\\d+)/) || [0, 0])[1]) + 1;
        document.cookie = "visits=" + seen + "; max-age=3600"; document.title = seen;
        localStorage.seen = (localStorage.seen || "") + "x";</script>""",
}
PORT = 8000
ORIGIN = f"http://127.0.0.1:{PORT}"


@pytest.fixture(scope="session")
def browser_image() -> Image:
    """Return the image with Chromium."""
    return ready_image("browser_latest")


async def serve(session: AsyncSession, site: dict[str, str]) -> None:
    """Serve pages inside a session, by their names, at `ORIGIN`."""
    for name, text in site.items():
        (await session.file_system.write_file(f"/tmp/site/{name}", text)).unwrap()
    command = f"python3 -m http.server {PORT} -d /tmp/site >/dev/null 2>&1 & "
    wait = f"until python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {PORT}))'"
    done = await session.command.execute_command(
        f"{command} {wait} 2>/dev/null; do :; done", timeout_ms=30_000
    )
    assert done.success, done.error_message


@attrs.frozen
class Browsers:
    """A service, a client of it and Playwright."""

    service: LocalService
    bay: AsyncAgentBay
    playwright: Playwright
    connected: list[Browser] = attrs.field(factory=list)

    async def session(self, **params: Any) -> AsyncSession:
        """Create a session with a browser image."""
        wanted = CreateSessionParams(image_id="browser_latest", **params)
        return (await self.bay.create(wanted)).unwrap()

    async def connect(self, session: AsyncSession, option: BrowserOption | None = None) -> Browser:
        """Start the browser of a session and connect Playwright to it."""
        (await session.browser.initialize(option)).unwrap()
        url = await session.browser.get_endpoint_url()
        browser = await self.playwright.chromium.connect_over_cdp(url)
        self.connected.append(browser)
        return browser

    async def serve_site(self, session: AsyncSession) -> None:
        """Serve `SITE` inside a session."""
        await serve(session, SITE)


@pytest.fixture
async def browsers(browser_image: Image) -> AsyncIterator[Browsers]:
    """Give a service, a client of it and Playwright."""
    async_playwright = pytest.importorskip("playwright.async_api").async_playwright
    async with (
        LocalService(images=[browser_image]) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        async_playwright() as playwright,
    ):
        browsers = Browsers(service, bay, playwright)
        yield browsers
        for browser in browsers.connected:
            await browser.close()
