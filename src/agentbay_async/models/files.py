"""Values and results of file operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError


@attrs.frozen
class FileInfo:
    """What is known of a file or directory of a session.

    Attributes:
        path: Where it is.
        size: Bytes.
        permissions: As ``"644"`` or ``"rw-r--r--"``; as the image writes them.
        created: When it was made, as the image writes it.
        modified: When its content last changed.
        accessed: When it was last read.
    """

    path: str
    name: str = ""
    size: int = 0
    is_directory: bool = False
    is_file: bool = False
    permissions: str = ""
    owner: str = ""
    group: str = ""
    created: str = ""
    modified: str = ""
    accessed: str = ""


@attrs.frozen
class DirectoryEntry:
    """A name in a directory of a session.

    Attributes:
        size: Bytes, or ``None`` where the image does not tell.
        is_symlink: Whether it is a symbolic link; a link to a directory is none itself.
    """

    name: str
    is_directory: bool = False
    size: int | None = None
    is_symlink: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is anything but a directory."""
        return not self.is_directory


@attrs.frozen
class FileTexts:
    """What reading several files gave.

    Attributes:
        contents: Paths and texts of those that were read.
        errors: Paths of the others, and why.
    """

    contents: dict[str, str] = attrs.field(factory=dict)
    errors: dict[str, AgentBayError] = attrs.field(factory=dict)


@attrs.frozen
class FileChange:
    """Something that happened to a file or directory that is watched.

    Attributes:
        event_type: ``"create"``, ``"modify"`` or ``"delete"``.
        path: Where it is.
        path_type: ``"file"`` or ``"directory"``.
    """

    event_type: str
    path: str
    path_type: str = "file"


T = TypeVar("T")


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
