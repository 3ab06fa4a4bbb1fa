"""Pictures of what runs in a session, for any number of viewers."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from agentbay_local.browser.chromium import Chromium
    from agentbay_local.state import ServiceState
    from agentbay_local.tools.desktop.display import Display

__all__ = ["Pictures"]

_WITHIN = 10.0


class Pictures:
    """Takes the pictures. Viewers who ask while one is taken share it.

    Args:
        state: The service.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._taking: SingleFlight[bytes | None] = SingleFlight()

    def has_browser(self, session_id: str) -> bool:
        """Return whether a browser runs in a session."""
        return self._state.browsers.alive(session_id) is not None

    async def of_browser(self, session_id: str) -> bytes | None:
        """Return a PNG of the visible page of a session's browser; None if there is none."""
        browser = self._state.browsers.alive(session_id)
        if browser is None:
            return None
        return await self._taking.run(
            ("browser", session_id), lambda: _safely(_visible_page(browser))
        )

    def has_desktop(self, session_id: str) -> bool:
        """Return whether a display runs in a session."""
        return self._display(session_id) is not None

    async def of_desktop(self, session_id: str) -> bytes | None:
        """Return a PNG of the screen of a session's display; None if there is none."""
        display = self._display(session_id)
        if display is None:
            return None
        from agentbay_local.tools.desktop.screen import take_picture

        return await self._taking.run(
            ("desktop", session_id), lambda: _safely(take_picture(display, "png"))
        )

    def _display(self, session_id: str) -> Display | None:
        sandbox = self._state.sandboxes.alive(session_id)
        state = self._state.tool_states.get(session_id)
        if sandbox is None or state is None or not state.parts:
            return None
        # A service without desktops never loads them.
        from agentbay_local.tools.desktop.display import running_display

        return running_display(state, sandbox)


async def _safely(taking: Awaitable[bytes | None]) -> bytes | None:
    """Return a picture; None if the session ends or gives none, which its viewers then see."""
    try:
        return await asyncio.wait_for(taking, _WITHIN)
    except (ToolError, SandboxError, asyncio.TimeoutError):
        return None


async def _visible_page(browser: Chromium) -> bytes | None:
    # A service without browsers never loads them.
    from agentbay_local.browser.pages import list_pages, open_page

    if not await list_pages(browser.devtools):
        # To open a page would change what runs.
        return None
    async with open_page(browser.devtools) as page:
        picture = await page.screenshot(full_page=False, clip=None, within=_WITHIN)
    try:
        return base64.b64decode(picture, validate=True)
    except binascii.Error as error:
        raise ToolError("the browser gave no picture") from error
