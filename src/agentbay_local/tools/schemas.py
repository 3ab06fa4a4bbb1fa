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
}

TOOLS: Mapping[str, Tool] = {
    str(tool.name): tool for tools in _BY_FEATURE.values() for tool in tools
}
"""Every tool, by its name."""

FEATURES: Mapping[str, Feature] = {
    str(tool.name): feature for feature, tools in _BY_FEATURE.items() for tool in tools
}
"""The feature of images that each tool belongs to."""
