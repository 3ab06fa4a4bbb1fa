"""The tools of windows: list them, and change one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.tools.desktop.display import DONE, display_of

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.desktop.display import Display
    from agentbay_local.tools.tool_context import ToolContext

__all__ = [
    "CHANGES",
    "change_window",
    "focus_mode",
    "get_active_window",
    "list_root_windows",
    "read_windows",
]

# Programs answer to the window manager, and a busy machine makes them slow.
_CHANGE_WITHIN = 5
_LARGEST_ID = 2**32 - 1
_LARGEST_SIDE = 32767

_KINDS = ("activate", "close", "fullscreen", "maximize", "minimize", "resize", "restore")
CHANGES = {f"{kind}_window": kind for kind in _KINDS}
"""What each tool that changes a window does."""


async def list_root_windows(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the windows of programs, the uppermost first."""
    arguments.integer("timeout_ms", 1, 600_000, default=3000)
    windows, _ = await read_windows(display_of(context))
    return compact_json([_format(window) for window in windows])


async def get_active_window(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the window that has the focus.

    Raises:
        ToolError: None has it.
    """
    del arguments
    windows, active = await read_windows(display_of(context))
    for window in windows:
        if window["id"] == active:
            return compact_json(_format(window))
    raise ToolError("No window has the focus: open one, or activate one with activate_window")


async def change_window(context: ToolContext, arguments: Arguments) -> str:
    """Activate, close, maximize, minimize, restore or resize a window, or make it full screen."""
    change = CHANGES[arguments.tool]
    window = arguments.integer("window_id", 1, _LARGEST_ID)
    size = [0, 0]
    if change == "resize":
        size = [arguments.integer(name, 1, _LARGEST_SIDE) for name in ("width", "height")]
    await display_of(context).perform(
        "change_window", window=window, change=change, size=size, seconds=_CHANGE_WITHIN
    )
    return DONE


async def focus_mode(context: ToolContext, arguments: Arguments) -> str:
    """Keep new windows from taking the focus, or let them."""
    await display_of(context).set_focus_mode(arguments.flag("on"))
    return DONE


async def read_windows(display: Display) -> tuple[list[dict[str, Any]], int]:
    """Return the windows of a display, the uppermost first, and the id of the active one.

    Raises:
        ToolError: The session sends something else.
    """
    answer = await display.perform("list_windows")
    try:
        windows = [_check(window) for window in answer["windows"]]
        return windows[::-1], int(answer["active"])
    except (KeyError, TypeError, ValueError) as error:
        raise ToolError("The desktop of this session sent an invalid list of windows") from error


def _check(window: dict[str, Any]) -> dict[str, Any]:
    # The program that wrote this runs with the rights of the session, which may have changed it.
    x, y, width, height = map(int, window["box"])
    return {
        "id": int(window["id"]),
        "pid": int(window["pid"]),
        "box": (x, y, width, height),
        **{name: str(window[name]) for name in ("title", "name", "line")},
    }


def _format(window: dict[str, Any]) -> dict[str, Any]:
    x, y, width, height = window["box"]
    return {
        "window_id": window["id"],
        "window_title": window["title"],
        "absolute_upper_left_x": x,
        "absolute_upper_left_y": y,
        "width": width,
        "height": height,
        "pid": window["pid"],
        "pname": window["name"],
        "child_windows": [],
    }
