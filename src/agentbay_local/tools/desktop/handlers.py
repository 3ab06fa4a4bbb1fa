"""The handler of each tool of the desktop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.tools.desktop import apps, keyboard, pointer, screen, windows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Callable[[ToolContext, Arguments], Awaitable[str]]] = {
    "click_mouse": pointer.click_mouse,
    "move_mouse": pointer.move_mouse,
    "drag_mouse": pointer.drag_mouse,
    "scroll": pointer.scroll,
    "get_cursor_position": pointer.get_cursor_position,
    "input_text": keyboard.input_text,
    "press_keys": keyboard.press_keys,
    "release_keys": keyboard.release_keys,
    "get_screen_size": screen.get_screen_size,
    "screenshot": screen.screenshot,
    "system_screenshot": screen.system_screenshot,
    "list_root_windows": windows.list_root_windows,
    "get_active_window": windows.get_active_window,
    **dict.fromkeys(windows.CHANGES, windows.change_window),
    "focus_mode": windows.focus_mode,
    "get_installed_apps": apps.get_installed_apps,
    "start_app": apps.start_app,
    "list_visible_apps": apps.list_visible_apps,
    "stop_app_by_pname": apps.stop_app_by_pname,
    "stop_app_by_pid": apps.stop_app_by_pid,
    "stop_app_by_cmd": apps.stop_app_by_cmd,
}
