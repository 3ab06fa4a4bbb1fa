"""Schemas of all tools: name, description, JSON Schema of the arguments, and server.

Each tool belongs to a feature of images; a session has the tools of the features of its image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agentbay_async._protocol.schema import Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMMANDS", "FEATURES", "TAKE_BYTES", "TOOLS", "Feature"]

Feature = Literal["shell", "code", "browser", "desktop"]
"""What an image offers beside files: commands, code, a browser, a desktop."""

COMMANDS = frozenset({"shell", "run_code"})
"""The tools that run programs. A call ends when its client hangs up or its session pauses."""

TAKE_BYTES = frozenset({"read_file", "write_file"})
"""The tools whose direct calls may carry bytes. Only our own client reads the mark for that."""

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_TEXT_MAP = {"type": "object", "additionalProperties": _TEXT}
_PAGE = {"context_id": _NUMBER, "page_id": _TEXT}
_TEXTS = {"type": "array", "items": _TEXT}
_EDITS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"oldText": _TEXT, "newText": _TEXT},
        "required": ["oldText", "newText"],
    },
}
_ENV_ITEM = {
    "type": "object",
    "properties": {"key": _TEXT, "value": _TEXT},
    "required": ["key", "value"],
}


def _tool(server: str, name: str, description: str, *required: str, **arguments: Any) -> Tool:
    return Tool(
        name=name,
        description=description,
        input_schema={"type": "object", "properties": arguments, "required": list(required)},
        server=server,
        tool=name,
    )


def _file_tool(name: str, description: str, *required: str, **arguments: Any) -> Tool:
    return _tool("wuying_filesystem", name, description, *required, **arguments)


def _system_tool(name: str, description: str, *required: str, **arguments: Any) -> Tool:
    return _tool("wuying_system", name, description, *required, **arguments)


def _storage_tool(name: str, description: str) -> Tool:
    return _tool("wuying_oss", name, description, "url", "path", url=_TEXT, path=_TEXT)


def _page_tool(name: str, description: str, *required: str, **arguments: Any) -> Tool:
    return _tool("wuying_browseruse", f"page_use_{name}", description, *required, **arguments)


def _with_task(name: str, description: str, instruction: str, **more: Any) -> tuple[Tool, ...]:
    """Return a tool, the one that starts it as a task, and the one for the result of the task."""
    arguments = {
        instruction: _TEXT,
        "selector": _TEXT,
        "use_vision": _FLAG,
        "timeout": _NUMBER,
        "trace_id": _TEXT,
        **_PAGE,
        **more,
    }
    return (
        _page_tool(name, description, instruction, **arguments),
        _page_tool(
            f"{name}_async",
            f"{description} Answer with the id of a task.",
            instruction,
            **arguments,
        ),
        _page_tool(
            f"get_{name}_result", "Get the result of such a task.", "task_id", task_id=_TEXT
        ),
    )


def _ui_tool(name: str, description: str, *required: str, **arguments: Any) -> Tool:
    return _tool("wuying_ui", name, description, *required, **arguments)


def _app_tool(name: str, description: str, *required: str, **arguments: Any) -> Tool:
    return _tool("wuying_app", name, description, *required, **arguments)


def _window_tool(name: str, description: str) -> Tool:
    return _ui_tool(name, description, "window_id", window_id=_NUMBER)


_POINT = {"x": _NUMBER, "y": _NUMBER}
_BUTTONS = ["left", "right", "middle"]

_DESKTOP = (
    _ui_tool(
        "click_mouse",
        "Click a mouse button at a point; double_left clicks twice.",
        *_POINT,
        **_POINT,
        button={**_TEXT, "enum": [*_BUTTONS, "double_left"], "default": "left"},
    ),
    _ui_tool("move_mouse", "Move the mouse to a point.", *_POINT, **_POINT),
    _ui_tool(
        "drag_mouse",
        "Move the mouse from a point to another with a button held down.",
        "from_x",
        "from_y",
        "to_x",
        "to_y",
        from_x=_NUMBER,
        from_y=_NUMBER,
        to_x=_NUMBER,
        to_y=_NUMBER,
        button={**_TEXT, "enum": _BUTTONS, "default": "left"},
    ),
    _ui_tool(
        "scroll",
        "Turn the mouse wheel at a point by some notches.",
        *_POINT,
        **_POINT,
        direction={**_TEXT, "enum": ["up", "down", "left", "right"], "default": "up"},
        amount={"type": "integer", "minimum": 1, "default": 1},
    ),
    _ui_tool("get_cursor_position", "Return the position of the mouse."),
    _ui_tool("input_text", "Type a text, with any Unicode characters.", "text", text=_TEXT),
    _ui_tool(
        "press_keys",
        "Press keys together, such as Ctrl and c; hold keeps them down.",
        "keys",
        keys=_TEXTS,
        hold=_FLAG,
    ),
    _ui_tool("release_keys", "Release keys that are held down.", "keys", keys=_TEXTS),
    _ui_tool("get_screen_size", "Return the size of the screen in pixels, and its density."),
    _ui_tool(
        "list_root_windows",
        "List the windows, the uppermost first.",
        timeout_ms={"type": "integer", "minimum": 1, "default": 3000},
    ),
    _ui_tool("get_active_window", "Return the window that has the focus."),
    _window_tool("activate_window", "Give a window the focus."),
    _window_tool("close_window", "Ask a window to close."),
    _window_tool("maximize_window", "Maximize a window."),
    _window_tool("minimize_window", "Minimize a window."),
    _window_tool("restore_window", "Show a minimized window, or give one its normal size."),
    _window_tool("fullscreen_window", "Let a window fill the screen."),
    _ui_tool(
        "resize_window",
        "Give a window another size in pixels.",
        "window_id",
        "width",
        "height",
        window_id=_NUMBER,
        width=_NUMBER,
        height=_NUMBER,
    ),
    _ui_tool("focus_mode", "Keep new windows from taking the focus, or let them.", "on", on=_FLAG),
    _app_tool(
        "get_installed_apps",
        "List the apps of the start menu, of the desktop, or of both.",
        start_menu={**_FLAG, "default": True},
        desktop=_FLAG,
        ignore_system_app={**_FLAG, "default": True},
    ),
    _app_tool(
        "start_app",
        "Start an app by its command, which is quoted as for a shell.",
        "start_cmd",
        start_cmd=_TEXT,
        work_directory=_TEXT,
        activity=_TEXT,
    ),
    _app_tool("list_visible_apps", "List the processes that have windows."),
    _app_tool("stop_app_by_pname", "Stop the processes with a name.", "pname", pname=_TEXT),
    _app_tool("stop_app_by_pid", "Stop a process.", "pid", pid=_NUMBER),
    _app_tool("stop_app_by_cmd", "Run the command that stops an app.", "stop_cmd", stop_cmd=_TEXT),
    _tool(
        "wuying_capture",
        "screenshot",
        "Return a picture of the screen in base64.",
        format={**_TEXT, "enum": ["png", "jpeg", "jpg"], "default": "png"},
    ),
    _tool("mcp-server", "system_screenshot", "Store a picture of the screen, and return its URL."),
)

_BY_FEATURE: Mapping[Feature, tuple[Tool, ...]] = {
    "shell": (
        _tool(
            "wuying_shell",
            "shell",
            "Run a command line of sh; answer with its output and exit code.",
            "command",
            command=_TEXT,
            timeout_ms={**_NUMBER, "default": 50_000},
            cwd=_TEXT,
            envs=_TEXT_MAP,
        ),
        _file_tool("create_directory", "Create a directory and its parents.", "path", path=_TEXT),
        _file_tool("delete_file", "Delete a file.", "path", path=_TEXT),
        _file_tool(
            "move_file",
            "Move or rename a file or directory.",
            "source",
            "destination",
            source=_TEXT,
            destination=_TEXT,
        ),
        _file_tool(
            "edit_file",
            "Replace the first occurrence of each text; answer with the difference.",
            "path",
            "edits",
            path=_TEXT,
            edits=_EDITS,
            dryRun=_FLAG,
        ),
        _file_tool("get_file_info", "Describe a file or directory.", "path", path=_TEXT),
        _file_tool("list_directory", "List a directory.", "path", path=_TEXT),
        _file_tool(
            "search_files",
            "Find files by name below a directory; * and ? are wildcards; nothing finds all.",
            "path",
            "pattern",
            path=_TEXT,
            pattern=_TEXT,
            excludePatterns={
                "anyOf": [_TEXT, _TEXTS],
                "description": "names to leave out, as a list or separated by commas",
            },
        ),
        _file_tool(
            "read_file",
            "Read a file, or length bytes from offset; length 0 is the rest.",
            "path",
            path=_TEXT,
            offset=_NUMBER,
            length=_NUMBER,
            format={"type": "string", "enum": ["text", "binary"]},
        ),
        _file_tool("read_multiple_files", "Read several files.", "paths", paths=_TEXTS),
        _file_tool(
            "write_file",
            "Write text to a file, creating its parents.",
            "path",
            "content",
            path=_TEXT,
            content=_TEXT,
            mode={"type": "string", "enum": ["overwrite", "append"]},
            format={"type": "string", "enum": ["text", "binary"]},
        ),
        _file_tool(
            "get_file_change",
            "List the changes below a path since the last call; the first call lists none.",
            "path",
            path=_TEXT,
        ),
        _system_tool(
            "set_env",
            "Set variables for commands, code and terminals that start from now on.",
            "envs",
            envs={"type": "array", "items": _ENV_ITEM, "minItems": 1},
        ),
        _system_tool("get_env", "Read variables that were set.", keys=_TEXTS),
        _system_tool(
            "get_metrics", "Measure processor, memory, disk and network use of the session."
        ),
        _storage_tool("oss_upload_annon", "Upload a file of the session to a URL with PUT."),
        _storage_tool("oss_download_annon", "Download from a URL to a file of the session."),
    ),
    "code": (
        _tool(
            "wuying_codespace",
            "run_code",
            "Run code in the session's kernel of that language, which keeps variables and imports.",
            "code",
            "language",
            code=_TEXT,
            language={**_TEXT, "description": "python or javascript"},
            timeout_s={**_NUMBER, "default": 60},
        ),
    ),
    "browser": (
        _page_tool("navigate", "Open a URL in the visible page.", "url", url=_TEXT),
        _page_tool(
            "screenshot",
            "Take a picture of a page; answer with a PNG as a data URL.",
            **_PAGE,
            full_page={**_FLAG, "default": True},
            quality=_NUMBER,
            clip={
                "type": "object",
                "properties": dict.fromkeys(("x", "y", "width", "height"), _NUMBER),
            },
            timeout=_NUMBER,
        ),
        *_with_task("act", "Do something on a page, in words.", "action", variables=_TEXT_MAP),
        *_with_task("observe", "Find elements of a page, in words.", "instruction"),
        *_with_task(
            "extract",
            "Read a page into a value that fits a JSON schema.",
            "instruction",
            field_schema=_TEXT,
            use_text_extract=_FLAG,
            max_page=_NUMBER,
        ),
        _page_tool(
            "login",
            "Log in to a page.",
            "login_config",
            login_config=_TEXT,
            use_vision=_FLAG,
            **_PAGE,
        ),
        _page_tool("close_session", "Forget the tasks of these tools; the browser stays."),
        _tool("wuying_cdp_mcp_server", "stopChrome", "Stop the browser."),
    ),
    "desktop": _DESKTOP,
}

TOOLS: Mapping[str, Tool] = {
    str(tool.name): tool for tools in _BY_FEATURE.values() for tool in tools
}
"""Every tool, by its name."""

FEATURES: Mapping[str, Feature] = {
    str(tool.name): feature for feature, tools in _BY_FEATURE.items() for tool in tools
}
"""The feature of images that each tool belongs to."""
