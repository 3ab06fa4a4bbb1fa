"""What calls that run inside a session answer: commands, files, tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from agentbay_async.results import Result

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError
    from agentbay_async.tool_records import (
        CommandOutput,
        DirectoryEntry,
        FileInfo,
        FileTexts,
        McpTool,
        SessionMetrics,
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


class EditResult(Result[str]):
    """What editing a file answers."""

    __slots__ = ()

    @property
    def data(self) -> bool:
        """``True``; raises the error of a failed result."""
        return self.unwrap() is not None

    @property
    def diff(self) -> str:
        """What changed, or would, as a unified difference; ``""`` when nothing did."""
        return self.unwrap()


class FileSearchResult(Result["list[str]"]):
    """The paths that a search found."""

    __slots__ = ()

    @property
    def matches(self) -> list[str]:
        """The paths; raises the error of a failed result."""
        return self.unwrap()


class MultipleFileContentResult(Result["FileTexts"]):
    """What reading several files answers.

    It is a failed result when a file could not be read; the others can be read all the same.
    """

    __slots__ = ()

    @property
    def _texts(self) -> FileTexts:
        return self.unwrap() if self._value is None else self._value

    @property
    def contents(self) -> dict[str, str]:
        """Paths and texts of the files that were read."""
        return self._texts.contents

    @property
    def errors(self) -> dict[str, AgentBayError]:
        """Paths of the files that could not be read, and why."""
        return self._texts.errors


class EnvResult(Result[dict[str, str]]):
    """The variables of a session."""

    __slots__ = ()

    @property
    def envs(self) -> dict[str, str]:
        """Names and values; raises the error of a failed result."""
        return self.unwrap()


class OssResult(Result[str]):
    """What the tools for OSS answer."""

    __slots__ = ()

    @property
    def content(self) -> str:
        """The tool's own words; raises the error of a failed result."""
        return self.unwrap()


class LinkResult(Result[str]):
    """A URL that leads into a session, and carries its own permission: a secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = "..." if self.error is None else f"error={self.error!r}"
        return f"{type(self).__name__}({shown}, request_id={self.request_id!r})"

    @property
    def data(self) -> str:
        """The URL; raises the error of a failed result."""
        return self.unwrap()

    @property
    def url(self) -> str:
        """The URL; raises the error of a failed result."""
        return self.unwrap()


class SessionMetricsResult(Result["SessionMetrics"]):
    """How busy the machine of a session is."""

    __slots__ = ()

    @property
    def metrics(self) -> SessionMetrics:
        """The numbers; raises the error of a failed result."""
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
