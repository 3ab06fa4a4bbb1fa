"""Elements of the pages of a tab, by the references that the model gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anthropic.tools import ToolError

from agentbay_integrations.anthropic._answers import (
    as_count,
    as_items,
    as_number,
    as_record,
    as_text,
    as_tree,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import ElementHandle, FloatRect, Frame, JSHandle, Page

__all__ = ["FRAME_LEFT_OUT", "Documents"]

_SCRIPT = Path(__file__).with_name("elements.js").read_text(encoding="utf-8")
_REFERENCE = re.compile(r"ref_(\d+)_(\d+)")
# As little as possible, or, if it moves at all, to the middle: something may stick to the edges.
_SCROLL = """(element) => {
  const at = () => { const box = element.getBoundingClientRect(); return `${box.x},${box.y}`; };
  const before = at();
  const how = (place) => ({ block: place, inline: place, behavior: "instant" });
  element.scrollIntoView(how("nearest"));
  if (at() !== before) element.scrollIntoView(how("center"));
}"""
# Seconds between looks at an element that moves with the frames around it, and looks at most.
_LOOK_SECONDS = 0.05
_MOST_LOOKS = 10
# Frames in frames: advertisements nest them without end.
_MOST_FRAMES = 30
# As many as the script gives: options and characters of a name; and more than a line of it has.
_MOST_OPTIONS = 50
_LONGEST_NAME = 100
_LONGEST_LINE = 4096
#: What the model reads of a frame that was detached or showed another document meanwhile.
FRAME_LEFT_OUT = "[a frame changed while it was read, and is left out: read again]"


class Documents:
    """The documents of a tab's frames, each with its elements.

    A document has a number, which is in the references of its elements. It is forgotten when its
    frame shows another one, so that an old reference leads nowhere.

    Args:
        page: The page of the tab.
        numbers: Gives each document its number; no two tabs have the same.
    """

    def __init__(self, page: Page, numbers: Iterator[int]) -> None:
        self._page = page
        self._numbers = numbers
        self._known: dict[Frame, tuple[int, JSHandle]] = {}

    async def tree(self, frame: Frame, **options: Any) -> tuple[list[str], bool]:
        """Return the lines of a frame's tree, with the frames in it, and whether they were cut."""
        return await self._tree(frame, [_MOST_FRAMES], **options)

    async def _tree(self, frame: Frame, left: list[int], **options: Any) -> tuple[list[str], bool]:
        left[0] -= 1
        _, registry = await self._document(frame)
        found = await registry.evaluate("(document, options) => document.tree(options)", options)
        tree, cut = as_tree(found, options["limit"])
        inner, notes = await _references(registry, frame.child_frames[: left[0]])
        lines = []
        for depth, text, reference in tree:
            lines.append("  " * depth + text)
            if reference in inner and left[0] > 0:
                below = {**options, "root": None, "depth": options["depth"] - depth - 1}
                deeper, more = await self._inner_tree(inner[reference], left, **below)
                lines += ["  " * (depth + 1) + line for line in deeper]
                cut = cut or more
        return lines + notes, cut

    async def _inner_tree(
        self, frame: Frame, left: list[int], **options: Any
    ) -> tuple[list[str], bool]:
        """Return the tree of a frame in another one, or a note that it cannot be read."""
        from playwright.async_api import Error

        try:
            return await self._tree(frame, left, **options)
        except (Error, ToolError):
            return [FRAME_LEFT_OUT], False

    async def find(self, words: list[str], phrase: str, count: int) -> tuple[list[str], bool]:
        """Return the lines of the elements that fit best, and whether all frames were read."""
        options = {"words": words, "phrase": phrase, "count": count}
        found: list[tuple[float, str]] = []
        is_whole = True
        for frame in self._page.frames[:_MOST_FRAMES]:
            more = await self._find_in(frame, options)
            found += more or []
            is_whole = is_whole and more is not None
        found.sort(key=lambda one: -one[0])
        return [line for _, line in found[:count]], is_whole

    async def _find_in(
        self, frame: Frame, options: dict[str, Any]
    ) -> list[tuple[float, str]] | None:
        """Return points and lines of a frame's elements; ``None`` if it is left out."""
        from playwright.async_api import Error

        try:
            _, registry = await self._document(frame)
            found = await registry.evaluate("(document, it) => document.find(it)", options)
            pairs = [as_items(one, exactly=2) for one in as_items(found, options["count"])]
            return [(as_number(points), as_text(line, _LONGEST_LINE)) for points, line in pairs]
        except (Error, ToolError):
            if frame is self._page.main_frame:
                raise
            return None

    async def text(self, limit: int) -> str:
        """Return the visible text of the page, or of its article."""
        _, registry = await self._document(self._page.main_frame)
        text = await registry.evaluate("(document, limit) => document.text(limit)", limit)
        return as_text(text, limit)

    async def element(self, reference: str) -> ElementHandle:
        """Return an element.

        Raises:
            ToolError: The page does not have it any more.
        """
        from playwright.async_api import Error

        registry, index = self._find(reference)[1:]
        try:
            handle = await registry.evaluate_handle("(document, i) => document.element(i)", index)
        except Error:  # the frame shows another document
            raise _stale(reference) from None
        if (element := handle.as_element()) is None:
            raise _stale(reference)
        return element

    async def center(self, reference: str) -> tuple[float, float]:
        """Scroll an element into view, with the frames around it, and return its center.

        Playwright waits until it does not move, for which a frame of another site that is out of
        view gives no sign.

        Raises:
            ToolError: The page does not show it, or does not have it any more.
        """
        element = await self.element(reference)
        frame, around = self.locate(reference)[0], [element]
        while frame.parent_frame is not None:
            around.append(await frame.frame_element())
            frame = frame.parent_frame
        if await element.is_visible():
            for one in reversed(around):
                await one.evaluate(_SCROLL)
            box = await (_settled(element) if len(around) > 1 else element.bounding_box())
            if box is not None:
                return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        raise ToolError(f"{reference} is not visible")

    async def form(self, reference: str, wanted: str) -> dict[str, Any]:
        """Return what is to know of a form's element to fill it in.

        It has ``tag`` and ``type``; of a ``<select>`` also ``option``, the index of the one that is
        wanted or ``None``, ``options``, the texts of the first ones, and ``more``, how many follow.
        """
        element = await self.element(reference)
        registry = self._find(reference)[1]
        call = "(document, [it, wanted]) => document.form(it, wanted)"
        form = as_record(await registry.evaluate(call, [element, wanted]))
        texts = as_items(form.get("options"), _MOST_OPTIONS)
        return {
            "tag": as_text(form.get("tag"), _LONGEST_NAME),
            "type": as_text(form.get("type"), _LONGEST_NAME),
            "option": None if form.get("option") is None else as_count(form["option"]),
            "options": [as_text(one, _LONGEST_NAME) for one in texts],
            "more": as_count(form.get("more")),
        }

    def locate(self, reference: str) -> tuple[Frame, int]:
        """Return the frame that an element is in, and its number there."""
        frame, _, index = self._find(reference)
        return frame, index

    def _find(self, reference: str) -> tuple[Frame, JSHandle, int]:
        parts = _REFERENCE.fullmatch(reference)
        if parts is None:
            raise ToolError(f"{reference[:80]!r} is not a reference from read_page or find")
        for frame, (number, registry) in self._known.items():
            if number == int(parts[1]):
                return frame, registry, int(parts[2])
        raise _stale(reference)

    async def _document(self, frame: Frame) -> tuple[int, JSHandle]:
        """Return the number of a frame's document, and its elements."""
        known = self._known.get(frame)
        if known is None or not await _lives(known[1]):
            self._known = {one: it for one, it in self._known.items() if not one.is_detached()}
            number = next(self._numbers)
            known = self._known[frame] = number, await frame.evaluate_handle(_SCRIPT, number)
        return known


