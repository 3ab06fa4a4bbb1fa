"""What the service does with the pages of a browser, by the DevTools protocol."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.browser.devtools import DevToolsError
from agentbay_local.protocol.arguments import ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from agentbay_local.browser.devtools import DevTools

    Point = tuple[int, int]

__all__ = ["MODIFIERS", "Page", "PageTarget", "list_pages", "open_page"]

LOADED_WITHIN = 60.0
"""Seconds for a page to load, and for one step on it."""

_TALLEST = 16_384
# Characters of a page's text, and of its HTML, that a model gets.
_LONGEST_TEXT = 100_000
_LONGEST_SHOWN = 2000

_LOADED = """new Promise(done => document.readyState === "complete" ? done(true)
    : addEventListener("load", () => done(true)))"""
_LOOK = """(longest => ({url: location.href, title: document.title,
    text: (document.body ? document.body.innerText : "").slice(0, longest),
    html: document.documentElement.outerHTML.slice(0, longest)}))"""
_FIND = """const found = document.querySelector(selector);
    if (!found) throw new Error("no element matches " + selector);
    found.scrollIntoView({block: "center"});"""
_CLICK = f"(selector => {{{_FIND} found.click(); return true;}})"
_FILL = f"""((selector, text) => {{{_FIND} found.focus();
    const owner = Object.getPrototypeOf(found);
    const property = Object.getOwnPropertyDescriptor(owner, "value");
    if (property && property.set) property.set.call(found, text); else found.textContent = text;
    for (const name of ["input", "change"]) found.dispatchEvent(new Event(name, {{bubbles: true}}));
    return true;}})"""


@attrs.frozen
class PageTarget:
    """A page that is open, as the browser lists it.

    Attributes:
        id: The id of its target.
        url: Its address.
        title: Its title.
        active: Whether it is that of the selected tab of a window, as far as the browser tells.
    """

    id: str
    url: str
    title: str
    active: bool


async def list_pages(devtools: DevTools) -> list[PageTarget]:
    """Return the open pages.

    Raises:
        DevToolsError: The browser does not answer, or not with a list.
    """
    answer = await devtools.call("Target.getTargets", {"filter": _PAGES_AND_TABS})
    found = answer.get("targetInfos")
    if not isinstance(found, list):
        raise DevToolsError("the browser did not list its pages")
    pages = [one for one in found if isinstance(one, dict) and one.get("type") == "page"]
    selected = [_shown(one) for one in found if _is_selected_tab(one)]
    return [
        PageTarget(f"{one.get('targetId', '')!s:.{_LONGEST_SHOWN}}", *shown, shown in selected)
        for one in pages
        for shown in [_shown(one)]
    ]


_PAGES_AND_TABS = [{"type": "page"}, {"type": "tab"}]


def _shown(target: dict[str, Any]) -> tuple[str, str]:
    """Return address and title, which a tab and its page have in common."""
    url, title = (f"{target.get(name, '')!s:.{_LONGEST_SHOWN}}" for name in ("url", "title"))
    return url, title


def _is_selected_tab(target: Any) -> bool:
    if not isinstance(target, dict) or target.get("type") != "tab":
        return False
    data = target.get("embedderData")
    return isinstance(data, dict) and data.get("tabActive") is True


class Page:
    """One page, while `open_page` holds it.

    Args:
        devtools: The conversation with the browser.
        session: Id of the DevTools session of the page.
    """

    def __init__(self, devtools: DevTools, session: str) -> None:
        self._devtools = devtools
        self._session = session

    async def navigate(self, url: str) -> None:
        """Open a URL and wait until it has loaded.

        Raises:
            ToolError: It cannot be opened; the text is the browser's.
        """
        answer = await self._call("Page.navigate", {"url": url}, LOADED_WITHIN)
        if answer.get("errorText"):
            raise ToolError(f"{answer['errorText']!s:.200} at {url:.500}")
        await self._evaluate(_LOADED, LOADED_WITHIN)

    async def screenshot(
        self, *, full_page: bool, clip: dict[str, float] | None, within: float
    ) -> str:
        """Return a PNG in base64.

        Args:
            full_page: Take all of the page, and not only what is visible.
            clip: The part of the page: x, y, width and height.
            within: Seconds it may take.
        """
        if clip is None and full_page:
            clip = await self._whole_page()
        parameters: dict[str, Any] = {"format": "png", "captureBeyondViewport": clip is not None}
        if clip is not None:
            parameters["clip"] = {**clip, "scale": 1}
        answer = await self._call("Page.captureScreenshot", parameters, within)
        data = answer.get("data")
        if not isinstance(data, str):
            raise DevToolsError("the browser gave no picture")
        return data

    async def look(self) -> dict[str, str]:
        """Return the page's ``url``, ``title``, ``text`` and ``html``, the long ones cut."""
        found = await self._evaluate(f"{_LOOK}({_LONGEST_TEXT})")
        if not isinstance(found, dict):
            raise DevToolsError("the browser did not describe the page")
        return {name: str(found.get(name, "")) for name in ("url", "title", "text", "html")}

    async def click(self, selector: str) -> None:
        """Click the first element that matches a CSS selector.

        Raises:
            ToolError: There is none.
        """
        await self._evaluate(f"{_CLICK}({json.dumps(selector)})")

    async def fill(self, selector: str, text: str) -> None:
        """Put a text into the first element that matches a CSS selector.

        Raises:
            ToolError: There is none.
        """
        await self._evaluate(f"{_FILL}({json.dumps(selector)}, {json.dumps(text)})")

    async def press(self, key: str, modifiers: Collection[str] = ()) -> None:
        """Press a key, such as ``"Enter"``, where the focus is.

        Args:
            key: A character, or the name of a key.
            modifiers: Names of `MODIFIERS` that are held meanwhile.
        """
        code, text = _KEYS.get(key, (0, key))
        if len(text) > 1:
            raise ToolError(f"no key is called {key!r:.40}; use one of {', '.join(_KEYS)}")
        if not code and not _TYPING.issuperset(modifiers):
            # A shortcut, which a page knows by its key.
            code, text = ord(key.upper()), ""
        held = sum(MODIFIERS[name] for name in modifiers)
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": held}
        down = "keyDown" if text else "rawKeyDown"
        await self._call("Input.dispatchKeyEvent", {"type": down, "text": text, **event})
        await self._call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    async def type_text(self, text: str) -> None:
        """Put a text in at the focus, as an input method does."""
        await self._call("Input.insertText", {"text": text})

    async def drag(self, start: Point, end: Point, button: str, clicks: int) -> None:
        """Press a button at a point of the visible part, and release it at another or there.

        Args:
            start: Pixels from the left and from the top.
            end: The same; a click ends where it starts.
            button: ``"left"``, ``"middle"`` or ``"right"``.
            clicks: How many clicks this one makes, 2 for the second of a double click.
        """
        held: dict[str, str | int] = {"button": button, "clickCount": clicks}
        await self._use_mouse("mouseMoved", start)
        await self._use_mouse("mousePressed", start, **held)
        if end != start:
            await self._use_mouse("mouseMoved", end, button=button)
        await self._use_mouse("mouseReleased", end, **held)

    async def scroll(self, at: Point, across: int, down: int) -> None:
        """Turn the wheel at a point, by pixels."""
        await self._use_mouse("mouseWheel", at, deltaX=across, deltaY=down)

    async def _use_mouse(self, kind: str, at: Point, **more: str | int) -> None:
        event = {"type": kind, "x": at[0], "y": at[1], **more}
        await self._call("Input.dispatchMouseEvent", event)

    async def wait_loaded(self) -> None:
        """Wait until the page that an action may have opened has loaded."""
        await self._evaluate(_LOADED, LOADED_WITHIN)

    async def _whole_page(self) -> dict[str, float] | None:
        answer = await self._call("Page.getLayoutMetrics")
        size = answer.get("cssContentSize")
        width, height = (
            (size.get("width"), size.get("height")) if isinstance(size, dict) else (0, 0)
        )
        if not (isinstance(width, (int, float)) and isinstance(height, (int, float))):
            raise DevToolsError("the browser did not tell the size of the page")
        return {"x": 0, "y": 0, "width": min(width, _TALLEST), "height": min(height, _TALLEST)}

    async def _evaluate(self, expression: str, within: float = LOADED_WITHIN) -> Any:
        """Return the value of an expression on the page."""
        answer = await self._call(
            "Runtime.evaluate",
            {"expression": expression, "returnByValue": True, "awaitPromise": True},
            within,
        )
        thrown = answer.get("exceptionDetails")
        if isinstance(thrown, dict):
            raised = thrown.get("exception")
            text = raised.get("description") if isinstance(raised, dict) else thrown.get("text")
            raise ToolError(f"{text!s:.300}".splitlines()[0].removeprefix("Error: "))
        result = answer.get("result")
        return result.get("value") if isinstance(result, dict) else None

    async def _call(
        self, method: str, parameters: dict[str, Any] | None = None, within: float = LOADED_WITHIN
    ) -> dict[str, Any]:
        return await self._devtools.call(method, parameters, session=self._session, within=within)


