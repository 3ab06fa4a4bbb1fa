"""The browser of a session, driven by Playwright: both browser toolsets run their members here."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import anyio
from anthropic.tools import ToolError
from anthropic.tools.browser import BetaBrowserState

from agentbay_integrations._sessions import uninterrupted
from agentbay_integrations.anthropic._connected import ConnectedBrowser
from agentbay_integrations.anthropic._members import MEMBERS
from agentbay_integrations.anthropic._options import check_open

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

    from agentbay_integrations.anthropic._browser_sessions import BrowserSession

__all__ = ["BrowserDriver"]

# Seconds for a member; a page whose script never ends does not answer at all.
_LIMIT = 45.0


class BrowserDriver:
    """The browser of a session.

    Args:
        session: The session.
    """

    def __init__(self, session: BrowserSession) -> None:
        self._session = session
        self._numbers = itertools.count(1)
        # Playwright is started and stopped one after the other, and not started after that.
        self._lock = anyio.Lock()
        self._is_closed = False
        self._playwright: Playwright | None = None
        self._connected: ConnectedBrowser | None = None

    # The input and the result are the framework's, of one of 31 kinds.
    async def run(self, name: str, given: Any) -> Any:
        """Run a member; the first makes the session and connects to its browser.

        Raises:
            ToolError: The page or the browser cannot do it.
            AgentBayError: The session cannot.
        """
        from playwright.async_api import Error

        connected = await self._connect()
        with anyio.move_on_after(_LIMIT + getattr(given, "duration", 0)):
            try:
                return await MEMBERS[name](connected, given)
            except Error as error:
                # More lines are a log of Playwright's own steps.
                raise ToolError(error.message.partition("\n")[0]) from error
        raise ToolError(f"the page did not answer within {_LIMIT:.0f} seconds")

    async def state(self) -> BetaBrowserState:
        """Return the tabs, and what has changed since the last report."""
        if self._connected is None or not self._connected.is_alive:
            return BetaBrowserState(tabs=[])
        return await self._connected.state()

    async def close(self) -> None:
        """Let go of the browser, and stop Playwright. A cancel waits for it."""
        await uninterrupted(self._close())

    async def _close(self) -> None:
        async with self._lock:
            self._is_closed = True
            if self._playwright is not None:
                await self._stop(self._playwright)

    async def _connect(self) -> ConnectedBrowser:
        """Return the connection; another one if the browser has crashed."""
        if self._connected is None or not self._connected.is_alive:
            url = await self._session.endpoint_url()
            # Half started, it would leave a process.
            playwright = await uninterrupted(self._start())
            self._connected = await self._connect_to(url, playwright)
        return self._connected

    async def _start(self) -> Playwright:
        from playwright.async_api import async_playwright

        async with self._lock:
            check_open(self._is_closed)
            if self._playwright is None:
                self._playwright = await async_playwright().start()
            return self._playwright

    async def _connect_to(self, url: str, playwright: Playwright) -> ConnectedBrowser:
        from playwright.async_api import Error

        try:
            browser = await playwright.chromium.connect_over_cdp(url)
            return await self._attached(browser)
        except Error:
            # Not "from error": its text has the address, which is a secret.
            raise ToolError("the browser of the session cannot be reached") from None

    async def _attached(self, browser: Browser) -> ConnectedBrowser:
        from playwright.async_api import Error

        try:
            connected = ConnectedBrowser(browser, self._session, self._numbers)
            await connected.attach()
        except BaseException:  # of a cancel too; the next call connects again
            with contextlib.suppress(Error):  # the first error tells more
                await uninterrupted(browser.close())
            raise
        return connected

    async def _stop(self, playwright: Playwright) -> None:
        from playwright.async_api import Error

        connected, self._connected, self._playwright = self._connected, None, None
        try:
            if connected is not None:
                with contextlib.suppress(Error):  # the connection may be gone
                    await connected.close()
        finally:
            await playwright.stop()
