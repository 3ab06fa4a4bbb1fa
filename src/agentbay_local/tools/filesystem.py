"""File tools that look at names and not into files: list, describe, find, move, delete."""

from __future__ import annotations

import errno
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentbay_local.clock import iso
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.errors import SandboxOSError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local.sandbox.base import Entry, Sandbox

__all__ = [
    "create_directory",
    "delete_file",
    "get_file_info",
    "list_directory",
    "move_file",
    "search_files",
    "translate_file_errors",
]


@contextmanager
def translate_file_errors(doing: str) -> Iterator[None]:
    """Turn what the session's system refuses into the service's text for it.

    Example:
        >>> with refused("read file"):
        ...     pass
    """
    try:
        yield
    except SandboxOSError as problem:
        raise ToolError(
            f"Execution failed. Error code:-32602 Error message: "
            f"Failed to {doing}: {problem.path}, error: {problem.strerror}"
        ) from problem


async def create_directory(sandbox: Sandbox, arguments: Arguments) -> str:
    """Create a directory and its parents."""
    with translate_file_errors("create directory"):
        await sandbox.make_directory(arguments.path("path"))
    return "True"


async def delete_file(sandbox: Sandbox, arguments: Arguments) -> str:
    """Delete a file or a link; directories are not files."""
    path = arguments.path("path")
    with translate_file_errors("delete file"):
        entry = await sandbox.stat(path)
        if entry.is_dir and not entry.is_symlink:
            raise SandboxOSError(errno.EISDIR, path)
        await sandbox.remove(path)
    return "True"


async def move_file(sandbox: Sandbox, arguments: Arguments) -> str:
    """Move a file or directory."""
    source, destination = arguments.path("source"), arguments.path("destination")
    with translate_file_errors("move file"):
        await sandbox.move(source, destination)
    return "True"


async def get_file_info(sandbox: Sandbox, arguments: Arguments) -> str:
    """Describe a path, one ``key: value`` on each line."""
    with translate_file_errors("get file status"):
        entry = await sandbox.stat(arguments.path("path"))
    facts = {
        "name": _one_line(entry.name),
        "path": _one_line(entry.path),
        "size": entry.size,
        # Linux keeps no time of birth that every file system tells; the inode's change is nearest.
        "created": iso(entry.changed),
        "modified": iso(entry.modified),
        "accessed": iso(entry.accessed),
        "isDirectory": _word(entry.is_dir),
        "isFile": _word(entry.is_file),
        "isSymbolicLink": _word(entry.is_symlink),
        "permissions": f"{stat.S_IMODE(entry.mode):o}",
        "owner": entry.owner,
        "group": entry.group,
    }
    return "\n".join(f"{key}: {value}" for key, value in facts.items())


async def list_directory(sandbox: Sandbox, arguments: Arguments) -> str:
    """List a directory, one marked name on each line."""
    with translate_file_errors("list directory"):
        entries = await sandbox.list(arguments.path("path"))
    return "\n".join(_marked(entry) for entry in entries)


async def search_files(sandbox: Sandbox, arguments: Arguments) -> str:
    """Find names below a directory."""
    excludes = (arguments.optional_text("excludePatterns") or "").split(",")
    path, pattern = arguments.path("path"), arguments.path("pattern")
    with translate_file_errors("search files"):
        found = await sandbox.search(
            path, pattern, [part.strip() for part in excludes if part.strip()]
        )
    return "\n".join(_one_line(path) for path in found) or "No matches found"


def _marked(entry: Entry) -> str:
    return f"[{'DIR' if entry.is_dir else 'FILE'}] {_one_line(entry.name)}"


def _one_line(name: str) -> str:
    """Keep a name with a line break from looking like two."""
    return name.replace("\n", "\\n")


def _word(value: bool) -> str:
    return "true" if value else "false"
