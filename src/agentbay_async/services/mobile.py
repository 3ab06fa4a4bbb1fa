"""The phone of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import BadAnswerError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.models.tools import BoolResult, LinkResult
from agentbay_async.models.ui import AppProcess, InstalledApp, Screenshot, UIElements
from agentbay_async.services import _ui
from agentbay_async.services._links import fetch_link

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.models.tools import McpToolResult


class AsyncMobile:
    """Touch, keys, elements and apps of one session's Android.

    Offered by ``mobile_latest`` of the cloud; elsewhere every call is a failed result. Coordinates
    are pixels from the upper left corner.

    Example:
        ::

            await session.mobile.tap(540, 1200)
            elements = (await session.mobile.get_clickable_ui_elements()).data.elements
    """

    __slots__ = ("__weakref__", "_api", "_screen", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._screen = _ui.Screen(api, session_id)

    @returns_result(BoolResult)
    async def tap(self, x: int, y: int) -> BoolResult:
        """Touch a point."""
        return await self._screen.do("tap", x=_ui.whole(x, "x"), y=_ui.whole(y, "y"))

    @returns_result(BoolResult)
    async def swipe(
        self, start_x: int, start_y: int, end_x: int, end_y: int, duration_ms: int = 300
    ) -> BoolResult:
        """Draw a finger from one point to another, in `duration_ms` milliseconds."""
        return await self._screen.do(
            "swipe",
            start_x=_ui.whole(start_x, "start_x"),
            start_y=_ui.whole(start_y, "start_y"),
            end_x=_ui.whole(end_x, "end_x"),
            end_y=_ui.whole(end_y, "end_y"),
            duration_ms=_check.positive_int(duration_ms, "duration_ms"),
        )

    @returns_result(BoolResult)
    async def input_text(self, text: str) -> BoolResult:
        """Type a text."""
        return await self._screen.do("input_text", text=_check.string(text, "text"))

    @returns_result(BoolResult)
    async def send_key(self, key: int) -> BoolResult:
        """Press a key, by Android's number of it, such as 4 for "back"."""
        return await self._screen.do("send_key", key=_ui.whole(key, "key"))

    @returns_result(OperationResult)
    async def get_clickable_ui_elements(
        self, timeout_ms: int = 2000
    ) -> OperationResult[UIElements]:
        """List what can be touched; waits up to `timeout_ms` milliseconds for the screen."""
        limit = _check.positive_int(timeout_ms, "timeout_ms")
        args = {"timeout_ms": limit}
        answer = await self._screen.call("get_clickable_ui_elements", args)
        return OperationResult.ok(_elements(answer), answer.request_id)

    @returns_result(OperationResult)
    async def get_all_ui_elements(
        self, timeout_ms: int = 2000, format: Literal["json", "xml"] = "json"
    ) -> OperationResult[UIElements]:
        """List all elements on the screen.

        Args:
            timeout_ms: Milliseconds to wait for the screen.
            format: ``"json"``, or ``"xml"``, which is in ``raw`` alone.
        """
        args = {
            "timeout_ms": _check.positive_int(timeout_ms, "timeout_ms"),
            "format": _ui.one_of(format, "format", ("json", "xml")),
        }
        answer = await self._screen.call("get_all_ui_elements", args)
        found = _elements(answer) if format == "json" else UIElements(raw=answer.data)
        return OperationResult.ok(found, answer.request_id)

    @returns_result(OperationResult)
    async def get_installed_apps(
        self, start_menu: bool = True, desktop: bool = False, ignore_system_apps: bool = True
    ) -> OperationResult[list[InstalledApp]]:
        """List the apps."""
        return await self._screen.apps(
            ("start_menu", start_menu),
            ("desktop", desktop),
            ("ignore_system_apps", ignore_system_apps),
        )

    @returns_result(OperationResult)
    async def start_app(
        self, start_cmd: str, work_directory: str = "", activity: str = ""
    ) -> OperationResult[list[AppProcess]]:
        """Start an app by its command, in an activity of its own if one is named."""
        return await self._screen.processes(
            "start_app", **_ui.start_args(start_cmd, work_directory, activity)
        )

    @returns_result(BoolResult)
    async def stop_app_by_cmd(self, stop_cmd: str) -> BoolResult:
        """Stop an app by the command that its description names."""
        return await self._screen.do("stop_app_by_cmd", stop_cmd=_check.text(stop_cmd, "stop_cmd"))

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

    @returns_result(OperationResult)
    async def take_long_screenshot(
        self,
        max_screens: int = 4,
        format: Literal["png", "jpeg", "jpg"] = "png",
        quality: int | None = None,
    ) -> OperationResult[Screenshot]:
        """Fetch a picture of what can be scrolled to as well.

        Args:
            max_screens: At most that many screens, from 2 to 10.
            format: The format of the picture.
            quality: From 1 to 100, for JPEG.

        Raises:
            InvalidArgumentError: A number is out of its range.
        """
        args: dict[str, Any] = {
            "max_screens": _within(max_screens, "max_screens", 2, 10),
            "format": _ui.picture_format(format),
        }
        if quality is not None:
            args["quality"] = _within(quality, "quality", 1, 100)
        return await self._screen.picture("long_screenshot", **args)

    beta_take_screenshot = take_screenshot
    beta_take_long_screenshot = take_long_screenshot

    @returns_result(LinkResult)
    async def get_adb_url(self, adbkey_pub: str) -> LinkResult:
        """Ask how to connect ``adb``, given the public key that it uses."""
        option = {"adbkey_pub": _check.text(adbkey_pub, "adbkey_pub")}
        request = schema.GetAdbLink(session_id=self._session_id, option=option)
        return await fetch_link(self._api, request)


def _elements(answer: McpToolResult) -> UIElements:
    try:
        found = json.loads(answer.data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise BadAnswerError("the elements are no JSON list", request_id=answer.request_id)
    return UIElements(found, answer.data)


def _within(value: object, name: str, low: int, high: int) -> int:
    number = _ui.whole(value, name)
    if not low <= number <= high:
        raise InvalidArgumentError(f"{name} must be from {low} to {high}, not {number}")
    return number
