"""What the tools of the stand-in for the cloud answer."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import PurePosixPath
from typing import Any

#: The change of a file in the directory that is watched.
CHANGE = {"eventType": "create", "path": "/tmp/watched/a", "pathType": "file"}

_SERVERS = {
    "wuying_shell": ("shell",),
    "wuying_codespace": ("run_code",),
    "wuying_system": ("get_env", "get_metrics", "set_env"),
    "wuying_filesystem": (
        "create_directory",
        "delete_file",
        "edit_file",
        "get_file_change",
        "get_file_info",
        "list_directory",
        "move_file",
        "read_file",
        "read_multiple_files",
        "search_files",
        "write_file",
    ),
    "wuying_ui": ("click_mouse", "long_screenshot", "screenshot"),
    "wuying_cdp_mcp_server": ("page_use_navigate", "stopChrome"),
    "wuying_mobile_agent": ("execute_task",),
}


def tool_list() -> list[dict[str, str]]:
    """Return the list of tools of a session."""
    return [{"name": tool, "server": server} for server, of in _SERVERS.items() for tool in of]


def answer_of_tool(name: str, args: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a call."""
    return text_answer(_text(name, args))


def text_answer(text: str) -> dict[str, Any]:
    """Return the result of a call that has one text."""
    return {"content": [{"type": "text", "text": text}], "isError": False}


def content_of(path: str) -> bytes:
    """Return the content of a file of the stand-in: its name says how large it is."""
    name = PurePosixPath(path).name
    if "empty" in name:
        return b""
    # Copies that our client makes of a large file have names of their own.
    large = "large" in name or name.startswith("agentbay-")
    return b"0123456789abcdef\n" * (20_000 if large else 1)


def _text(name: str, args: dict[str, Any]) -> str:
    if name == "shell":
        return json.dumps({"stdout": _stdout(args), "stderr": "", "exit_code": 0})
    if name == "read_file":
        content = content_of(args["path"])[args["offset"] :]
        content = content[: args["length"]] if args["length"] else content
        coded = args.get("format") == "binary"
        return (base64.b64encode(content) if coded else content).decode()
    if name == "get_file_info":
        size = len(content_of(args["path"]))
        return f"name: x\nsize: {size}\nisDirectory: false\nisFile: true\npermissions: 644"
    if name in ("screenshot", "long_screenshot"):
        return _picture(args["format"])
    if name.endswith("execute_task"):
        return '{"task_id": "task-1", "status": "running"}'
    if name.endswith("get_task_status"):
        # The agent of phones has another word for the end.
        status = "completed" if name == "get_task_status" else "finished"
        return json.dumps({"task_id": "task-1", "status": status, "product": "p", "result": "r"})
    return _TEXTS.get(name, "True")


def _stdout(args: dict[str, Any]) -> str:
    command, envs = args["command"], args.get("envs", {})
    if "md5sum" in command and "F" in envs and "H" not in envs:
        content = content_of(envs["F"])
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return f"{len(content)}\n{digest}  -\n"
    if "H" in envs:
        return "verified"
    return next((text for part, text in _OUTPUTS.items() if part in command), "")


def _picture(kind: str) -> str:
    start = b"\x89PNG\r\n\x1a\n" if kind == "png" else b"\xff\xd8\xff\xe0"
    data = base64.b64encode(start + bytes(16)).decode()
    return json.dumps({"type": "image", "mime_type": f"image/{kind}", "data": data})


_HASH = "0123456789abcdef0123456789abcdef01234567"
#: What commands print, by a part of the command.
_OUTPUTS = {
    "--version": "git version 2.43.0\n",
    " status ": "## main\n",
    " log ": f"{_HASH}\x01{_HASH[:7]}\x01Me\x01me@e\x012026-01-01T00:00:00+00:00\x01First\x00",
    "get-url": "https://example.com/r.git\n",
    "rev-parse": f"{_HASH}\n",
    " commit ": "[main 0123456] it\n",
    " config --get ": "Me\n",
    "for-each-ref": "main\t*\n",
    " branch --format": "main\t*\n",
    "printf": "",
}
_METRICS = {
    "cpu_count": 4,
    "cpu_used_pct": 1.5,
    "mem_total": 8,
    "mem_used": 4,
    "disk_total": 8,
    "disk_used": 4,
}
_WINDOW = {
    "window_id": 7,
    "window_title": "t",
    "absolute_upper_left_x": 0,
    "absolute_upper_left_y": 0,
    "width": 8,
    "height": 6,
    "pid": 7,
    "pname": "gedit",
    "child_windows": [],
}
_APP = {"name": "gedit", "start_cmd": "gedit", "stop_cmd": "", "work_directory": ""}
_PROCESS = {"pname": "gedit", "pid": 7, "cmdline": "gedit"}
_CODE = {
    "executionError": "",
    "stdout": ["1\n"],
    "stderr": [],
    "result": [],
    "executionTime": 0.1,
    "executionCount": 1,
}
#: The texts of the tools that always answer the same; what is not here answers "True".
_TEXTS = {
    "get_active_window": json.dumps(_WINDOW),
    "get_all_ui_elements": "[]",
    "get_clickable_ui_elements": "[]",
    "get_cursor_position": '{"x": 1, "y": 2}',
    "get_env": '{"STAGE": "test"}',
    "get_file_change": "[]",
    "get_installed_apps": json.dumps([_APP]),
    "get_metrics": json.dumps(_METRICS),
    "get_screen_size": '{"width": 800, "height": 600, "dpiScalingFactor": 1.0}',
    "list_directory": "[DIR] sub\n[FILE] small.txt",
    "list_root_windows": json.dumps([_WINDOW]),
    "list_visible_apps": json.dumps([_PROCESS]),
    "oss_download": "Download success",
    "oss_download_annon": "Download success",
    "oss_env_init": '{"endpoint": "oss.example.com"}',
    "oss_upload": "Upload success",
    "oss_upload_annon": "Upload success",
    "page_use_act_async": '{"task_id": "task-1"}',
    "page_use_extract_async": '{"task_id": "task-1"}',
    "page_use_get_extract_result": '{"title": "t"}',
    "page_use_get_act_result": '{"is_done": true, "success": true, "steps": []}',
    "page_use_get_observe_result": "[]",
    "page_use_observe_async": '{"task_id": "task-1"}',
    "read_multiple_files": "/tmp/small.txt: a\n---\n/tmp/small2.txt: b",
    "run_code": json.dumps(_CODE),
    "search_files": "/tmp/a/small.txt\n/tmp/b.txt",
    "start_app": json.dumps([_PROCESS]),
    "system_screenshot": "https://example.com/picture.png",
    "terminate_task": '{"task_id": "task-1", "status": "cancelled"}',
    "flux_terminate_task": '{"task_id": "task-1", "status": "cancelled"}',
    "browser_use_terminate_task": '{"task_id": "task-1", "status": "cancelled"}',
}