MODIFIERS = {"Alt": 1, "Ctrl": 2, "Meta": 4, "Shift": 8}
"""Keys that change the meaning of others, with their bits in the DevTools protocol."""

# Those with which a key types its character.
_TYPING = frozenset({"Shift"})
_KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Escape": (27, ""),
    "Backspace": (8, ""),
    "Delete": (46, ""),
    "Home": (36, ""),
    "End": (35, ""),
    "PageUp": (33, ""),
    "PageDown": (34, ""),
    "ArrowUp": (38, ""),
    "ArrowDown": (40, ""),
    "ArrowLeft": (37, ""),
    "ArrowRight": (39, ""),
}


@asynccontextmanager
async def open_page(devtools: DevTools, page_id: str | None = None) -> AsyncIterator[Page]:
    """Attach to a page for the block.

    Args:
        devtools: The conversation with the browser.
        page_id: The id of its target; None takes the visible one, and opens one if there is none.

    Raises:
        ToolError: There is no such page.
        DevToolsError: The browser does not answer, or refuses.
    """
    pages = await list_pages(devtools)
    # While a client such as Playwright is connected, every page says that it is visible.
    ids = [page.id for page in sorted(pages, key=lambda page: not page.active)]
    if page_id is not None and page_id not in ids:
        raise ToolError(f"the browser has no page {page_id!r:.80}; it may have been closed")
    if page_id is None and not ids:
        created = await devtools.call("Target.createTarget", {"url": "about:blank"})
        ids = [str(created.get("targetId", ""))]
    for number, one in enumerate([page_id] if page_id is not None else ids, 1):
        session = await _attach(devtools, one)
        try:
            page = Page(devtools, session)
            if number == len(ids) or page_id is not None or await _is_visible(page):
                yield page
                return
        finally:
            with suppress(DevToolsError):  # the page may have been closed meanwhile
                await devtools.call("Target.detachFromTarget", {"sessionId": session})


async def _attach(devtools: DevTools, page_id: str) -> str:
    answer = await devtools.call("Target.attachToTarget", {"targetId": page_id, "flatten": True})
    return str(answer.get("sessionId", ""))


async def _is_visible(page: Page) -> bool:
    return bool(await page._evaluate("document.visibilityState") == "visible")
