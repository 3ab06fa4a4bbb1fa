"""The browser of a session as the browser toolset for ``Anthropic``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anthropic.tools.browser import BetaAbstractBrowserToolset20260801

from agentbay_async import CreateSessionParams
from agentbay_integrations._blocking import LoopThread
from agentbay_integrations._sessions import BlockingSessionOwner
from agentbay_integrations.anthropic._browser_sessions import BlockingBrowserSession
from agentbay_integrations.anthropic._driver import BrowserDriver
from agentbay_integrations.anthropic._options import (
    BROWSER_IMAGE,
    FRAMEWORK,
    browser_options,
    check_open,
)

if TYPE_CHECKING:
    from anthropic.tools.browser import BetaBrowserState

    import agentbay
    from agentbay_async import BrowserOption

__all__ = ["BlockingAgentBayBrowserToolset"]


class BlockingAgentBayBrowserToolset(BetaAbstractBrowserToolset20260801):
    """The browser of a session as a toolset for ``Anthropic``; see `AgentBayBrowserToolset`.

    Playwright runs on a thread of the toolset, so that it can be used from any thread.

    Args:
        session: A session of yours, of an image with a browser; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Default: the image ``browser_latest``.
        run: The value of its label ``run``. Default: a random id.
        browser: The options with which the browser is started, if it does not run yet.
        options: ``confirm``, ``url_policy``, ``file_policy``, ``configs`` and ``tool_configs``.

    Raises:
        ToolsetConfigError: An option is wrong, or ``confirm`` is missing.
        ImportError: Playwright or Pillow is missing; the extra ``anthropic`` installs both.

    Example:
        ::

            with BlockingAgentBayBrowserToolset() as toolset:
                runner = client.beta.messages.tool_runner(tools=[toolset], **request)
                print(runner.until_done())
    """

    def __init__(
        self,
        *,
        session: agentbay.Session | None = None,
        bay: agentbay.AgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        browser: BrowserOption | None = None,
        **options: Any,  # they depend on the version of the framework
    ) -> None:
        super().__init__(**browser_options(options))
        params = params or CreateSessionParams(image_id=BROWSER_IMAGE)
        self._owner = BlockingSessionOwner(
            FRAMEWORK, session=session, bay=bay, params=params, run=run
        )
        self._driver = BrowserDriver(BlockingBrowserSession(self._owner, browser))
        self._thread = LoopThread()
        self._is_closed = False

    # The framework's own types of a member's name, input and result are not public.
    def execute(self, context: Any, name: Any, input: Any) -> Any:
        """Run one member; the first makes the session."""
        check_open(self._is_closed)
        return self._thread.call(self._driver.run(name, input))

    def _browser_state(self, context: Any) -> BetaBrowserState:
        return self._thread.call(self._driver.state())

    def close(self) -> None:
        """End the toolset, and delete the session if it was made here."""
        try:
            super().close()  # waits for members that run
        finally:
            self._is_closed = True
            try:
                self._thread.call(self._driver.close())
            finally:
                try:
                    self._thread.stop()
                finally:
                    self._owner.close()
