"""What calls that run inside a session answer: commands, files, tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from agentbay_async.results import Result

if TYPE_CHECKING:
    from agentbay_async.tool_records import (
        CommandOutput,
        DirectoryEntry,
        FileInfo,
        McpTool,
        ToolContent,
    )

T = TypeVar("T")


class CommandResult(Result["CommandOutput"]):
    """How a command ended.

    A command that ran and ended with an exit code other than 0 is a failed result whose output can
    be read all the same. Where no command ran, reading the output raises the error.
    """

    __slots__ = ()

    @property
    def _outcome(self) -> CommandOutput:
        return self.unwrap() if self._value is None else self._value

    @property
    def stdout(self) -> str:
        """What it wrote to its standard output."""
        return self._outcome.stdout

    @property
    def stderr(self) -> str:
        """What it wrote to its standard error."""
        return self._outcome.stderr

    @property
    def output(self) -> str:
        """Both, standard output first."""
        return self.stdout + self.stderr

    @property
    def exit_code(self) -> int:
        """What it returned; 0 means success."""
        return self._outcome.exit_code

    @property
    def trace_id(self) -> str:
        """The id under which the session logged the command, or ``""``."""
        return self._outcome.trace_id


class BoolResult(Result[bool]):
    """What an operation on files answers that has nothing else to say."""

    __slots__ = ()

    @property
    def data(self) -> bool:
        """``True``; raises the error of a failed result."""
        return self.unwrap()


class FileContentResult(Result[T], Generic[T]):
    """The content of a file, as text or bytes."""

    __slots__ = ()

    @property
    def content(self) -> T:
        """The content; raises the error of a failed result."""
        return self.unwrap()


class FileInfoResult(Result["FileInfo"]):
    """What is known of one file."""

    __slots__ = ()

    @property
    def file_info(self) -> FileInfo:
        """The facts; raises the error of a failed result."""
        return self.unwrap()


class DirectoryListResult(Result["list[DirectoryEntry]"]):
    """The names in a directory."""

    __slots__ = ()

    @property
    def entries(self) -> list[DirectoryEntry]:
        """The entries; raises the error of a failed result."""
        return self.unwrap()


class McpToolsResult(Result["list[McpTool]"]):
    """The tools that an image offers."""

    __slots__ = ()

    @property
    def tools(self) -> list[McpTool]:
        """The tools; raises the error of a failed result."""
        return self.unwrap()


class McpToolResult(Result["list[ToolContent]"]):
    """What a tool answered, all of it."""

    __slots__ = ()

    @property
    def content(self) -> list[ToolContent]:
        """Every piece of the answer; raises the error of a failed result."""
        return self.unwrap()

    @property
    def data(self) -> str:
        """The texts of the answer, joined by line breaks."""
        return "\n".join(item.text for item in self.content if item.type == "text")
