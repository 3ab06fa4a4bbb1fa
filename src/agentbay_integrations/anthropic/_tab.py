"""One tab of a browser: its page, the elements of it, and what it has logged."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from agentbay_integrations.anthropic._answers import as_count, as_items
from agentbay_integrations.anthropic._documents import Documents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types.beta import BetaBrowserStateTabEntryParam
    from playwright.async_api import CDPSession, ConsoleMessage, Page, Request, Response

__all__ = ["Tab"]

# Entries of a log that are kept until they are read, and characters of each.
_ENTRIES = 500
_LINE = 500
# Seconds for a page to say its title; one that a script keeps busy does not.
_TITLE_SECONDS = 1.0


class Tab:
    """One tab of a browser.

    Args:
        id: What the model calls it.
        page: Its page.
        numbers: Gives its documents their numbers.

    Attributes:
        id: What the model calls it.
        page: Its page.
        documents: The elements of the page.
        console: What was written to its console since the last reading.
        network: Its requests since the last reading.
    """

    def __init__(self, id: str, page: Page, numbers: Iterator[int]) -> None:
        self.id = id
        self.page = page
        self.documents = Documents(page, numbers)
        self.console: deque[str] = deque(maxlen=_ENTRIES)
        self.network: deque[str] = deque(maxlen=_ENTRIES)
        self._title = ""
        self._devtools: CDPSession | None = None
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"[:_LINE]))
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_failure)

    async def devtools(self) -> CDPSession:
        """Return a connection to the page that speaks the DevTools protocol."""
        if self._devtools is None:
            self._devtools = await self.page.context.new_cdp_session(self.page)
        return self._devtools

    async def entry(self) -> BetaBrowserStateTabEntryParam:
        """Return what the API wants to know of it."""
        from playwright.async_api import Error

        # The page may navigate, be busy or close now; then its last title is the best answer.
        with contextlib.suppress(Error, asyncio.TimeoutError):
            self._title = await asyncio.wait_for(self.page.title(), _TITLE_SECONDS)
        return {"tab_id": self.id, "title": self._title, "url": self.page.url}

    async def viewport(self) -> tuple[int, int]:
        """Return the width and the height of what is visible, in pixels.

        Raises:
            ToolError: The page disturbs the reading.
        """
        size = await self.page.evaluate("() => [innerWidth, innerHeight]")
        width, height = as_items(size, exactly=2)
        return as_count(width), as_count(height)

    def _on_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}"[:_LINE])

    def _on_response(self, response: Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0] or "-"
        milliseconds = round(response.request.timing["responseStart"])
        line = f"{response.status} {kind} {milliseconds} ms"
        self._log_request(response.request, line)

    def _on_failure(self, request: Request) -> None:
        self._log_request(request, f"failed: {request.failure}")

    def _log_request(self, request: Request, outcome: str) -> None:
        # The address comes last: it is what may be cut.
        self.network.append(f"{outcome} {request.method} {request.url}"[:_LINE])
