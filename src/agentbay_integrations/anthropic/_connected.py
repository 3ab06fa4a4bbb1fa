"""A browser that is connected: its tabs, and what has changed since the last report."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from anthropic.tools import ToolError
from anthropic.tools.browser import BetaBrowserState, BetaDialogDismissed

from agentbay_integrations.anthropic._tab import Tab
from agentbay_integrations.anthropic.file_policy import DOWNLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types.beta import BetaBrowserStateTabEntryParam
    from playwright.async_api import Browser, BrowserContext, Dialog, Page

    from agentbay_integrations.anthropic._browser_sessions import BrowserSession

__all__ = ["ConnectedBrowser"]

#: The most tabs that the API takes in a report.
MOST_TABS = 100
# A page can open dialogs and start downloads in a loop, and downloads that never finish.
_MOST_CHANGES = 200
# Characters of a message, an address or a file's name, which pages choose.
_LONGEST = 4096
_ACTION_MS = 10_000


class ConnectedBrowser:
    """The tabs of a session's browser.

    Args:
        browser: The connection.
        session: The session.
        numbers: Gives tabs and documents their numbers.

    Raises:
        ToolError: The browser has no context, in which tabs are.

    Attributes:
        session: The session.
        tabs: The open tabs by their ids, in the order in which they were opened.
    """

    def __init__(self, browser: Browser, session: BrowserSession, numbers: Iterator[int]) -> None:
        self.session = session
        self.tabs: dict[str, Tab] = {}
        self._browser = browser
        self._context = _first_context(browser)
        self._numbers = numbers
        self._active: Tab | None = None
        self._changes: list[Any] = []
        # The address and the path of each download that has not finished, by its id.
        self._downloads: dict[str, tuple[str, str]] = {}

    async def attach(self) -> None:
        """Take over the tabs that are open, and listen to what happens."""
        self._context.set_default_timeout(_ACTION_MS)
        for page in self._context.pages:
            self._active = self._add(page)
        self._context.on("page", self._on_page)
        devtools = await self._browser.new_browser_cdp_session()
        devtools.on("Browser.downloadWillBegin", self._on_download)
        devtools.on("Browser.downloadProgress", self._on_progress)
        # Playwright saves them in a directory of this machine, which a session does not have.
        await devtools.send(
            "Browser.setDownloadBehavior",
            {"behavior": "allow", "downloadPath": DOWNLOADS, "eventsEnabled": True},
        )

    @property
    def is_alive(self) -> bool:
        """Whether the connection stands."""
        return self._browser.is_connected()

    async def close(self) -> None:
        """Let go of the browser; it runs on."""
        await self._browser.close()

    def tab(self, tab_id: str | None = None) -> Tab:
        """Return a tab by its id, by default the active one.

        Raises:
            ToolError: There is no such tab.
        """
        if not tab_id:
            if self._active is None:
                raise ToolError("no tab is open: use new_tab")
            return self._active
        if tab_id not in self.tabs:
            raise ToolError(f"there is no tab {tab_id[:80]!r}: use list_tabs")
        return self.tabs[tab_id]

    async def open_tab(self) -> Tab:
        """Open an empty tab, and make it the active one."""
        if len(self.tabs) >= MOST_TABS:
            raise ToolError(f"{MOST_TABS} tabs are open, which is the limit: close some of them")
        page = await self._context.new_page()
        return await self.activate(self._tab_of(page))

    async def activate(self, tab: Tab) -> Tab:
        """Make a tab the active one."""
        await tab.page.bring_to_front()
        self._active = tab
        return tab

    async def close_tab(self, tab: Tab) -> None:
        """Close a tab; if it was the active one, the tab opened last is active."""
        await tab.page.close()
        self._remove(tab)

    async def entries(self) -> list[BetaBrowserStateTabEntryParam]:
        """Return the tabs as the API takes them."""
        tabs = list(self.tabs.values())[:MOST_TABS]
        if self._active is not None and self._active not in tabs:
            tabs[-1] = self._active
        entries = await asyncio.gather(*(tab.entry() for tab in tabs))
        for tab, entry in zip(tabs, entries, strict=True):
            entry["active"] = tab is self._active
        return entries

    async def state(self) -> BetaBrowserState:
        """Return the tabs, and what has changed since the last report."""
        changes, self._changes = self._changes, []
        return BetaBrowserState(tabs=await self.entries(), state_changes=changes)

    def _on_page(self, page: Page) -> None:
        # Not active: the next call without a tab is about the page that the model has seen.
        tab = self._tab_of(page)
        self._report({"type": "tab_opened", "tab_id": tab.id})

    def _tab_of(self, page: Page) -> Tab:
        found = [tab for tab in self.tabs.values() if tab.page == page]
        return found[0] if found else self._add(page)

    def _add(self, page: Page) -> Tab:
        tab = Tab(f"tab_{next(self._numbers)}", page, self._numbers)
        self.tabs[tab.id] = tab
        page.on("close", lambda _: self._remove(tab))
        page.on("dialog", self._on_dialog)
        return tab

    def _remove(self, tab: Tab) -> None:
        self.tabs.pop(tab.id, None)
        if self._active is tab:
            self._active = next(reversed(self.tabs.values()), None)

    async def _on_dialog(self, dialog: Dialog) -> None:
        from playwright.async_api import Error

        # The page may have closed it.
        with contextlib.suppress(Error):
            if dialog.type == "beforeunload":  # the model has decided to leave
                await dialog.accept()
                return
            self._report(BetaDialogDismissed(kind=dialog.type, message=_cut(dialog.message)))
            await dialog.dismiss()

    def _on_download(self, event: dict[str, Any]) -> None:
        guid = _cut(event["guid"])
        path = f"{DOWNLOADS}/{_cut(event['suggestedFilename'])}"
        self._downloads[guid] = _cut(event["url"]), path
        if len(self._downloads) > _MOST_CHANGES:
            del self._downloads[next(iter(self._downloads))]
        self._report_download("download_started", guid)

    def _on_progress(self, event: dict[str, Any]) -> None:
        guid = _cut(event["guid"])
        if guid not in self._downloads or event["state"] == "inProgress":
            return
        if event["state"] == "completed":
            path = _cut(event.get("filePath") or self._downloads[guid][1])
            size = int(event["receivedBytes"])
            self._report_download("download_completed", guid, path=path, size_bytes=size)
        else:
            self._report_download("download_failed", guid, error="the download was canceled")
        del self._downloads[guid]

    def _report_download(self, kind: str, guid: str, **more: Any) -> None:
        url, _ = self._downloads[guid]
        self._report({"type": kind, "download_id": guid, "url": url, **more})

    def _report(self, change: Any) -> None:
        self._changes = [*self._changes, change][-_MOST_CHANGES:]


def _first_context(browser: Browser) -> BrowserContext:
    if not browser.contexts:
        raise ToolError("the browser of the session has no place for tabs: make another session")
    return browser.contexts[0]


def _cut(text: object) -> str:
    # As the framework cuts: the mark is first, so that a cut address has no host to trust.
    whole = str(text)
    return whole if len(whole) <= _LONGEST else "…" + whole[: _LONGEST - 1]
