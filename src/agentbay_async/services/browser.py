"""The web browser of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import ArgumentTypeError, SessionError
from agentbay_async.models.browser import BrowserOption
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import BoolResult, LinkResult, McpToolResult
from agentbay_async.services._links import fetch_link
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from agentbay_async._api import Api


class AsyncBrowser:
    """Start and stop the browser of one session, and get its DevTools URL.

    Connect Playwright, Puppeteer or another client of the DevTools protocol to
    :meth:`get_endpoint_url`; this library does not install one. The cloud's images
    ``browser_latest`` and ``linux_latest`` offer a browser; :meth:`navigate` needs
    ``browser_latest``. With other images every call returns a failed result.

    Example:
        ::

            await session.browser.initialize(BrowserOption(viewport=(1920, 1080)))
            url = (await session.browser.get_endpoint_url()).data
            browser = await playwright.chromium.connect_over_cdp(url)
    """

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    @returns_result(BoolResult)
    async def initialize(self, option: BrowserOption | None = None) -> BoolResult:
        """Start the browser. A running browser is left as it is.

        Args:
            option: Options of the browser; ``None`` for the defaults of the image.
        """
        return BoolResult.ok(True, await start_browser(self._api, self._session_id, option))

    init = initialize

    @returns_result(LinkResult)
    async def get_endpoint_url(self) -> LinkResult:
        """Return the WebSocket URL of the browser's DevTools in ``data``. It is a secret."""
        return await fetch_link(self._api, schema.GetCdpLink(session_id=self._session_id))

    @returns_result(McpToolResult)
    async def navigate(self, url: str) -> McpToolResult:
        """Open a page; ``data`` has the text of the tool."""
        args = {"url": _check.text(url, "url")}
        return await call_tool(self._api, self._session_id, "page_use_navigate", args)

    @returns_result(BoolResult)
    async def destroy(self) -> BoolResult:
        """Stop the browser."""
        answer = await call_tool(self._api, self._session_id, "stopChrome", {})
        if (access := self._api.access.get(self._session_id)) is not None:
            access.browser_started = False
        return BoolResult.ok(True, answer.request_id)


async def start_browser(api: Api, session_id: str, option: BrowserOption | None) -> str:
    """Start the browser of a session, and return the id of the request.

    Raises:
        ArgumentTypeError: `option` is not a BrowserOption.
        SessionError: The browser did not start.
    """
    if option is not None and not isinstance(option, BrowserOption):
        raise ArgumentTypeError(f"option must be a BrowserOption, not {type(option).__name__}")
    wanted = (BrowserOption() if option is None else option).to_wire()
    access = api.access.get(session_id)
    if access is not None and access.record_browser is not None:
        wanted["enableRecord"] = access.record_browser
    answer = await api.call(schema.InitBrowser(session_id=session_id, browser_option=wanted))
    if answer.data is None or not answer.data.port:
        raise SessionError(
            f"{session_id}: the browser did not start",
            request_id=answer.request_id,
            session_id=session_id,
            hint="Use an image that has a browser, such as 'browser_latest'",
        )
    if access is not None:
        access.browser_started = True
    return answer.request_id