async def _references(
    registry: JSHandle, frames: list[Frame]
) -> tuple[dict[str, Frame], list[str]]:
    """Return frames by the references of the elements that show them, in the document around.

    A note tells of frames that have none any more.
    """
    found = [(await _reference(registry, frame), frame) for frame in frames]
    inner = {reference: frame for reference, frame in found if reference is not None}
    notes = [FRAME_LEFT_OUT] if None in [reference for reference, _ in found] else []
    return inner, notes


async def _reference(registry: JSHandle, frame: Frame) -> str | None:
    """Return the reference of the element that shows a frame; ``None`` if it is gone."""
    from playwright.async_api import Error

    try:
        element = await frame.frame_element()
        answer = await registry.evaluate("(document, it) => document.refOf(it)", element)
    except Error:
        return None
    return as_text(answer, _LONGEST_NAME)


async def _settled(element: ElementHandle) -> FloatRect | None:
    """Return the box of an element when it stays: sites are scrolled one after another."""
    box = await element.bounding_box()
    for _ in range(_MOST_LOOKS):
        await anyio.sleep(_LOOK_SECONDS)
        before, box = box, await element.bounding_box()
        if box == before:
            break
    return box


async def _lives(registry: JSHandle) -> bool:
    from playwright.async_api import Error

    try:
        return bool(await registry.evaluate("() => true"))
    except Error:  # the frame shows another document
        return False


def _stale(reference: str) -> ToolError:
    return ToolError(f"{reference[:80]!r} is not on the page any more: use read_page or find again")
