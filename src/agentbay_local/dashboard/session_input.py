"""Mouse, keys and text from the page of a session, for what runs there. Nothing is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.actions.tools import call_tool
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from agentbay_local.browser.chromium import Chromium
    from agentbay_local.browser.pages import Page
    from agentbay_local.dashboard.pictures import Pictures
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session
    from agentbay_local.websocket.hub import Hub

__all__ = ["SessionInput"]

_DESKTOP_TOOLS = frozenset({"click_mouse", "drag_mouse", "scroll", "input_text", "press_keys"})
_BUTTONS = ("left", "middle", "right")
_LARGEST = 32767
_MOST_CLICKS = 3
_LONGEST_TEXT = 20_000


class SessionInput:
    """Passes on what people do on the pages of sessions.

    Args:
        state: The service.
        hub: The terminals of the sessions.
        pictures: Tells what of a session can be seen.
    """

    def __init__(self, state: ServiceState, hub: Hub, pictures: Pictures) -> None:
        self._state = state
        self._hub = hub
        self._pictures = pictures

    async def perform(self, session: Session, given: Arguments) -> str:
        """Pass one event on, and return what failed, or "".

        Args:
            session: The session.
            given: What the page sends; its tool is ``"desktop"``, ``"browser"`` or ``"terminal"``.

        Raises:
            ApiError: The session cannot work now.
        """
        try:
            if given.tool == "desktop":
                return await self._use_desktop(session, given)
            with self._state.lifecycle.using(session):
                if given.tool == "terminal":
                    self._type(session, given)
                else:
                    await self._use_browser(session, given)
        except (ToolError, SandboxError) as error:
            return str(error)
        return ""

    async def _use_desktop(self, session: Session, given: Arguments) -> str:
        if not self._pictures.has_desktop(session.id):
            raise ToolError("The desktop of this session does not run")
        name = given.choice("do", sorted(_DESKTOP_TOOLS), "")
        answer, _ = await call_tool(self._state, session, name, given.values)
        texts = [item.text or "" for item in answer.content or ()]
        return " ".join(texts) if answer.is_error else ""

    def _type(self, session: Session, given: Arguments) -> None:
        wanted = given.text("id")
        for terminal in self._hub.terminals(session.id):
            if terminal.id == wanted:
                terminal.write(_text(given).encode())
                return
        raise ToolError("This terminal has ended")

    async def _use_browser(self, session: Session, given: Arguments) -> None:
        browser: Chromium | None = self._state.browsers.alive(session.id)
        if browser is None:
            raise ToolError("The browser of this session does not run")
        # A service without browsers never loads them.
        from agentbay_local.browser.pages import list_pages, open_page

        if not await list_pages(browser.devtools):
            raise ToolError("No page is open in the browser")
        async with open_page(browser.devtools) as page:
            await _use_page(page, given)


async def _use_page(page: Page, given: Arguments) -> None:
    from agentbay_local.browser.pages import MODIFIERS

    action = given.choice("do", ("click", "scroll", "text", "key"), "")
    if action == "text":
        await page.type_text(_text(given))
    elif action == "key":
        held = given.texts("modifiers")
        if not MODIFIERS.keys() >= set(held) or len(held) > len(MODIFIERS):
            raise given.wrong("modifiers", f"must be some of {', '.join(MODIFIERS)}")
        await page.press(given.text("key"), held)
    elif action == "scroll":
        across, down = (given.integer(name, -_LARGEST, _LARGEST) for name in ("across", "down"))
        await page.scroll(_point(given, "x", "y"), across, down)
    else:
        button = given.choice("button", _BUTTONS, "left")
        clicks = given.integer("clicks", 1, _MOST_CLICKS, default=1)
        start, end = _point(given, "from_x", "from_y"), _point(given, "x", "y")
        await page.drag(start, end, button, clicks)


def _point(given: Arguments, across: str, down: str) -> tuple[int, int]:
    return given.integer(across, 0, _LARGEST), given.integer(down, 0, _LARGEST)


def _text(given: Arguments) -> str:
    text = given.text("text")
    if len(text) > _LONGEST_TEXT:
        raise given.wrong("text", f"must have at most {_LONGEST_TEXT} characters")
    return text
