"""Which tool is done by which function: every one of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.tools import changes, content, env, filesystem, metrics, shell, storage
from agentbay_local.tools.code import run_code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.tools.tool_context import ToolContext

    Program = Callable[[ToolContext, Arguments], Awaitable[str]]

__all__ = ["HANDLERS"]


def _inside(work: Callable[[Sandbox, Arguments], Awaitable[str]]) -> Program:
    """Return the program of a tool that needs nothing but the sandbox."""

    async def program(place: ToolContext, arguments: Arguments) -> str:
        return await work(place.sandbox, arguments)

    return program


HANDLERS: dict[str, Program] = {
    "shell": shell.shell,
    "create_directory": _inside(filesystem.create_directory),
    "delete_file": _inside(filesystem.delete_file),
    "move_file": _inside(filesystem.move_file),
    "get_file_info": _inside(filesystem.get_file_info),
    "list_directory": _inside(filesystem.list_directory),
    "search_files": _inside(filesystem.search_files),
    "edit_file": _inside(content.edit_file),
    "read_file": _inside(content.read_file),
    "read_multiple_files": _inside(content.read_multiple_files),
    "write_file": _inside(content.write_file),
    "get_file_change": changes.get_file_change,
    "run_code": run_code,
    "set_env": env.set_env,
    "get_env": env.get_env,
    "get_metrics": metrics.get_metrics,
    "oss_upload_annon": storage.oss_upload_annon,
    "oss_download_annon": storage.oss_download_annon,
}
