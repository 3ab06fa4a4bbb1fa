"""Members of the browser toolset that use the mouse and the keyboard."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
from anthropic.tools import ToolError

from agentbay_integrations.anthropic._keys import chords, keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from agentbay_integrations.anthropic._connected import ConnectedBrowser
    from agentbay_integrations.anthropic._tab import Tab

__all__ = ["INPUT_MEMBERS", "check_range"]

# What the API says of its inputs.
_MOST_SECONDS = 30
_MOST_NOTCHES = 10
_NOTCHES = 3
_MOST_REPEATS = 100
# Pixels that a page scrolls by one notch of the wheel.
_NOTCH = 100
_DIRECTIONS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
# Steps of the mouse from one point to another, so that a page sees a movement.
_STEPS = 10
# Seconds to release what is held, also on a page that does not answer.
_RELEASE_SECONDS = 3.0

# Each of these takes an input of the framework, whose class depends on the member.


def check_range(value: float, name: str, least: float, most: float) -> None:
    """Raise `ToolError` for a value that is out of its range."""
    if not least <= value <= most:
        raise ToolError(f"{name} must be from {least:g} to {most:g}, not {value:g}")


async def _point(tab: Tab, target: Any) -> tuple[float, float]:
    """Return the point of a target; an element is scrolled into view for it."""
    if target.type == "coordinate":
        width, height = await tab.viewport()
        if not (0 <= target.x < width and 0 <= target.y < height):
            at = f"({target.x}, {target.y})"
            raise ToolError(f"{at} is not in the viewport, which is {width} by {height} pixels")
        return target.x, target.y
    return await tab.documents.center(target.ref)


@asynccontextmanager
async def _held(page: Page, keys: list[str]) -> AsyncIterator[None]:
    """Hold keys down; they are released also after an error or a cancel."""
    pressed: list[str] = []
    try:
        for key in keys:
            # Before the call: after a cancel the browser may press the key all the same.
            pressed.append(key)
            await page.keyboard.down(key)
        yield
    finally:
        with anyio.move_on_after(_RELEASE_SECONDS, shield=True):
            for key in reversed(pressed):
                await page.keyboard.up(key)


async def _click(
    connected: ConnectedBrowser,
    given: Any,
    button: Literal["left", "middle", "right"] = "left",
    count: int = 1,
) -> None:
    tab = connected.tab(given.tab_id)
    x, y = await _point(tab, given.target)
    async with _held(tab.page, keys_of(given.modifiers)):
        await tab.page.mouse.click(x, y, button=button, click_count=count)


async def _right_click(connected: ConnectedBrowser, given: Any) -> None:
    await _click(connected, given, button="right")


async def _middle_click(connected: ConnectedBrowser, given: Any) -> None:
    await _click(connected, given, button="middle")


async def _double_click(connected: ConnectedBrowser, given: Any) -> None:
    await _click(connected, given, count=2)


async def _triple_click(connected: ConnectedBrowser, given: Any) -> None:
    await _click(connected, given, count=3)


async def _move(connected: ConnectedBrowser, given: Any) -> None:
    tab = connected.tab(given.tab_id)
    x, y = await _point(tab, given.target)
    await tab.page.mouse.move(x, y, steps=_STEPS)


async def _drag(connected: ConnectedBrowser, given: Any) -> None:
    tab = connected.tab(given.tab_id)
    start, end = await _point(tab, given.from_), await _point(tab, given.target)
    mouse = tab.page.mouse
    await mouse.move(*start)
    try:
        await mouse.down()
        await mouse.move(*end, steps=_STEPS)
    finally:
        with anyio.move_on_after(_RELEASE_SECONDS, shield=True):
            await mouse.up()


async def _mouse_down(connected: ConnectedBrowser, given: Any) -> None:
    await _move(connected, given)
    await connected.tab(given.tab_id).page.mouse.down()


async def _mouse_up(connected: ConnectedBrowser, given: Any) -> None:
    await _move(connected, given)
    await connected.tab(given.tab_id).page.mouse.up()


async def _scroll(connected: ConnectedBrowser, given: Any) -> None:
    notches = _NOTCHES if given.scroll_amount is None else given.scroll_amount
    check_range(notches, "scroll_amount", 1, _MOST_NOTCHES)
    tab = connected.tab(given.tab_id)
    await tab.page.mouse.move(*await _point(tab, given.target))
    across, down = _DIRECTIONS[given.scroll_direction]
    await tab.page.mouse.wheel(across * notches * _NOTCH, down * notches * _NOTCH)


async def _scroll_to(connected: ConnectedBrowser, given: Any) -> None:
    await connected.tab(given.tab_id).documents.center(given.target.ref)


async def _type(connected: ConnectedBrowser, given: Any) -> None:
    await connected.tab(given.tab_id).page.keyboard.type(given.text)


async def _key(connected: ConnectedBrowser, given: Any) -> None:
    repeat = 1 if given.repeat is None else given.repeat
    check_range(repeat, "repeat", 1, _MOST_REPEATS)
    page = connected.tab(given.tab_id).page
    for _ in range(repeat):
        for chord in chords(given.text):
            async with _held(page, chord[:-1]):
                await page.keyboard.press(chord[-1])


async def _hold_key(connected: ConnectedBrowser, given: Any) -> None:
    check_range(given.duration, "duration", 0, _MOST_SECONDS)
    keys = [key for chord in chords(given.text) for key in chord]
    async with _held(connected.tab(given.tab_id).page, keys):
        await anyio.sleep(given.duration)


async def _wait(_connected: ConnectedBrowser, given: Any) -> None:
    check_range(given.duration, "duration", 0, _MOST_SECONDS)
    await anyio.sleep(given.duration)


INPUT_MEMBERS = {
    "left_click": _click,
    "right_click": _right_click,
    "middle_click": _middle_click,
    "double_click": _double_click,
    "triple_click": _triple_click,
    "hover": _move,
    "mouse_move": _move,
    "left_click_drag": _drag,
    "left_mouse_down": _mouse_down,
    "left_mouse_up": _mouse_up,
    "scroll": _scroll,
    "scroll_to": _scroll_to,
    "type": _type,
    "key": _key,
    "hold_key": _hold_key,
    "wait": _wait,
}
