"""The desktop of a session: mouse, keyboard, windows and apps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentbay_async import _check
from agentbay_async.models.results import OperationResult, returns_result
from agentbay_async.models.tools import BoolResult
from agentbay_async.models.ui import (
    AppProcess,
    CursorPosition,
    InstalledApp,
    Screenshot,
    ScreenshotResult,
    ScreenSize,
    WindowInfoResult,
    WindowListResult,
)
from agentbay_async.services._ui import (
    UiTools,
    check_choice,
    check_picture_format,
    parse_window,
    to_int,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_async._api import Api
    from agentbay_async.models.input import MouseButton, ScrollDirection
    from agentbay_async.session import AsyncSession


_BUTTONS = ("left", "right", "middle")
_CLICKS = (*_BUTTONS, "double_left")
_DIRECTIONS = ("up", "down", "left", "right")
# Spellings of keys that the tools accept.
_KEY_NAMES = (
    "Ctrl Alt Shift Win Meta Super Command Tab Enter Escape Backspace Delete Insert Home End "
    "PageUp PageDown Space CapsLock NumLock ScrollLock PrintScreen Pause "
    "ArrowUp ArrowDown ArrowLeft ArrowRight"
)
_CHARACTER_NAMES = {
    "minus": "-",
    "equal": "=",
    "comma": ",",
    "period": ".",
    "slash": "/",
    "backslash": "\\",
    "semicolon": ";",
    "quote": "'",
    "backquote": "`",
}
_SPELLINGS = {
    **{name.lower(): name for name in _KEY_NAMES.split()},
    **{f"f{number}": f"F{number}" for number in range(1, 25)},
    **_CHARACTER_NAMES,
}


class AsyncComputer:
    """Control mouse, keyboard, windows and apps of one session's desktop.

    Offered by the cloud's images ``linux_latest`` and ``windows_latest``; with other images every
    call returns a failed result. Coordinates are pixels from the upper left corner.

    Example:
        ::

            await session.computer.click_mouse(100, 200)
            await session.computer.press_keys(["Ctrl", "s"])
            picture = (await session.computer.take_screenshot()).data
    """

    __slots__ = ("__weakref__", "_find_session", "_tools")

    def __init__(self, api: Api, session_id: str) -> None:
        self._find_session: Callable[[], AsyncSession]
        self._tools = UiTools(api, session_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._tools.session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @returns_result(BoolResult)
    async def click_mouse(
        self,
        x: int,
        y: int,
        button: Literal["left", "right", "middle", "double_left"] | MouseButton = "left",
    ) -> BoolResult:
        """Click a mouse button at a point; ``"double_left"`` double-clicks."""
        checked = check_choice(button, "button", _CLICKS)
        return await self._tools.perform("click_mouse", **_point(x, y), button=checked)

    @returns_result(BoolResult)
    async def move_mouse(self, x: int, y: int) -> BoolResult:
        """Move the mouse to a point."""
        return await self._tools.perform("move_mouse", **_point(x, y))

    @returns_result(BoolResult)
    async def drag_mouse(
        self,
        from_x: int,
        from_y: int,
        to_x: int,
        to_y: int,
        button: Literal["left", "right", "middle"] | MouseButton = "left",
    ) -> BoolResult:
        """Drag the mouse from one point to another, with a button held down."""
        return await self._tools.perform(
            "drag_mouse",
            from_x=_check.integer(from_x, "from_x"),
            from_y=_check.integer(from_y, "from_y"),
            to_x=_check.integer(to_x, "to_x"),
            to_y=_check.integer(to_y, "to_y"),
            button=check_choice(button, "button", _BUTTONS),
        )

    @returns_result(BoolResult)
    async def scroll(
        self,
        x: int,
        y: int,
        direction: Literal["up", "down", "left", "right"] | ScrollDirection = "up",
        amount: int = 1,
    ) -> BoolResult:
        """Turn the mouse wheel at a point, by `amount` notches."""
        checked = check_choice(direction, "direction", _DIRECTIONS)
        notches = _check.positive_int(amount, "amount")
        return await self._tools.perform(
            "scroll", **_point(x, y), direction=checked, amount=notches
        )

    @returns_result(OperationResult)
    async def get_cursor_position(self) -> OperationResult[CursorPosition]:
        """Return the position of the mouse."""
        found, request_id = await self._tools.fetch_object("get_cursor_position")
        position = CursorPosition(to_int(found.get("x")), to_int(found.get("y")))
        return OperationResult.ok(position, request_id)

    @returns_result(OperationResult)
    async def get_screen_size(self) -> OperationResult[ScreenSize]:
        """Return the size of the screen."""
        found, request_id = await self._tools.fetch_object("get_screen_size")
        factor = found.get("dpiScalingFactor")
        size = ScreenSize(
            to_int(found.get("width")),
            to_int(found.get("height")),
            float(factor) if isinstance(factor, (int, float)) else 1.0,
        )
        return OperationResult.ok(size, request_id)

    @returns_result(BoolResult)
    async def input_text(self, text: str) -> BoolResult:
        """Type a text."""
        return await self._tools.perform("input_text", text=_check.string(text, "text"))

    @returns_result(BoolResult)
    async def press_keys(self, keys: Sequence[str], hold: bool = False) -> BoolResult:
        """Press keys together, such as ``["Ctrl", "c"]``.

        Args:
            keys: Names of keys, in any case.
            hold: Keep them down until :meth:`release_keys`.
        """
        held = _check.boolean(hold, "hold")
        return await self._tools.perform("press_keys", keys=normalize_keys(keys), hold=held)

    @returns_result(BoolResult)
    async def release_keys(self, keys: Sequence[str]) -> BoolResult:
        """Release keys that are held down."""
        return await self._tools.perform("release_keys", keys=normalize_keys(keys))

    @returns_result(OperationResult)
    async def screenshot(self) -> OperationResult[str]:
        """Save a screenshot in the service's store; ``data`` is its URL."""
        answer = await self._tools.call("system_screenshot", {})
        return OperationResult.ok(answer.data, answer.request_id)

    @returns_result(OperationResult)
    async def take_screenshot(
        self,
        format: Literal["png", "jpeg", "jpg"] = "png",
    ) -> OperationResult[Screenshot]:
        """Take a screenshot and return it; requires a session with a direct address."""
        return await self._tools.take_screenshot("screenshot", format=check_picture_format(format))

    @returns_result(ScreenshotResult)
    async def beta_take_screenshot(
        self, format: Literal["png", "jpeg", "jpg"] = "png"
    ) -> ScreenshotResult:
        """Take a screenshot as :meth:`take_screenshot`, with the bytes in ``data``."""
        taken = await self._tools.take_screenshot("screenshot", format=check_picture_format(format))
        return ScreenshotResult.ok(taken.data, taken.request_id)

    @returns_result(WindowListResult)
    async def list_root_windows(self, timeout_ms: int = 3000) -> WindowListResult:
        """List the windows of the desktop; waits up to `timeout_ms` milliseconds for them."""
        limit = _check.positive_int(timeout_ms, "timeout_ms")
        found, request_id = await self._tools.fetch_objects("list_root_windows", timeout_ms=limit)
        return WindowListResult.ok([parse_window(entry) for entry in found], request_id)

    @returns_result(WindowInfoResult)
    async def get_active_window(self) -> WindowInfoResult:
        """Return the window that has the focus."""
        found, request_id = await self._tools.fetch_object("get_active_window")
        return WindowInfoResult.ok(parse_window(found), request_id)

    @returns_result(BoolResult)
    async def activate_window(self, window_id: int) -> BoolResult:
        """Give a window the focus."""
        return await self._window_action("activate_window", window_id)

    @returns_result(BoolResult)
    async def close_window(self, window_id: int) -> BoolResult:
        """Close a window."""
        return await self._window_action("close_window", window_id)

    @returns_result(BoolResult)
    async def maximize_window(self, window_id: int) -> BoolResult:
        """Maximize a window."""
        return await self._window_action("maximize_window", window_id)

    @returns_result(BoolResult)
    async def minimize_window(self, window_id: int) -> BoolResult:
        """Minimize a window."""
        return await self._window_action("minimize_window", window_id)

    @returns_result(BoolResult)
    async def restore_window(self, window_id: int) -> BoolResult:
        """Restore the size of a window."""
        return await self._window_action("restore_window", window_id)

    @returns_result(BoolResult)
    async def fullscreen_window(self, window_id: int) -> BoolResult:
        """Show a window in full-screen mode."""
        return await self._window_action("fullscreen_window", window_id)

    @returns_result(BoolResult)
    async def resize_window(self, window_id: int, width: int, height: int) -> BoolResult:
        """Resize a window, in pixels."""
        return await self._tools.perform(
            "resize_window",
            window_id=_check.integer(window_id, "window_id"),
            width=_check.positive_int(width, "width"),
            height=_check.positive_int(height, "height"),
        )

    @returns_result(BoolResult)
    async def focus_mode(self, on: bool) -> BoolResult:
        """Turn focus mode on or off. In focus mode no other window can take the focus."""
        return await self._tools.perform("focus_mode", on=_check.boolean(on, "on"))

    @returns_result(OperationResult)
    async def get_installed_apps(
        self, start_menu: bool = True, desktop: bool = False, ignore_system_apps: bool = True
    ) -> OperationResult[list[InstalledApp]]:
        """List the apps of the start menu, of the desktop, or of both."""
        return await self._tools.list_apps(start_menu, desktop, ignore_system_apps)

    @returns_result(OperationResult)
    async def start_app(
        self, start_cmd: str, work_directory: str = "", activity: str = ""
    ) -> OperationResult[list[AppProcess]]:
        """Start an app by its command; ``data`` has its processes."""
        return await self._tools.start_app(start_cmd, work_directory, activity)

    @returns_result(OperationResult)
    async def list_visible_apps(self) -> OperationResult[list[AppProcess]]:
        """List the processes that have windows."""
        return await self._tools.list_processes("list_visible_apps")

    @returns_result(BoolResult)
    async def stop_app_by_pname(self, pname: str) -> BoolResult:
        """Stop the app with that process name."""
        return await self._tools.perform("stop_app_by_pname", pname=_check.text(pname, "pname"))

    @returns_result(BoolResult)
    async def stop_app_by_pid(self, pid: int) -> BoolResult:
        """Stop the app with that process id."""
        return await self._tools.perform("stop_app_by_pid", pid=_check.positive_int(pid, "pid"))

    @returns_result(BoolResult)
    async def stop_app_by_cmd(self, stop_cmd: str) -> BoolResult:
        """Stop an app by its ``stop_cmd``; see :meth:`get_installed_apps`."""
        return await self._tools.perform(
            "stop_app_by_cmd", stop_cmd=_check.text(stop_cmd, "stop_cmd")
        )

    async def _window_action(self, tool: str, window_id: int) -> BoolResult:
        return await self._tools.perform(tool, window_id=_check.integer(window_id, "window_id"))


def _point(x: int, y: int) -> dict[str, int]:
    return {"x": _check.integer(x, "x"), "y": _check.integer(y, "y")}


def normalize_keys(value: Sequence[str], name: str = "keys") -> list[str]:
    """Return keys in the spelling of the tools; an unknown name stays as it is.

    Example:
        >>> normalize_keys(["ctrl", "A"])
        ['Ctrl', 'a']
    """
    return [
        _normalize_key(_check.string(key, f"each of {name}"))
        for key in _check.sequence(value, name, str)
    ]


def _normalize_key(key: str) -> str:
    if len(key) == 1:
        return key.lower()
    return _SPELLINGS.get(key.lower(), key)
