"""Where files are: listed, searched, described, moved, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import CommandError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.files import DirectoryListResult, FileInfoResult, FileSearchResult
from agentbay_async.models.tools import BoolResult
from agentbay_async.services._files import parsing
from agentbay_async.services._files.base import FileBase
from agentbay_async.services._files.chunking import below

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the script that lists a directory ends with when it cannot enter it.
_NO_DIRECTORY = 101
_DELETE = """\
{ [ -d "$D" ] && [ ! -L "$D" ]; } || { printf '%s: Not a directory\\n' "$D" >&2; exit 20; }
"""


class Places(FileBase):
    """Lists, finds, moves and deletes files and directories."""

    __slots__ = ()

    @returns_result(DirectoryListResult)
    async def list_directory(self, path: str) -> DirectoryListResult:
        """List the names in a directory, not those below it, in the order of their names.

        Names are told exactly, line breaks included, where the session has GNU ``find``; elsewhere
        as the image's own tool writes them.
        """
        path = _check.text(path, "path")
        listed = await self._files.command(parsing.LIST, {"D": below(path)})
        if isinstance(listed.error, CommandError) and listed.error.exit_code == _NO_DIRECTORY:
            raise self._files.error(listed.error.message, path, listed.request_id)
        entries = parsing.found_entries(listed.stdout) if listed.success else None
        if entries is not None:
            return DirectoryListResult.ok(entries, listed.request_id)
        if not isinstance(listed.error, CommandError | None):
            raise listed.error
        answer = await self._files.call("list_directory", path, {"path": path})
        return DirectoryListResult.ok(parsing.marked_entries(answer.data), answer.request_id)

    @returns_result(FileInfoResult)
    async def get_file_info(self, path: str) -> FileInfoResult:
        """Ask for size, kind, times and permissions of a file or directory."""
        path = _check.text(path, "path")
        answer = await self._files.call("get_file_info", path, {"path": path})
        return FileInfoResult.ok(parsing.file_info(path, answer.data), answer.request_id)

    @returns_result(FileSearchResult)
    async def search_files(
        self, path: str, pattern: str, exclude_patterns: Sequence[str] | None = None
    ) -> FileSearchResult:
        """Find files by name in a directory and all those below it.

        The tool answers one path on a line, so a name with a line break comes as two.

        Args:
            path: The directory.
            pattern: What the name must match, with ``*`` and ``?``, such as ``"*.py"``.
            exclude_patterns: Names to leave out.

        Raises:
            InvalidArgumentError: An exclude pattern has a comma, which the tool would cut it at.
        """
        path = _check.text(path, "path")
        args = {"path": path, "pattern": _check.text(pattern, "pattern")}
        excludes = [] if exclude_patterns is None else _excludes(exclude_patterns)
        if excludes:
            args["excludePatterns"] = ",".join(excludes)
        answer = await self._files.call("search_files", path, args)
        return FileSearchResult.ok(parsing.matches(answer.data), answer.request_id)

    @returns_result(BoolResult)
    async def create_directory(self, path: str) -> BoolResult:
        """Make a directory, and those above it. One that is there already is a success."""
        path = _check.text(path, "path")
        answer = await self._files.call("create_directory", path, {"path": path})
        return BoolResult.ok(True, answer.request_id)

    @returns_result(BoolResult)
    async def delete_file(self, path: str) -> BoolResult:
        """Delete a file."""
        path = _check.text(path, "path")
        answer = await self._files.call("delete_file", path, {"path": path})
        return BoolResult.ok(True, answer.request_id)

    @returns_result(BoolResult)
    async def delete_directory(self, path: str, *, recursive: bool = False) -> BoolResult:
        """Delete a directory. A link to one is not a directory.

        Args:
            path: The directory.
            recursive: Delete all that is in it as well; otherwise it must be empty.

        Raises:
            InvalidArgumentError: `path` is the root.
        """
        path = _check.text(path, "path")
        if not path.strip("/."):
            raise InvalidArgumentError(f"path must name a directory of its own, not {path!r}")
        remove = "rm -rf" if _check.boolean(recursive, "recursive") else "rmdir"
        variables = {"D": below(path.rstrip("/"))}
        done = await self._files.shell(f'{_DELETE}{remove} -- "$D"', path, variables)
        return BoolResult.ok(True, done.request_id)

    @returns_result(BoolResult)
    async def move_file(self, source: str, destination: str) -> BoolResult:
        """Move or rename a file or directory."""
        args = {
            "source": _check.text(source, "source"),
            "destination": _check.text(destination, "destination"),
        }
        answer = await self._files.call("move_file", source, args)
        return BoolResult.ok(True, answer.request_id)

    list = ls = list_directory
    info = get_file_info
    search = search_files
    mkdir = create_directory
    delete = remove = rm = delete_file
    move = move_file


def _excludes(patterns: Sequence[str]) -> list[str]:
    checked = _check.sequence(patterns, "exclude_patterns", str)
    for pattern in checked:
        if "," in _check.text(pattern, "each of exclude_patterns"):
            raise InvalidArgumentError(
                f"exclude_patterns must not contain commas: {pattern!r}; use '?' instead"
            )
    return checked
