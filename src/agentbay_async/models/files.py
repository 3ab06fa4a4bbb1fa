"""Values and results of file operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

import attrs

from agentbay_async.models.keyed import KeyedValue
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async.errors import AgentBayError


_FACTS = (
    "path", "name", "size", "permissions", "owner", "group", "created", "modified", "accessed"
)  # fmt: skip


@attrs.frozen
class FileInfo(KeyedValue):
    """The facts about a file or directory of a session. Times are as the image writes them.

    It can also be read like the dictionary of the official client, which has ``isDirectory`` and
    ``isFile``.

    Attributes:
        path: The path.
        size: Bytes.
        permissions: The permissions as the image writes them: ``"644"`` or ``"rw-r--r--"``.
        created: The time of its creation.
        modified: The time of the last change of its content.
        accessed: The time of the last access.
    """

    keys_of_attributes: ClassVar[Mapping[str, str]] = {
        **{name: name for name in _FACTS},
        "isDirectory": "is_directory",
        "isFile": "is_file",
    }

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
    """An entry of a directory of a session.

    Attributes:
        size: Bytes, or ``None`` if unknown.
        is_symlink: Whether it is a symbolic link. A link to a directory is not a directory.
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
    """The texts of several files.

    Attributes:
        contents: The texts of the files that were read, by path.
        errors: The errors of the other files, by path.
    """

    contents: dict[str, str] = attrs.field(factory=dict)
    errors: dict[str, AgentBayError] = attrs.field(factory=dict)


@attrs.frozen
class FileChange:
    """A change of a file or directory that is watched.

    Attributes:
        event_type: ``"create"``, ``"modify"`` or ``"delete"``.
        path: The path.
        path_type: ``"file"`` or ``"directory"``.
    """

    event_type: str = ""
    path: str = ""
    path_type: str = ""


@attrs.frozen
class FileChanges:
    """Changes below a directory.

    Attributes:
        events: The changes, in the order in which the session saw them.
        raw_data: The answer of the session, as text.
    """

    events: list[FileChange] = attrs.field(factory=list)
    raw_data: str = attrs.field(default="", repr=False)


class FileChangeResult(Result["FileChanges"]):
    """The changes below a directory."""

    __slots__ = ()

    @property
    def events(self) -> list[FileChange]:
        """The changes; raises the error of a failed result."""
        return self.unwrap().events

    @property
    def raw_data(self) -> str:
        """The answer of the session, as text."""
        return self.unwrap().raw_data

    def has_changes(self) -> bool:
        """Whether there is any change."""
        return bool(self.events)

    def get_created_files(self) -> list[str]:
        """Return the paths of the files that were created."""
        return self._paths("create")

    def get_modified_files(self) -> list[str]:
        """Return the paths of the files that were changed."""
        return self._paths("modify")

    def get_deleted_files(self) -> list[str]:
        """Return the paths of the files that were deleted."""
        return self._paths("delete")

    def _paths(self, event_type: str) -> list[str]:
        found = [one for one in self.events if one.path_type == "file"]
        return [one.path for one in found if one.event_type == event_type]


T = TypeVar("T")


class FileContentResult(Result[T], Generic[T]):
    """The content of a file, as text or bytes."""

    __slots__ = ()

    @property
    def content(self) -> T:
        """The content; raises the error of a failed result."""
        return self.unwrap()

    @property
    def size(self) -> int:
        """The number of bytes; text counts in UTF-8."""
        content = self.content
        return len(content.encode() if isinstance(content, str) else cast("bytes", content))

    @property
    def content_type(self) -> str:
        """``"text/plain"`` for text, ``"application/octet-stream"`` for bytes."""
        return "text/plain" if isinstance(self.content, str) else "application/octet-stream"


class FileInfoResult(Result["FileInfo"]):
    """The facts about one file."""

    __slots__ = ()

    @property
    def file_info(self) -> FileInfo:
        """The facts; raises the error of a failed result."""
        return self.unwrap()

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.file_info.is_file

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.file_info.is_directory

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.file_info.size

    @property
    def permissions(self) -> str:
        """The permissions as the image writes them."""
        return self.file_info.permissions


class DirectoryListResult(Result["list[DirectoryEntry]"]):
    """The entries of a directory."""

    __slots__ = ()

    @property
    def entries(self) -> list[DirectoryEntry]:
        """The entries; raises the error of a failed result."""
        return self.unwrap()


class EditResult(Result[str]):
    """The result of editing a file."""

    __slots__ = ()

    @property
    def data(self) -> bool:
        """``True``; raises the error of a failed result."""
        return self.unwrap() is not None

    @property
    def diff(self) -> str:
        """The change as a unified diff; ``""`` if nothing changed."""
        return self.unwrap()


class FileSearchResult(Result["list[str]"]):
    """The result of a search for files."""

    __slots__ = ()

    @property
    def matches(self) -> list[str]:
        """The paths found; raises the error of a failed result."""
        return self.unwrap()


class MultipleFileContentResult(Result["FileTexts"]):
    """The result of reading several files.

    If a file could not be read, it is a failed result, and the other texts can still be read.
    """

    __slots__ = ()

    @property
    def _texts(self) -> FileTexts:
        return self.unwrap() if self._value is None else self._value

    @property
    def contents(self) -> dict[str, str]:
        """The texts of the files that were read, by path."""
        return self._texts.contents

    @property
    def errors(self) -> dict[str, AgentBayError]:
        """The errors of the files that could not be read, by path."""
        return self._texts.errors
