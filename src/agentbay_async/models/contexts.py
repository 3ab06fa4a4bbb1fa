"""What the service knows of contexts and their files: values without any I/O.

Times are as the service writes them, sizes are in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async.models.context_status import ContextStatusData
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.frozen
class Context:
    """A persistent store of files that sessions can see.

    Attributes:
        id: What it is addressed by.
        name: What people call it; unique in an account.
        state: ``"available"``, ``"in-use"``, ``"clearing"`` or ``"pre-available"``.
        created_at: When it was made.
        last_used_at: When a session last used it.
    """

    id: str
    name: str = ""
    state: str = ""
    os_type: str = ""
    created_at: str = ""
    last_used_at: str = ""


@attrs.frozen
class ContextPage:
    """One page of a listing of contexts; see :class:`SessionPage` for the other fields."""

    contexts: list[Context] = attrs.field(factory=list)
    next_token: str = ""
    max_results: int | None = None
    total_count: int | None = None


@attrs.frozen
class ContextFileEntry:
    """A file or folder of a context.

    Attributes:
        file_id: The service's id of it.
        file_name: Its name without the folder.
        file_path: Its path in the context.
        file_type: ``"FILE"`` or ``"FOLDER"``.
        gmt_create: When it was uploaded.
        gmt_modified: When it last changed.
        size: Bytes.
        status: As the service says.
    """

    file_id: str = ""
    file_name: str = ""
    file_path: str = ""
    file_type: str = ""
    gmt_create: str = ""
    gmt_modified: str = ""
    size: int = 0
    status: str = ""


@attrs.frozen
class ContextFilePage:
    """One page of a folder of a context; ``count`` is how many entries it has in all."""

    entries: list[ContextFileEntry] = attrs.field(factory=list)
    count: int | None = None
    next_token: str = ""


@attrs.frozen
class FileUrl:
    """A URL that stands for the right to read or write one file: a secret.

    Attributes:
        url: Where to PUT or GET.
        expire_time: When it ends, in seconds since 1970.
    """

    url: str = attrs.field(repr=False)
    expire_time: int | None = None


@attrs.frozen
class TransferProgress:
    """How far an upload or download has got; ``total`` is ``None`` while it is unknown."""

    done: int
    total: int | None = None


@attrs.frozen
class TransferReceipt:
    """What was carried.

    Attributes:
        path: Where it is, or was, on the other side.
        size: Bytes.
        etag: The store's checksum, or ``""``.
        verified: Whether the other side's checksum was compared and matched.
        md5: The MD5 of the bytes that were carried, in hexadecimal.
    """

    path: str
    size: int
    etag: str = ""
    verified: bool = False
    md5: str = ""


@attrs.frozen
class SyncReceipt:
    """What is known of a transfer: its finished tasks, each of them a success.

    Attributes:
        tasks: The tasks that began after the request.
        duration: Seconds from the request until all had arrived, on the client's clock.
        confirmed: Whether every context has a finished task, which proves that its files arrived.
            The service often lists no task when there is nothing to move; then this is false.
    """

    tasks: tuple[ContextStatusData, ...] = ()
    duration: float = 0.0
    confirmed: bool = False

    @property
    def files(self) -> int | None:
        """How many files were moved, or ``None`` where the service does not say."""
        return _sum(task.files for task in self.tasks)

    @property
    def size(self) -> int | None:
        """How many bytes were moved, or ``None`` where the service does not say."""
        return _sum(task.size for task in self.tasks)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Add numbers up; one that is not known makes the sum unknown."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


@attrs.frozen
class ContextBinding:
    """A context that a session sees. ``policy`` is the wire's JSON text."""

    context_id: str = ""
    context_name: str = ""
    path: str = ""
    policy: str = ""
    bind_time: str = ""


@attrs.define
class ContextListParams:
    """Which page of contexts to list.

    Attributes:
        max_results: Contexts on a page. Default 10.
        next_token: Where to go on; ``""`` is the first page. May be assigned.
        session_id: Only the contexts of this session.

    Example:
        >>> ContextListParams(max_results=50).next_token
        ''
    """

    max_results: int = attrs.field(
        default=10, validator=lambda _self, field, value: _check.positive_int(value, field.name)
    )
    next_token: str = attrs.field(
        default="", validator=lambda _self, field, value: _check.string(value, field.name)
    )
    session_id: str | None = attrs.field(
        default=None,
        validator=lambda _self, field, value: value and _check.identifier(value, field.name),
    )


class ContextResult(Result[Context]):
    """What looking up or creating a context answers."""

    __slots__ = ()

    @property
    def context(self) -> Context:
        """The context; raises the error of a failed result."""
        return self.unwrap()

    @property
    def context_id(self) -> str:
        """The id of the context."""
        return self.unwrap().id


class ContextListResult(Result[ContextPage]):
    """One page of contexts."""

    __slots__ = ()

    @property
    def contexts(self) -> list[Context]:
        """The contexts on this page; raises the error of a failed result."""
        return self.unwrap().contexts

    @property
    def next_token(self) -> str:
        """Where the next page begins; ``""`` on the last."""
        return self.unwrap().next_token

    @property
    def max_results(self) -> int | None:
        """How many contexts fit on a page."""
        return self.unwrap().max_results

    @property
    def total_count(self) -> int | None:
        """How many contexts there are in all."""
        return self.unwrap().total_count


class ContextFileListResult(Result[ContextFilePage]):
    """One page of a folder of a context."""

    __slots__ = ()

    @property
    def entries(self) -> list[ContextFileEntry]:
        """The files and folders on this page; raises the error of a failed result."""
        return self.unwrap().entries

    @property
    def count(self) -> int | None:
        """How many entries the folder has in all."""
        return self.unwrap().count

    @property
    def next_token(self) -> str:
        """Where the next page begins; ``""`` on the last."""
        return self.unwrap().next_token


class FileUrlResult(Result[FileUrl]):
    """A URL to read or write one file of a context."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The URL, a secret; raises the error of a failed result."""
        return self.unwrap().url

    @property
    def expire_time(self) -> int | None:
        """When the URL ends, in seconds since 1970."""
        return self.unwrap().expire_time


class TransferResult(Result[TransferReceipt]):
    """What an upload or download of a file answers."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """Bytes carried; raises the error of a failed result."""
        return self.unwrap().size

    @property
    def etag(self) -> str:
        """The service's checksum of the file, or ``""``."""
        return self.unwrap().etag


class ContextInfoResult(Result[list[ContextStatusData]]):
    """How the movements of files of a session are going."""

    __slots__ = ()

    @property
    def context_status_data(self) -> list[ContextStatusData]:
        """The tasks; raises the error of a failed result."""
        return self.unwrap()


class ContextSyncResult(Result[SyncReceipt]):
    """What ``sync`` and ``bind`` answer: a receipt, or an error."""

    __slots__ = ()

    @property
    def receipt(self) -> SyncReceipt:
        """The proof that the files have arrived; raises the error of a failed result."""
        return self.unwrap()


class ContextBindingsResult(Result[list[ContextBinding]]):
    """The contexts that a session sees."""

    __slots__ = ()

    @property
    def bindings(self) -> list[ContextBinding]:
        """The bindings; raises the error of a failed result."""
        return self.unwrap()
