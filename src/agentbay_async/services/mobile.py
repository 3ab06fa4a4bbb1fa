"""The Android phone of a session: touch, keys, UI elements and apps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.models.results import OperationResult, returns_result
from agentbay_async.models.tools import BoolResult, LinkResult
from agentbay_async.models.ui import (
    AppProcess,
    InstalledApp,
    Screenshot,
    ScreenshotResult,
    UIElementListResult,
    UIElements,
)
from agentbay_async.services._links import fetch_link
from agentbay_async.services._mobile_settings import (
    allow_only,
    forbid,
    hide_navigation_bar,
    lock_resolution,
    mobile_commands,
    protect,
    run_setting,
)
from agentbay_async.services._tool_calls import read_json_objects
from agentbay_async.services._ui import (
    UiTools,
    check_choice,
    check_picture_format,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_async._api import Api
    from agentbay_async.models.extra_configs import MobileExtraConfig
    from agentbay_async.models.tools import McpToolResult
    from agentbay_async.session import AsyncSession


class AsyncMobile:
    """Control touch, keys, UI elements and apps of one session's phone.

    Offered by the cloud's image ``mobile_latest``; with other images every call returns a failed
    result. Coordinates are pixels from the upper left corner.

    Example:
        ::

            await session.mobile.tap(540, 1200)
            elements = (await session.mobile.get_clickable_ui_elements()).data.elements
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id", "_tools")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]
        self._tools = UiTools(api, session_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @returns_result(BoolResult)
    async def tap(self, x: int, y: int) -> BoolResult:
        """Tap a point."""
        return await self._tools.perform("tap", x=_check.integer(x, "x"), y=_check.integer(y, "y"))

    @returns_result(BoolResult)
    async def swipe(
        self, start_x: int, start_y: int, end_x: int, end_y: int, duration_ms: int = 300
    ) -> BoolResult:
        """Swipe from one point to another, in `duration_ms` milliseconds."""
        return await self._tools.perform(
            "swipe",
            start_x=_check.integer(start_x, "start_x"),
            start_y=_check.integer(start_y, "start_y"),
            end_x=_check.integer(end_x, "end_x"),
            end_y=_check.integer(end_y, "end_y"),
            duration_ms=_check.positive_int(duration_ms, "duration_ms"),
        )

    @returns_result(BoolResult)
    async def input_text(self, text: str) -> BoolResult:
        """Type a text."""
        return await self._tools.perform("input_text", text=_check.string(text, "text"))

    @returns_result(BoolResult)
    async def send_key(self, key: int) -> BoolResult:
        """Press a key by its Android key code, such as ``KeyCode.KEYCODE_BACK`` or 4."""
        return await self._tools.perform("send_key", key=int(_check.integer(key, "key")))

    @returns_result(UIElementListResult)
    async def get_clickable_ui_elements(self, timeout_ms: int = 2000) -> UIElementListResult:
        """List the clickable elements; wait up to `timeout_ms` milliseconds for the screen."""
        limit = _check.positive_int(timeout_ms, "timeout_ms")
        args = {"timeout_ms": limit}
        answer = await self._tools.call("get_clickable_ui_elements", args)
        return UIElementListResult.ok(_parse_elements(answer), answer.request_id)

    @returns_result(UIElementListResult)
    async def get_all_ui_elements(
        self, timeout_ms: int = 2000, format: Literal["json", "xml"] = "json"
    ) -> UIElementListResult:
        """List all elements on the screen.

        Args:
            timeout_ms: Milliseconds to wait for the screen.
            format: ``"json"``, or ``"xml"``, which is returned in ``raw`` only.
        """
        args = {
            "timeout_ms": _check.positive_int(timeout_ms, "timeout_ms"),
            "format": check_choice(format, "format", ("json", "xml")),
        }
        answer = await self._tools.call("get_all_ui_elements", args)
        found = (
            _parse_elements(answer)
            if format == "json"
            else UIElements(raw=answer.data, format=format)
        )
        return UIElementListResult.ok(found, answer.request_id)

    @returns_result(OperationResult)
    async def get_installed_apps(
        self, start_menu: bool = True, desktop: bool = False, ignore_system_apps: bool = True
    ) -> OperationResult[list[InstalledApp]]:
        """List the installed apps."""
        return await self._tools.list_apps(start_menu, desktop, ignore_system_apps)

    @returns_result(OperationResult)
    async def start_app(
        self, start_cmd: str, work_directory: str = "", activity: str = ""
    ) -> OperationResult[list[AppProcess]]:
        """Start an app by its command, and optionally an activity of it."""
        return await self._tools.start_app(start_cmd, work_directory, activity)

    @returns_result(BoolResult)
    async def stop_app_by_cmd(self, stop_cmd: str) -> BoolResult:
        """Stop an app by its ``stop_cmd``; see :meth:`get_installed_apps`."""
        return await self._tools.perform(
            "stop_app_by_cmd", stop_cmd=_check.text(stop_cmd, "stop_cmd")
        )

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

    @returns_result(OperationResult)
    async def take_long_screenshot(
        self,
        max_screens: int = 4,
        format: Literal["png", "jpeg", "jpg"] = "png",
        quality: int | None = None,
    ) -> OperationResult[Screenshot]:
        """Take a screenshot of several screens, by scrolling.

        Args:
            max_screens: The largest number of screens, from 2 to 10.
            format: The format of the picture.
            quality: JPEG quality, from 1 to 100.

        Raises:
            InvalidArgumentError: A number is out of its range.
        """
        args: dict[str, Any] = {
            "max_screens": _check_range(max_screens, "max_screens", 2, 10),
            "format": check_picture_format(format),
        }
        if quality is not None:
            args["quality"] = _check_range(quality, "quality", 1, 100)
        return await self._tools.take_screenshot("long_screenshot", **args)

    @returns_result(ScreenshotResult)
    async def beta_take_screenshot(
        self, format: Literal["png", "jpeg", "jpg"] = "png"
    ) -> ScreenshotResult:
        """Take a screenshot as :meth:`take_screenshot`, with the bytes in ``data``."""
        taken = await self._tools.take_screenshot("screenshot", format=check_picture_format(format))
        return ScreenshotResult.ok(taken.data, taken.request_id)

    @returns_result(ScreenshotResult)
    async def beta_take_long_screenshot(
        self,
        max_screens: int = 4,
        format: Literal["png", "jpeg", "jpg"] = "png",
        quality: int | None = None,
    ) -> ScreenshotResult:
        """Take a screenshot as :meth:`take_long_screenshot`, with the bytes in ``data``."""
        taken = await self.take_long_screenshot(max_screens, format, quality)
        return ScreenshotResult.ok(taken.unwrap(), taken.request_id)

    @returns_result(BoolResult)
    async def configure(self, mobile_config: MobileExtraConfig) -> BoolResult:
        """Apply settings to the running phone; what is ``None`` in them stays as it is.

        Args:
            mobile_config: The settings, as ``CreateSessionParams(extra_configs=...)`` takes them.

        Example:
            ::

                await session.mobile.configure(MobileExtraConfig(lock_resolution=True))
        """
        request_id = ""
        for command in mobile_commands(mobile_config):
            request_id = await self._configure(command)
        return BoolResult.ok(True, request_id)

    @returns_result(BoolResult)
    async def set_resolution_lock(self, enable: bool) -> BoolResult:
        """Keep the resolution of the screen as it is, or let apps change it."""
        return BoolResult.ok(True, await self._configure(lock_resolution(enable)))

    @returns_result(BoolResult)
    async def set_app_whitelist(self, package_names: Sequence[str]) -> BoolResult:
        """Let the phone run only the apps with these packages."""
        return BoolResult.ok(True, await self._configure(allow_only(package_names)))

    @returns_result(BoolResult)
    async def set_app_blacklist(self, package_names: Sequence[str]) -> BoolResult:
        """Let the phone run all apps but those with these packages."""
        return BoolResult.ok(True, await self._configure(forbid(package_names)))

    @returns_result(BoolResult)
    async def set_navigation_bar_visibility(self, hide: bool) -> BoolResult:
        """Hide the system's navigation bar, or show it."""
        return BoolResult.ok(True, await self._configure(hide_navigation_bar(hide)))

    @returns_result(BoolResult)
    async def set_uninstall_blacklist(self, package_names: Sequence[str]) -> BoolResult:
        """Protect the apps with these packages from being uninstalled."""
        return BoolResult.ok(True, await self._configure(protect(package_names)))

    async def _configure(self, command: str) -> str:
        return await run_setting(self._api, self._session_id, command)

    @returns_result(LinkResult)
    async def get_adb_url(self, adbkey_pub: str) -> LinkResult:
        """Return the URL for ``adb``, given its public key."""
        option = {"adbkey_pub": _check.text(adbkey_pub, "adbkey_pub")}
        request = schema.GetAdbLink(session_id=self._session_id, option=option)
        return await fetch_link(self._api, request)


def _parse_elements(answer: McpToolResult) -> UIElements:
    found = read_json_objects(answer, "get_ui_elements")
    return UIElements([_with_rectangle(entry) for entry in found], answer.data)


# Children below this depth are left as they are: what a session sends must not exhaust the stack.
_MAX_DEPTH = 100


def _with_rectangle(element: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return an element with ``bounds_rect``, and its children too."""
    found = {**element, "bounds_rect": _rectangle(element.get("bounds"))}
    children = element.get("children")
    if isinstance(children, list) and depth < _MAX_DEPTH:
        found["children"] = [
            _with_rectangle(child, depth + 1) if isinstance(child, dict) else child
            for child in children
        ]
    return found


def _rectangle(bounds: object) -> dict[str, int] | None:
    """Read bounds: an object, or a text such as ``"[0,0][100,50]"``."""
    sides = ("left", "top", "right", "bottom")
    numbers: list[Any] = []
    if isinstance(bounds, dict):
        numbers = [bounds.get(side) for side in sides]
    elif isinstance(bounds, str):
        numbers = [int(number) for number in re.findall(r"-?[0-9]{1,9}", bounds)[:4]]
    if len(numbers) < 4 or not all(isinstance(number, int) for number in numbers):
        return None
    return dict(zip(sides, numbers, strict=True))


def _check_range(value: object, name: str, low: int, high: int) -> int:
    number = _check.integer(value, name)
    if not low <= number <= high:
        raise InvalidArgumentError(f"{name} must be from {low} to {high}, not {number}")
    return number
