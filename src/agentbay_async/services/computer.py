"""The desktop of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentbay_async import _check
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.models.tools import BoolResult
from agentbay_async.models.ui import (
    AppProcess,
    CursorPosition,
    InstalledApp,
    Screenshot,
    ScreenSize,
    Window,
)
from agentbay_async.services import _ui

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async._api import Api


_BUTTONS = ("left", "right", "middle")
_CLICKS = (*_BUTTONS, "double_left")
_DIRECTIONS = ("up", "down", "left", "right")


class AsyncComputer:
    """Mouse, keyboard, windows and apps of one session's desktop.

    Offered by ``linux_latest`` and ``windows_latest`` of the cloud; elsewhere every call is a
    failed result. Coordinates are pixels from the upper left corner.

    Example:
        ::

            await session.computer.click_mouse(100, 200)
            await session.computer.press_keys(["Ctrl", "s"])
            picture = (await session.computer.take_screenshot()).data
    """

    __slots__ = ("__weakref__", "_screen")

    def __init__(self, api: Api, session_id: str) -> None:
        self._screen = _ui.Screen(api, session_id)

    @returns_result(BoolResult)
    async def click_mouse(
        self, x: int, y: int, button: Literal["left", "right", "middle", "double_left"] = "left"
    ) -> BoolResult:
        """Click; ``"double_left"`` clicks twice."""
        checked = _ui.one_of(button, "button", _CLICKS)
        return await self._screen.do("click_mouse", **_at(x, y), button=checked)

    @returns_result(BoolResult)
    async def move_mouse(self, x: int, y: int) -> BoolResult:
        """Move the mouse."""
        return await self._screen.do("move_mouse", **_at(x, y))

    @returns_result(BoolResult)
    async def drag_mouse(
        self,
        from_x: int,
        from_y: int,
        to_x: int,
        to_y: int,
        button: Literal["left", "right", "middle"] = "left",
    ) -> BoolResult:
        """Hold a button down on the way from one point to another."""
        return await self._screen.do(
            "drag_mouse",
            from_x=_ui.whole(from_x, "from_x"),
            from_y=_ui.whole(from_y, "from_y"),
            to_x=_ui.whole(to_x, "to_x"),
            to_y=_ui.whole(to_y, "to_y"),
            button=_ui.one_of(button, "button", _BUTTONS),
        )

    @returns_result(BoolResult)
    async def scroll(
        self,
        x: int,
        y: int,
        direction: Literal["up", "down", "left", "right"] = "up",
        amount: int = 1,
    ) -> BoolResult:
        """Turn the wheel at a point, by so many notches."""
        checked = _ui.one_of(direction, "direction", _DIRECTIONS)
        notches = _check.positive_int(amount, "amount")
        return await self._screen.do("scroll", **_at(x, y), direction=checked, amount=notches)

    @returns_result(OperationResult)
    async def get_cursor_position(self) -> OperationResult[CursorPosition]:
        """Ask where the mouse is."""
        found, request_id = await self._screen.record("get_cursor_position")
        position = CursorPosition(_ui.number(found.get("x")), _ui.number(found.get("y")))
        return OperationResult.ok(position, request_id)

    @returns_result(OperationResult)
    async def get_screen_size(self) -> OperationResult[ScreenSize]:
        """Ask how large the screen is."""
        found, request_id = await self._screen.record("get_screen_size")
        factor = found.get("dpiScalingFactor")
        size = ScreenSize(
            _ui.number(found.get("width")),
            _ui.number(found.get("height")),
            float(factor) if isinstance(factor, (int, float)) else 1.0,
        )
        return OperationResult.ok(size, request_id)

    @returns_result(BoolResult)
    async def input_text(self, text: str) -> BoolResult:
        """Type a text."""
        return await self._screen.do("input_text", text=_check.string(text, "text"))

    @returns_result(BoolResult)
    async def press_keys(self, keys: Sequence[str], hold: bool = False) -> BoolResult:
        """Press keys together, such as ``["Ctrl", "c"]``.

        Args:
            keys: Their names; their case does not matter.
            hold: Keep them down until :meth:`release_keys`.
        """
        held = _check.boolean(hold, "hold")
        return await self._screen.do("press_keys", keys=spelled(keys), hold=held)

    @returns_result(BoolResult)
    async def release_keys(self, keys: Sequence[str]) -> BoolResult:
        """Let keys go that are held down."""
        return await self._screen.do("release_keys", keys=spelled(keys))

    @returns_result(OperationResult)
    async def screenshot(self) -> OperationResult[str]:
        """Put a picture of the screen into the service's store; ``data`` is its URL."""
        answer = await self._screen.call("system_screenshot", {})
        return OperationResult.ok(answer.data, answer.request_id)

    @returns_result(OperationResult)
    async def take_screenshot(
        self,
        format: Literal["png", "jpeg", "jpg"] = "png",
    ) -> OperationResult[Screenshot]:
        """Fetch a picture of the screen itself; needs a session with a direct address."""
        return await self._screen.picture("screenshot", format=_ui.picture_format(format))

    beta_take_screenshot = take_screenshot

    @returns_result(OperationResult)
    async def list_root_windows(self, timeout_ms: int = 3000) -> OperationResult[list[Window]]:
        """List the windows of the desktop; waits up to `timeout_ms` milliseconds for them."""
        limit = _check.positive_int(timeout_ms, "timeout_ms")
        found, request_id = await self._screen.records("list_root_windows", timeout_ms=limit)
        return OperationResult.ok([_ui.window(entry) for entry in found], request_id)

    @returns_result(OperationResult)
    async def get_active_window(self) -> OperationResult[Window]:
        """Ask which window has the focus."""
        found, request_id = await self._screen.record("get_active_window")
        return OperationResult.ok(_ui.window(found), request_id)

    @returns_result(BoolResult)
    async def activate_window(self, window_id: int) -> BoolResult:
        """Give a window the focus."""
        return await self._window("activate_window", window_id)

    @returns_result(BoolResult)
    async def close_window(self, window_id: int) -> BoolResult:
        """Close a window."""
        return await self._window("close_window", window_id)

    @returns_result(BoolResult)
    async def maximize_window(self, window_id: int) -> BoolResult:
        """Make a window as large as the screen."""
        return await self._window("maximize_window", window_id)

    @returns_result(BoolResult)
    async def minimize_window(self, window_id: int) -> BoolResult:
        """Put a window away."""
        return await self._window("minimize_window", window_id)

    @returns_result(BoolResult)
    async def restore_window(self, window_id: int) -> BoolResult:
        """Give a window its size back."""
        return await self._window("restore_window", window_id)

    @returns_result(BoolResult)
    async def fullscreen_window(self, window_id: int) -> BoolResult:
        """Let a window fill the screen."""
        return await self._window("fullscreen_window", window_id)

    @returns_result(BoolResult)
    async def resize_window(self, window_id: int, width: int, height: int) -> BoolResult:
        """Give a window a size."""
        return await self._screen.do(
            "resize_window",
            window_id=_ui.whole(window_id, "window_id"),
            width=_check.positive_int(width, "width"),
            height=_check.positive_int(height, "height"),
        )

    @returns_result(BoolResult)
    async def focus_mode(self, on: bool) -> BoolResult:
        """Keep other windows from taking the focus, or no longer."""
        return await self._screen.do("focus_mode", on=_check.boolean(on, "on"))

    @returns_result(OperationResult)
    async def get_installed_apps(
        self, start_menu: bool = True, desktop: bool = False, ignore_system_apps: bool = True
    ) -> OperationResult[list[InstalledApp]]:
        """List the apps of the start menu, of the desktop, or of both."""
        return await self._screen.apps(
            ("start_menu", start_menu),
            ("desktop", desktop),
            ("ignore_system_apps", ignore_system_apps),
        )

    @returns_result(OperationResult)
    async def start_app(
        self, start_cmd: str, work_directory: str = "", activity: str = ""
    ) -> OperationResult[list[AppProcess]]:
        """Start an app by its command; ``data`` has its processes."""
        return await self._screen.processes(
            "start_app", **_ui.start_args(start_cmd, work_directory, activity)
        )

    @returns_result(OperationResult)
    async def list_visible_apps(self) -> OperationResult[list[AppProcess]]:
        """List the processes that have windows."""
        return await self._screen.processes("list_visible_apps")

    @returns_result(BoolResult)
    async def stop_app_by_pname(self, pname: str) -> BoolResult:
        """Stop the app whose process has that name."""
        return await self._screen.do("stop_app_by_pname", pname=_check.text(pname, "pname"))

    @returns_result(BoolResult)
    async def stop_app_by_pid(self, pid: int) -> BoolResult:
        """Stop the app with that process id."""
        return await self._screen.do("stop_app_by_pid", pid=_check.positive_int(pid, "pid"))

    @returns_result(BoolResult)
    async def stop_app_by_cmd(self, stop_cmd: str) -> BoolResult:
        """Stop an app by the command that its description names."""
        return await self._screen.do("stop_app_by_cmd", stop_cmd=_check.text(stop_cmd, "stop_cmd"))

    async def _window(self, tool: str, window_id: int) -> BoolResult:
        return await self._screen.do(tool, window_id=_ui.whole(window_id, "window_id"))


def _at(x: int, y: int) -> dict[str, int]:
    return {"x": _ui.whole(x, "x"), "y": _ui.whole(y, "y")}


_NAMED = (
    "Ctrl Alt Shift Win Meta Super Command Tab Enter Escape Backspace Delete Insert Home End "
    "PageUp PageDown Space CapsLock NumLock ScrollLock PrintScreen Pause "
    "ArrowUp ArrowDown ArrowLeft ArrowRight"
)
_CHARACTERS = {
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
_NAMES = {
    **{name.lower(): name for name in _NAMED.split()},
    **{f"f{number}": f"F{number}" for number in range(1, 25)},
    **_CHARACTERS,
}


def keys(value: Sequence[str], name: str = "keys") -> list[str]:
    """Return keys in the spelling of the tools; what has no other spelling stays as it is.

    Example:
        >>> keys(["ctrl", "A"])
        ['Ctrl', 'a']
    """
    return [
        _key(_check.string(key, f"each of {name}")) for key in _check.sequence(value, name, str)
    ]


def _key(key: str) -> str:
    if len(key) == 1:
        return key.lower()
    return _NAMES.get(key.lower(), key)
