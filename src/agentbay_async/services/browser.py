"""The web browser of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BrowserError,
    SessionError,
    UsageError,
)
from agentbay_async.models.browser import BrowserNotifyMessage, BrowserOption
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import BoolResult, McpToolResult
from agentbay_async.services._links import fetch_link
from agentbay_async.services._tool_calls import call_tool, get_access, get_socket
from agentbay_async.services.browser_operator import AsyncBrowserOperator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._api import Api
    from agentbay_async._transport.websocket import SessionSocket
    from agentbay_async.services._browser_messages import BrowserMessages
    from agentbay_async.session import AsyncSession

#: The server of a session that speaks for its browser.
_SERVER = "wuying_cdp_mcp_server"


class AsyncBrowser:
    """Start and stop the browser of one session, and get its DevTools URL.

    Connect Playwright, Puppeteer or another client of the DevTools protocol to
    :meth:`get_endpoint_url`; this library does not install one. The images ``browser_latest`` and
    ``linux_latest`` offer a browser, the latter on the local service with its layer; in the cloud
    :meth:`navigate` needs ``browser_latest``. With other images every call returns a failed result.

    Example:
        ::

            await session.browser.initialize(BrowserOption(viewport=(1920, 1080)))
            url = await session.browser.get_endpoint_url()
            browser = await playwright.chromium.connect_over_cdp(url)
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_messages", "_operator", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]
        self._messages: BrowserMessages | None = None
        self._operator: AsyncBrowserOperator | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

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
        if self._operator is None:
            operator = AsyncBrowserOperator(self._api, self._session_id)
            operator._find_session = self._find_session
            self._operator = self._api.access.hold(operator, self._session_id)
        return self._operator

    @property
    def agent(self) -> AsyncBrowserOperator:
        """Return :attr:`operator`, under its old name. Deprecated: use ``operator``."""
        _check.warn_deprecated("browser.agent", "browser.operator")
        return self.operator

    def is_initialized(self) -> bool:
        """Return whether this program started the browser, and did not stop it."""
        access = self._api.access.get(self._session_id)
        return access is not None and access.browser_started

    def get_option(self) -> BrowserOption | None:
        """Return the options with which this program started the browser, or ``None``."""
        access = self._api.access.get(self._session_id)
        return None if access is None else access.browser_option

    @property
    def endpoint_router_port(self) -> int | None:
        """The port that the service told when the browser started; ``None`` before that."""
        access = self._api.access.get(self._session_id)
        return None if access is None else access.browser_port

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
            access.browser_option = access.browser_port = None
        return BoolResult.ok(True, answer.request_id)

    async def register_callback(
        self, callback: Callable[[BrowserNotifyMessage], Awaitable[None] | None]
    ) -> bool:
        """Call a function with each message of the browser, instead of one registered before.

        The browser sends messages if ``BrowserOption(call_for_user=True)`` started it. An exception
        in the function is logged.

        Args:
            callback: Called with each message, one after another.

        Raises:
            SessionError: The session has no browser, or no WebSocket.
            AgentBayError: It cannot be reached.

        Example:
            ::

                await session.browser.register_callback(lambda message: print(message.action))
        """
        if not callable(callback):
            raise ArgumentTypeError(f"callback must be a function, not {type(callback).__name__}")
        await self.unregister_callback()
        from agentbay_async.services._browser_messages import BrowserMessages

        socket = await self._browser_socket()
        messages = BrowserMessages(self._session_id, _SERVER, callback)
        await messages.listen(socket)
        self._messages = messages
        return True

    async def unregister_callback(self) -> None:
        """Call the registered function no more; without one, do nothing."""
        messages, self._messages = self._messages, None
        if messages is not None:
            messages.end()

    async def send_notify_message(self, notify_message: BrowserNotifyMessage) -> bool:
        """Send a message to the browser. There is no answer.

        Raises:
            SessionError: The session has no browser, or no WebSocket.
            AgentBayError: It cannot be reached.
        """
        if not isinstance(notify_message, BrowserNotifyMessage):
            kind = type(notify_message).__name__
            raise ArgumentTypeError(f"notify_message must be a BrowserNotifyMessage, not {kind}")
        socket = await self._browser_socket()
        await socket.send(_SERVER, notify_message.to_wire())
        return True

    async def send_takeover_done(self, notify_id: int) -> bool:
        """Tell the browser that a person has finished what it called for.

        Args:
            notify_id: The ``id`` of its message.

        Raises:
            SessionError: The session has no browser, or no WebSocket.
            AgentBayError: It cannot be reached.

        Example:
            ::

                async def help(message):
                    if message.action == "takeover":
                        await session.browser.send_takeover_done(message.id)


                await session.browser.register_callback(help)
        """
        number = _check.integer(notify_id, "notify_id")
        done = BrowserNotifyMessage(
            "call-for-user", number, 199, "user handle done", "takeoverdone"
        )
        return await self.send_notify_message(done)

    async def _browser_socket(self) -> SessionSocket:
        """Return the WebSocket of a session that has a browser, as far as its tools tell."""
        access = await get_access(self._api, self._session_id)
        servers = access.tools.all.values()
        if servers and _SERVER not in servers:
            raise SessionError(
                f"{self._session_id} has no browser to exchange messages with",
                session_id=self._session_id,
                hint="Use an image of the cloud that has one, such as 'browser_latest'",
            )
        return await get_socket(self._api, self._session_id)

    # A page of Playwright, and options for its screenshot() that depend on its version.
    def screenshot(self, page: Any, full_page: bool = False, **options: Any) -> Any:
        """Take a picture of a page of Playwright, after scrolling through it.

        Args:
            page: The page, from a browser that is connected to :meth:`get_endpoint_url`.
            full_page: Take all of the page, and not only what is visible.
            options: More options of ``page.screenshot()``, such as ``type="jpeg"``.

        Returns:
            The bytes of the picture, in the way in which ``page.screenshot()`` returns them.

        Raises:
            BrowserError: This program did not start the browser.
            ArgumentTypeError: `page` is no page.
        """
        if not self.is_initialized():
            raise BrowserError(
                "the browser was not started", hint="Start it with session.browser.initialize()"
            )
        if not hasattr(page, "screenshot"):
            raise ArgumentTypeError(f"page must be a page of Playwright, not {type(page).__name__}")
        from agentbay_async.services._page_screenshot import take_screenshot

        wanted = {**_PICTURE, **options, "full_page": _check.boolean(full_page, "full_page")}
        return take_screenshot(page, wanted)


# The picture should not change with the moment at which it is taken.
_PICTURE = {
    "animations": "disabled",
    "caret": "hide",
    "scale": "css",
    "timeout": 60_000,
    "type": "png",
}


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
        access.browser_option, access.browser_port = option, answer.data.port
    return answer.request_id
