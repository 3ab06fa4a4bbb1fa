"""Take a picture of a page of Playwright, whether its methods block or are awaited."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

_SCROLL = "window.scrollTo(0, document.body.scrollHeight)"
_HEIGHT = "document.body.scrollHeight"
# Images that wait until they are seen have their address in an attribute of their own.
_LOAD_IMAGES = """() => {
  for (const image of document.querySelectorAll("img[data-src]"))
    if (!image.src) image.src = image.dataset.src;
  for (const element of document.querySelectorAll("[data-bg]"))
    element.style.backgroundImage = `url(${element.dataset.bg})`;
}"""
_MAX_SCROLLS = 8
_PAUSE_MS = 1200
_IMAGES_MS = 1500
_WIDTH, _MAX_HEIGHT = 1920, 10_000

# A page of Playwright, which this library does not import: the types of its values are its own.
Page = Any


def take_screenshot(page: Page, options: dict[str, Any]) -> Any:
    """Scroll through a page so that it loads all, and take a picture of it.

    Returns:
        The picture; for a page whose methods are awaited, a coroutine that returns it.
    """
    steps = _steps(page, options)
    first = next(steps)
    return _await_all(steps, first) if inspect.isawaitable(first) else _run_all(steps, first)


def _run_all(steps: Generator[Any, Any, bytes], value: Any) -> bytes:
    try:
        while True:
            value = steps.send(value)
    except StopIteration as end:
        picture: bytes = end.value
        return picture


async def _await_all(steps: Generator[Any, Any, bytes], awaitable: Any) -> bytes:
    try:
        while True:
            awaitable = steps.send(await awaitable)
    except StopIteration as end:
        picture: bytes = end.value
        return picture


def _steps(page: Page, options: dict[str, Any]) -> Generator[Any, Any, bytes]:
    yield page.evaluate(_SCROLL)
    yield page.wait_for_load_state("domcontentloaded", timeout=30_000)
    yield from _scroll_to_the_end(page)
    yield page.evaluate(_LOAD_IMAGES)
    yield page.wait_for_timeout(_IMAGES_MS)
    height = yield page.evaluate(_HEIGHT)
    yield page.set_viewport_size({"width": _WIDTH, "height": min(height, _MAX_HEIGHT)})
    picture: bytes = yield page.screenshot(**options)
    return picture


def _scroll_to_the_end(page: Page) -> Generator[Any, Any, None]:
    last = 0
    for _ in range(_MAX_SCROLLS):
        yield page.evaluate(_SCROLL)
        yield page.wait_for_timeout(_PAUSE_MS)
        height = yield page.evaluate(_HEIGHT)
        if height == last:
            return
        last = height
