"""Members of the computer toolset, as calls of ``session.computer`` for both kinds of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anthropic.tools import ToolError
from anthropic.tools.computer import BetaComputerCursorPositionResult

from agentbay_integrations.anthropic import _pictures
from agentbay_integrations.anthropic._requirements import require

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from anthropic.tools.computer import BetaScreenshotResult

    # The name and the arguments of a method of session.computer; or "sleep" and seconds; or
    # "work" and a function with its arguments, which an async toolset runs on a thread.
    Call = tuple[str, tuple[Any, ...]]
    Member = Generator[Call, Any, Any]

__all__ = ["COMPUTER_IMAGE", "check_served", "computer_member", "computer_options"]

COMPUTER_IMAGE = "linux_latest"
_NO_BUTTON = (
    "{} is not available: a session presses no mouse button without releasing it."
    " Use left_click_drag, which presses, moves and releases"
)
_NOT_SERVED = {name: _NO_BUTTON.format(name) for name in ("left_mouse_down", "left_mouse_up")}
_CLICKS = {
    "left_click": ("left",),
    "right_click": ("right",),
    "middle_click": ("middle",),
    "double_click": ("double_left",),
    "triple_click": ("double_left", "left"),
}


def computer_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a toolset that switches off what is not served.

    Raises:
        ImportError: Pillow is missing.
    """
    require(PIL="Pillow")
    configs: Mapping[str, Any] = options.get("configs") or {}
    off = {name: {"enabled": False} for name in _NOT_SERVED}
    return {**options, "configs": {**off, **configs}}


def check_served(name: str) -> None:
    """Tell the model why a member is off, and what to use instead.

    Raises:
        ToolError: The member is off.
    """
    if name in _NOT_SERVED:
        raise ToolError(_NOT_SERVED[name])


def computer_member(name: str, given: Any) -> Member:
    """Yield the calls of a member, and return its result.

    Both toolsets run it: one awaits the calls. An error of a call is raised at its ``yield``.
    """
    if name in _CLICKS:
        x, y = yield from _point(given.coordinate)
        clicks = [("click_mouse", (x, y, button)) for button in _CLICKS[name]]
        return (yield from _with_keys(given.text, clicks))
    return (yield from _MEMBERS[name](given))


def _point(coordinate: list[int] | None) -> Generator[Call, Any, tuple[int, int]]:
    if coordinate is not None:
        return coordinate[0], coordinate[1]
    found = yield "get_cursor_position", ()
    return found.x, found.y


def _with_keys(text: str | None, calls: list[Call]) -> Member:
    """Yield some calls, while keys are held down; they are released after an error too."""
    keys = text.split("+") if text else []
    if keys:
        yield "press_keys", (keys, True)
    try:
        for call in calls:  # noqa: UP028  # `yield from` would send answers to a list, which takes none
            yield call
    finally:
        if keys:
            yield "release_keys", (keys,)


def _drag(given: Any) -> Member:
    points = (*given.start_coordinate, *given.coordinate)
    yield from _with_keys(given.text, [("drag_mouse", points)])


def _move(given: Any) -> Member:
    yield "move_mouse", tuple(given.coordinate)


def _cursor(_given: Any) -> Member:
    x, y = yield from _point(None)
    return BetaComputerCursorPositionResult(x=x, y=y)


def _scroll(given: Any) -> Member:
    x, y = yield from _point(given.coordinate)
    turn = ("scroll", (x, y, given.scroll_direction, given.scroll_amount))
    yield from _with_keys(given.text, [turn])


def _type(given: Any) -> Member:
    yield "input_text", (given.text,)


def _key(given: Any) -> Member:
    for _ in range(given.repeat or 1):
        yield "press_keys", (given.text.split("+"),)


def _hold_key(given: Any) -> Member:
    yield from _with_keys(given.text, [("sleep", (given.duration,))])


def _wait(given: Any) -> Member:
    yield "sleep", (given.duration,)


def _screenshot(_given: Any) -> Generator[Call, Any, BetaScreenshotResult]:
    picture = yield "beta_take_screenshot", ()
    return (yield "work", (_pictures.as_result, picture.data))


def _zoom(given: Any) -> Generator[Call, Any, BetaScreenshotResult]:
    picture = yield "beta_take_screenshot", ()
    larger = yield "work", (_pictures.zoom, picture.data, given.region)
    return (yield "work", (_pictures.as_result, larger))


_MEMBERS = {
    "left_click_drag": _drag,
    "mouse_move": _move,
    "cursor_position": _cursor,
    "scroll": _scroll,
    "type": _type,
    "key": _key,
    "hold_key": _hold_key,
    "wait": _wait,
    "screenshot": _screenshot,
    "zoom": _zoom,
}
