"""Calls of the tools for screens, and what they answer; used by computer and mobile."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, BadAnswerError, InvalidArgumentError
from agentbay_async.models.results import OperationResult
from agentbay_async.models.tools import BoolResult
from agentbay_async.models.ui import AppProcess, InstalledApp, Screenshot, Window
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.models.tools import McpToolResult

_PICTURES = {"png": (b"\x89PNG\r\n\x1a\n", "image/png"), "jpeg": (b"\xff\xd8\xff", "image/jpeg")}


class Screen:
    """The tools of one session, as the services for screens call them."""

    __slots__ = ("_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    async def call(self, tool: str, args: Mapping[str, Any]) -> McpToolResult:
        """Call a tool."""
        return await call_tool(self._api, self._session_id, tool, args)

    async def do(self, tool: str, **args: Any) -> BoolResult:
        """Call a tool for what it does."""
        return BoolResult.ok(True, (await self.call(tool, args)).request_id)

    async def record(self, tool: str, **args: Any) -> tuple[dict[str, Any], str]:
        """Return the JSON object that a tool answers with, and the id of the request."""
        value, request_id = await self.json(tool, **args)
        if not isinstance(value, dict):
            raise BadAnswerError(f"{tool}: the answer is no JSON object", request_id=request_id)
        return value, request_id

    async def records(self, tool: str, **args: Any) -> tuple[list[dict[str, Any]], str]:
        """Return the JSON objects that a tool answers with, and the id of the request."""
        value, request_id = await self.json(tool, **args)
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise BadAnswerError(f"{tool}: the answer is no list of objects", request_id=request_id)
        return value, request_id

    async def json(self, tool: str, **args: Any) -> tuple[Any, str]:
        """Return the JSON that a tool answers with, and the id of the request."""
        answer = await self.call(tool, args)
        try:
            return json.loads(answer.data), answer.request_id
        except (ValueError, RecursionError):
            raise BadAnswerError(
                f"{tool}: the answer is not JSON", request_id=answer.request_id
            ) from None

    async def picture(self, tool: str, **args: Any) -> OperationResult[Screenshot]:
        """Return the picture that a tool answers with."""
        answer = await self.call(tool, args)
        found = _picture(answer)
        wanted, mime_type = _PICTURES[args["format"]]
        if found is None or not found.data.startswith(wanted):
            raise BadAnswerError(f"{tool}: no {mime_type}", request_id=answer.request_id)
        return OperationResult.ok(found, answer.request_id)

    async def apps(self, *flags: tuple[str, object]) -> OperationResult[list[InstalledApp]]:
        """Return the apps that are installed."""
        args = {name: _check.boolean(flag, name) for name, flag in flags}
        args["ignore_system_app"] = args.pop("ignore_system_apps")
        found, request_id = await self.records("get_installed_apps", **args)
        apps = [InstalledApp(**_texts(entry, *_APP)) for entry in found]
        return OperationResult.ok(apps, request_id)

    async def processes(self, tool: str, **args: Any) -> OperationResult[list[AppProcess]]:
        """Return the processes that a tool tells of."""
        found, request_id = await self.records(tool, **args)
        processes = [
            AppProcess(pid=number(entry.get("pid")), **_texts(entry, "pname", "cmdline"))
            for entry in found
        ]
        return OperationResult.ok(processes, request_id)


_APP = ("name", "start_cmd", "stop_cmd", "work_directory")


def window(entry: Mapping[str, Any]) -> Window:
    """Read a window and those inside it."""
    inner = entry.get("child_windows")
    return Window(
        window_id=number(entry.get("window_id")),
        absolute_upper_left_x=number(entry.get("absolute_upper_left_x")),
        absolute_upper_left_y=number(entry.get("absolute_upper_left_y")),
        width=number(entry.get("width")),
        height=number(entry.get("height")),
        pid=number(entry.get("pid")),
        child_windows=tuple(window(child) for child in inner or () if isinstance(child, Mapping)),
        **_texts(entry, "window_title", "pname"),
    )


def number(value: object) -> int:
    """Return a whole number; what is none is 0."""
    if isinstance(value, (int, float, str)):
        try:
            return int(float(value))
        except (ValueError, OverflowError):
            pass
    return 0


def _texts(entry: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: str(entry.get(name) or "") for name in names}


def _picture(answer: McpToolResult) -> Screenshot | None:
    """Read a picture: an item of the answer, or JSON in its text."""
    for item in answer.content:
        if item.data:
            return _decoded(item.data, item.mime_type, {})
    try:
        document = json.loads(answer.data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("data"), str):
        return None
    return _decoded(document["data"], str(document.get("mime_type") or ""), document)


def _decoded(text: str, mime_type: str, facts: Mapping[str, Any]) -> Screenshot | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    sizes = [number(facts.get(name)) or None for name in ("width", "height")]
    return Screenshot(data, mime_type, *sizes)


def start_args(start_cmd: str, work_directory: str, activity: str) -> dict[str, str]:
    """Return the arguments that start an app; what is empty is not sent."""
    more = {
        "work_directory": _check.string(work_directory, "work_directory"),
        "activity": _check.string(activity, "activity"),
    }
    given = {name: value for name, value in more.items() if value}
    return {"start_cmd": _check.text(start_cmd, "start_cmd"), **given}


def whole(value: object, name: str) -> int:
    """Return `value` if it is an integer (``True`` is not)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"{name} must be an int, not {type(value).__name__}")
    return value


def one_of(value: object, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of the words allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidArgumentError(f"{name} must be one of {allowed}, not {value!r}")
    return value


def picture_format(value: object) -> str:
    """Return the format of a picture as tools name it; ``"jpg"`` is ``"jpeg"``."""
    return one_of("jpeg" if value == "jpg" else value, "format", tuple(_PICTURES))
