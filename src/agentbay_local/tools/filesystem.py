"""File tools that work on names: list, describe, search, move and delete."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from agentbay_local.clock import iso
from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.tools.file_errors import translate_file_errors

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.sandbox.base import Entry
    from agentbay_local.tools.tool_context import ToolContext

__all__ = [
    "create_directory",
    "delete_file",
    "get_file_info",
    "list_directory",
    "move_file",
    "search_files",
]


async def create_directory(context: ToolContext, arguments: Arguments) -> str:
    """Create a directory and its parents."""
    with translate_file_errors("create directory"):
        await context.sandbox.make_directory(arguments.path("path"))
    return "True"


async def delete_file(context: ToolContext, arguments: Arguments) -> str:
    """Delete a file or a link, but not a directory."""
    path = arguments.path("path")
    with translate_file_errors("delete file"):
        entry = await context.sandbox.stat(path)
        if entry.is_dir and not entry.is_symlink:
            raise SandboxOSError(errno.EISDIR, path)
        await context.sandbox.remove(path)
    return "True"


async def move_file(context: ToolContext, arguments: Arguments) -> str:
    """Move a file or directory."""
    source, destination = arguments.path("source"), arguments.path("destination")
    with translate_file_errors("move file"):
        await context.sandbox.move(source, destination)
    return "True"


async def get_file_info(context: ToolContext, arguments: Arguments) -> str:
    """Describe a path, one ``key: value`` on each line."""
    with translate_file_errors("get file status"):
        entry = await context.sandbox.stat(arguments.path("path"))
    fields = {
        "name": _escape_line_breaks(entry.name),
        "path": _escape_line_breaks(entry.path),
        "size": entry.size,
        # Not every Linux file system has a birth time; the inode change time is the nearest.
        "created": iso(entry.changed),
        "modified": iso(entry.modified),
        "accessed": iso(entry.accessed),
        "isDirectory": _format_bool(entry.is_dir),
        "isFile": _format_bool(entry.is_file),
        "isSymbolicLink": _format_bool(entry.is_symlink),
        "permissions": f"{stat.S_IMODE(entry.mode):o}",
        "owner": entry.owner,
        "group": entry.group,
    }
    return "\n".join(f"{key}: {value}" for key, value in fields.items())


async def list_directory(context: ToolContext, arguments: Arguments) -> str:
    """List a directory, one entry on each line, such as ``[DIR] name``."""
    with translate_file_errors("list directory"):
        entries = await context.sandbox.list(arguments.path("path"))
    return "\n".join(_format_entry(entry) for entry in entries)


async def search_files(context: ToolContext, arguments: Arguments) -> str:
    """Search names below a directory."""
    excludes = _read_excludes(arguments)
    path = arguments.path("path")
    # The vendor's tests expect an answer to an empty pattern, beside names to leave out.
    pattern = arguments.path("pattern") if arguments.text("pattern") else "*"
    with translate_file_errors("search files"):
        found = await context.sandbox.search(path, pattern, excludes)
    return "\n".join(_escape_line_breaks(path) for path in found) or "No matches found"


def _read_excludes(arguments: Arguments) -> list[str]:
    """Return the names to leave out. Clients differ in how they send them: a list, or one text."""
    excludes: list[str] = []
    for name in ("excludePatterns", "exclude_patterns"):
        if isinstance(arguments.values.get(name), list):
            excludes += arguments.texts(name)
        else:
            excludes += arguments.text(name, "").split(",")
    return [stripped for part in excludes if (stripped := part.strip())]


def _format_entry(entry: Entry) -> str:
    return f"[{'DIR' if entry.is_dir else 'FILE'}] {_escape_line_breaks(entry.name)}"


def _escape_line_breaks(name: str) -> str:
    """Keep a name on one line, because each line is an entry."""
    return name.replace("\n", "\\n")


def _format_bool(value: bool) -> str:
    return "true" if value else "false"
