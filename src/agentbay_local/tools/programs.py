"""Which tool is done by which function: every one of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.tools import content, filesystem, shell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.tools.arguments import Arguments

__all__ = ["PROGRAMS"]

PROGRAMS: dict[str, Callable[[Sandbox, Arguments], Awaitable[str]]] = {
    "shell": shell.shell,
    "create_directory": filesystem.create_directory,
    "delete_file": filesystem.delete_file,
    "move_file": filesystem.move_file,
    "get_file_info": filesystem.get_file_info,
    "list_directory": filesystem.list_directory,
    "search_files": filesystem.search_files,
    "edit_file": content.edit_file,
    "read_file": content.read_file,
    "read_multiple_files": content.read_multiple_files,
    "write_file": content.write_file,
}
