"""Call the UI tools of a session, and parse their answers; for computer and mobile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async._protocol.codec import decode_base64
from agentbay_async.errors import BadAnswerError, InvalidArgumentError
from agentbay_async.models.results import OperationResult
from agentbay_async.models.tools import BoolResult
from agentbay_async.models.ui import AppProcess, InstalledApp, Screenshot, Window
from agentbay_async.services._tool_calls import (
    call_tool,
    read_json_object,
    read_json_objects,
)

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.models.tools import McpToolResult

# The first bytes and the media type of a picture.
_PICTURE_FORMATS = {
    "png": (b"\x89PNG\r\n\x1a\n", "image/png"),
    "jpeg": (b"\xff\xd8\xff", "image/jpeg"),
}


class UiTools:
    """Call the UI tools of one session, and parse their answers. All methods raise."""

    __slots__ = ("_api", "session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self.session_id = session_id

    async def call(self, tool: str, args: Mapping[str, Any]) -> McpToolResult:
        """Call a tool."""
        return await call_tool(self._api, self.session_id, tool, args)

    async def perform(self, tool: str, **args: Any) -> BoolResult:
        """Call a tool that only acts, and drop its answer."""
        return BoolResult.ok(True, (await self.call(tool, args)).request_id)

    async def fetch_object(self, tool: str, **args: Any) -> tuple[dict[str, Any], str]:
        """Return the JSON object in the answer of a tool, and the id of the request."""
        answer = await self.call(tool, args)
        return read_json_object(answer, tool), answer.request_id

    async def fetch_objects(self, tool: str, **args: Any) -> tuple[list[dict[str, Any]], str]:
        """Return the list of JSON objects in the answer of a tool, and the id of the request."""
        answer = await self.call(tool, args)
        return read_json_objects(answer, tool), answer.request_id

    async def take_screenshot(self, tool: str, **args: Any) -> OperationResult[Screenshot]:
        """Return the picture in the answer of a tool; it must have the requested format."""
        answer = await self.call(tool, args)
        picture = _parse_picture(answer)
        magic, mime_type = _PICTURE_FORMATS[args["format"]]
        if picture is None or not picture.data.startswith(magic):
            raise BadAnswerError(
                f"{tool}: the answer has no {mime_type}", request_id=answer.request_id
            )
        return OperationResult.ok(picture, answer.request_id)

    async def list_apps(
        self, start_menu: bool, desktop: bool, ignore_system_apps: bool
    ) -> OperationResult[list[InstalledApp]]:
        """Return the installed apps."""
        entries, request_id = await self.fetch_objects(
            "get_installed_apps",
            start_menu=_check.boolean(start_menu, "start_menu"),
            desktop=_check.boolean(desktop, "desktop"),
            ignore_system_app=_check.boolean(ignore_system_apps, "ignore_system_apps"),
        )
        apps = [InstalledApp(**_texts(entry, *_APP_FIELDS)) for entry in entries]
        return OperationResult.ok(apps, request_id)

    async def list_processes(self, tool: str, **args: Any) -> OperationResult[list[AppProcess]]:
        """Return the processes in the answer of a tool."""
        entries, request_id = await self.fetch_objects(tool, **args)
        processes = [
            AppProcess(pid=to_int(entry.get("pid")), **_texts(entry, "pname", "cmdline"))
            for entry in entries
        ]
        return OperationResult.ok(processes, request_id)

    async def start_app(
        self, start_cmd: str, work_directory: str, activity: str
    ) -> OperationResult[list[AppProcess]]:
        """Start an app; optional arguments that are empty are not sent."""
        options = {
            "work_directory": _check.string(work_directory, "work_directory"),
            "activity": _check.string(activity, "activity"),
        }
        given = {name: value for name, value in options.items() if value}
        command = _check.text(start_cmd, "start_cmd")
        return await self.list_processes("start_app", start_cmd=command, **given)


_APP_FIELDS = ("name", "start_cmd", "stop_cmd", "work_directory")


def parse_window(entry: Mapping[str, Any]) -> Window:
    """Read a window and its child windows."""
    children = entry.get("child_windows")
    return Window(
        window_id=to_int(entry.get("window_id")),
        absolute_upper_left_x=to_int(entry.get("absolute_upper_left_x")),
        absolute_upper_left_y=to_int(entry.get("absolute_upper_left_y")),
        width=to_int(entry.get("width")),
        height=to_int(entry.get("height")),
        pid=to_int(entry.get("pid")),
        child_windows=tuple(
            parse_window(child) for child in children or () if isinstance(child, Mapping)
        ),
        **_texts(entry, "window_title", "pname"),
    )


def to_int(value: object) -> int:
    """Return a value as an int; 0 if it is not a number."""
    if isinstance(value, (int, float, str)):
        try:
            return int(float(value))
        except (ValueError, OverflowError):
            pass
    return 0


def _texts(entry: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: str(entry.get(name) or "") for name in names}


def _parse_picture(answer: McpToolResult) -> Screenshot | None:
    """Read a picture from an item of the answer, or from JSON in its text."""
    for item in answer.content:
        if item.data:
            return _decode_picture(item.data, item.mime_type, {})
    try:
        document = json.loads(answer.data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("data"), str):
        return None
    return _decode_picture(document["data"], str(document.get("mime_type") or ""), document)


def _decode_picture(text: str, mime_type: str, fields: Mapping[str, Any]) -> Screenshot | None:
    try:
        data = decode_base64(text)
    except ValueError:
        return None
    sizes = [to_int(fields.get(name)) or None for name in ("width", "height")]
    return Screenshot(data, mime_type, *sizes)


def check_choice(value: object, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidArgumentError(f"{name} must be one of {allowed}, not {value!r}")
    # Not `value`: it may be a member of an enumeration of texts.
    return allowed[allowed.index(value)]


def check_picture_format(value: object) -> str:
    """Return the tools' name of a picture format; ``"jpg"`` is ``"jpeg"``."""
    return check_choice("jpeg" if value == "jpg" else value, "format", tuple(_PICTURE_FORMATS))
