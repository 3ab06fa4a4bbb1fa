"""What a browser reports is bounded when it arrives; a browser of a test reports it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import playwright.async_api
import pytest
from anthropic.tools import ToolError

from agentbay_integrations.anthropic._connected import ConnectedBrowser
from agentbay_integrations.anthropic._driver import BrowserDriver
from agentbay_integrations.anthropic._tab import Tab

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "x" * 100_000


class Source:
    """Something of Playwright that has events.

    Attributes:
        handlers: What is called for each of them.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Any], Any]] = {}

    def on(self, name: str, handler: Callable[[Any], Any]) -> None:
        """Keep a handler."""
        self.handlers[name] = handler


class Browser(Source):
    """A browser with one page; it is its own context and its own DevTools.

    Attributes:
        contexts: Its contexts.
        pages: Its pages.
        closed: How often it was closed.
    """

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__()
        self.contexts = [self]
        self.pages: list[Any] = [Source()]
        self.closed = 0
        self._problem = problem

    def set_default_timeout(self, _: float) -> None:
        """Take a limit."""

    async def new_browser_cdp_session(self) -> Browser:
        """Return what has the events of downloads."""
        return self

    async def send(self, *_: object) -> None:
        """Take a command, or fail."""
        if self._problem is not None:
            raise self._problem

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


async def attached(browser: Browser) -> ConnectedBrowser:
    """Return a connected browser whose tabs have no entries."""
    connected = ConnectedBrowser(browser, None, itertools.count(1))  # type: ignore[arg-type]  # stands in for Playwright's browser
    await connected.attach()
    connected.tabs.clear()
    connected._active = None
    return connected


async def changes(connected: ConnectedBrowser) -> list[Any]:
    """Return what is reported, as dictionaries."""
    found = (await connected.state()).state_changes or []
    return [one if isinstance(one, dict) else one.model_dump() for one in found]


async def test_texts_of_a_page_are_cut_when_they_arrive() -> None:
    """Messages of dialogs, addresses, names of files."""
    browser = Browser()
    connected = await attached(browser)

    async def dismiss() -> None:
        pass

    dialog = SimpleNamespace(type="alert", message=LONG, dismiss=dismiss)
    await browser.pages[0].handlers["dialog"](dialog)
    begun = {"guid": "g", "url": LONG, "suggestedFilename": LONG}
    browser.handlers["Browser.downloadWillBegin"](begun)
    done = {"guid": "g", "state": "completed", "receivedBytes": 7.0}
    browser.handlers["Browser.downloadProgress"](done)
    reported = await changes(connected)
    kinds = [one["type"] for one in reported]
    assert kinds == ["dialog_dismissed", "download_started", "download_completed"]
    texts = [value for one in reported for value in one.values() if isinstance(value, str)]
    assert max(map(len, texts)) == 4096


async def test_downloads_that_never_finish_are_forgotten() -> None:
    """The oldest first."""
    browser = Browser()
    connected = await attached(browser)
    for number in range(500):
        event = {"guid": f"g{number}", "url": "http://a/", "suggestedFilename": "b"}
        browser.handlers["Browser.downloadWillBegin"](event)
    assert len(await changes(connected)) == 200
    for guid in ("g0", "g299", "g300", "g499"):
        done = {"guid": guid, "state": "completed", "receivedBytes": 1.0}
        browser.handlers["Browser.downloadProgress"](done)
    assert [one["download_id"] for one in await changes(connected)] == ["g300", "g499"]


@pytest.mark.parametrize("where", ["url", "kind", "method"])
def test_the_outcome_of_a_request_survives_the_cut(where: str) -> None:
    """A page chooses the length of each part of a line."""
    page = Source()
    tab = Tab("tab_1", page, itertools.count(1))  # type: ignore[arg-type]  # stands in for Playwright's page
    request = SimpleNamespace(
        method=LONG if where == "method" else "GET",
        url="http://a/" + LONG * (where == "url"),
        timing={"responseStart": 5.0},
        failure="net::ERR_ABORTED",
    )
    headers = {"content-type": LONG if where == "kind" else "text/html"}
    page.handlers["response"](SimpleNamespace(request=request, status=404, headers=headers))
    page.handlers["requestfailed"](request)
    answered, failed = tab.network
    assert max(len(answered), len(failed)) <= 500
    assert answered.startswith("404 xxx" if where == "kind" else "404 text/html 5 ms ")
    assert failed.startswith("failed: net::ERR_ABORTED ")


@pytest.mark.parametrize("problem", ["attach", "no context"])
async def test_a_connection_that_cannot_be_used_is_closed(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model learns that there is no browser."""
    error = playwright.async_api.Error("gone") if problem == "attach" else None
    browser = Browser(error)
    if problem == "no context":
        browser.contexts = []

    async def answer(*_: object) -> Any:
        return browser

    async def stop() -> None:
        pass

    async def start() -> Any:
        chromium = SimpleNamespace(connect_over_cdp=answer)
        return SimpleNamespace(chromium=chromium, stop=stop)

    made = SimpleNamespace(start=start)
    monkeypatch.setattr(playwright.async_api, "async_playwright", lambda: made)
    driver = BrowserDriver(SimpleNamespace(endpoint_url=answer))  # type: ignore[arg-type]  # the driver uses only this member of a session
    with pytest.raises(ToolError, match="browser of the session"):
        await driver.run("screenshot", None)
    assert browser.closed == 1
    await driver.close()
