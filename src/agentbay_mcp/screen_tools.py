"""Tools for what a person would see: the desktop and the browser of a session."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

# The library reads this annotation at run time.
from mcp.server.mcpserver import Image

from agentbay_async import BrowserOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async import AsyncBrowserOperator
    from agentbay_mcp.open_sessions import OpenSessions

__all__ = ["ScreenTools"]


class ScreenTools:
    """The tools.

    Args:
        sessions: The sessions of the server.
    """

    def __init__(self, sessions: OpenSessions) -> None:
        self._sessions = sessions

    def tools(self) -> list[Callable[..., Any]]:
        """Return the functions to offer."""
        return [
            self.screenshot,
            self.browser_navigate,
            self.browser_screenshot,
            self.browser_endpoint,
            self.browser_close,
        ]

    async def screenshot(self, session_id: str) -> Image:
        """Return a picture of the session's desktop. The session needs an image with a desktop."""
        session = self._sessions.get(session_id)
        picture = (await session.computer.beta_take_screenshot("png")).unwrap()
        return Image(data=picture.data, format="png")

    async def browser_navigate(self, session_id: str, url: str) -> str:
        """Open a URL in the session's browser, which is started if necessary.

        The session needs the image browser_latest.
        """
        return await (await self._operator(session_id)).navigate(url)

    async def browser_screenshot(self, session_id: str, full_page: bool = False) -> Image:
        """Return a picture of the page in the session's browser."""
        picture = await (await self._operator(session_id)).screenshot(full_page=full_page)
        return Image(data=b64decode(picture.partition(",")[2]), format="png")

    async def browser_endpoint(self, session_id: str) -> str:
        """Return the address for connect_over_cdp of Playwright.

        Keep it secret: anyone who has it can control the browser.
        """
        await self._operator(session_id)
        return await self._sessions.get(session_id).browser.get_endpoint_url()

    async def browser_close(self, session_id: str) -> str:
        """End the session's browser."""
        (await self._sessions.get(session_id).browser.destroy()).unwrap()
        return "the browser is closed"

    async def _operator(self, session_id: str) -> AsyncBrowserOperator:
        """Return the tools of the browser's pages; start the browser if it does not run."""
        browser = self._sessions.get(session_id).browser
        if not browser.is_initialized():
            (await browser.initialize(BrowserOption())).unwrap()
        return browser.operator
