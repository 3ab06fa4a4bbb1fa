"""The browser of a session as the browser toolset for ``AsyncAnthropic``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anthropic.tools.browser import BetaAsyncAbstractBrowserToolset20260801

from agentbay_async import CreateSessionParams
from agentbay_integrations._sessions import SessionOwner
from agentbay_integrations.anthropic._browser_sessions import AsyncBrowserSession
from agentbay_integrations.anthropic._driver import BrowserDriver
from agentbay_integrations.anthropic._options import (
    BROWSER_IMAGE,
    FRAMEWORK,
    browser_options,
    check_open,
)

if TYPE_CHECKING:
    from anthropic.tools.browser import BetaBrowserState

    from agentbay_async import AsyncAgentBay, AsyncSession, BrowserOption

__all__ = ["AgentBayBrowserToolset"]


class AgentBayBrowserToolset(BetaAsyncAbstractBrowserToolset20260801):
    """The browser of a session as a toolset for ``AsyncAnthropic``; it needs Playwright.

    It serves all 31 members of ``browser_toolset_20260801``. Four are off until ``configs`` enables
    them: ``javascript_exec``, ``file_upload``, ``read_console`` and ``read_network``. Use it in one
    event loop. Closing it deletes the session if it was made here.

    Args:
        session: A session of yours, of an image with a browser; it is never deleted here, and its
            browser runs on.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Default: the image ``browser_latest``. Its label
            ``framework`` is ``"anthropic"``.
        run: The value of its label ``run``. Default: a random id.
        browser: The options with which the browser is started, if it does not run yet.
        options: ``confirm``, ``url_policy``, ``file_policy``, ``configs`` and ``tool_configs``, as
            the toolset of ``anthropic`` takes them. The file policy is about paths of the session:
            :class:`SessionFilePolicy`.

    Raises:
        ToolsetConfigError: An option is wrong, or ``confirm`` is missing.
        ImportError: Playwright or Pillow is missing; the extra ``anthropic`` installs both.

    Example:
        ::

            async with AgentBayBrowserToolset() as toolset:
                runner = client.beta.messages.tool_runner(tools=[toolset], **request)
                print(await runner.until_done())
    """

    def __init__(
        self,
        *,
        session: AsyncSession | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        browser: BrowserOption | None = None,
        **options: Any,  # they depend on the version of the framework
    ) -> None:
        super().__init__(**browser_options(options))
        params = params or CreateSessionParams(image_id=BROWSER_IMAGE)
        self._owner = SessionOwner(FRAMEWORK, session=session, bay=bay, params=params, run=run)
        self._driver = BrowserDriver(AsyncBrowserSession(self._owner, browser))
        self._is_closed = False

    # The framework's own types of a member's name, input and result are not public.
    async def execute(self, context: Any, name: Any, input: Any) -> Any:
        """Run one member; the first makes the session."""
        check_open(self._is_closed)
        return await self._driver.run(name, input)

    async def _browser_state(self, context: Any) -> BetaBrowserState:
        return await self._driver.state()

    async def close(self) -> None:
        """End the toolset, and delete the session if it was made here."""
        try:
            await super().close()  # waits for members that run
        finally:
            self._is_closed = True
            try:
                await self._driver.close()
            finally:
                await self._owner.close()
