"""The web browser of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BrowserError,
    SessionError,
    UsageError,
)
from agentbay_async.models.browser import BrowserOption
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import BoolResult, McpToolResult
from agentbay_async.services._links import fetch_link
from agentbay_async.services._tool_calls import call_tool
from agentbay_async.services.browser_operator import AsyncBrowserOperator

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
            url = await session.browser.get_endpoint_url()
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

    @property
    def operator(self) -> AsyncBrowserOperator:
        """Act on the pages of the browser, in words."""
        operator = AsyncBrowserOperator(self._api, self._session_id)
        return self._api.access.hold(operator, self._session_id)

    @property
    def agent(self) -> AsyncBrowserOperator:
        """Return :attr:`operator`, under its old name. Deprecated: use ``operator``."""
        _check.warn_deprecated("browser.agent", "browser.operator")
        return self.operator

    def is_initialized(self) -> bool:
        """Return whether this program started the browser, and did not stop it."""
        access = self._api.access.get(self._session_id)
        return access is not None and access.browser_started

    async def get_endpoint_url(self) -> str:
        """Return the WebSocket URL of the browser's DevTools. It is a secret.

        Raises:
            BrowserError: The service did not tell it.
        """
        try:
            link = await fetch_link(self._api, schema.GetCdpLink(session_id=self._session_id))
        except UsageError:
            raise
        except AgentBayError as error:
            raise BrowserError(
                f"the browser has no address: {error}",
                request_id=error.request_id,
                session_id=self._session_id,
                hint="Start it with session.browser.initialize()",
            ) from error
        return link.url

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
