"""Values and results of contexts and their files.

Times are in the service's format, sizes are in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async.models.context_status import ContextStatusData
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


# The official client leaves out what is not known, or gives None; here it is always of its type.


def _text(value: str | None) -> str:
    return value or ""


def _number(value: int | None) -> int:
    return value or 0


@attrs.define(unsafe_hash=True)
class Context:
    """A persistent store of files, which sessions can mount.

    Assigning another ``name`` changes this object only; :meth:`AsyncContextService.update` renames
    the context.

    Attributes:
        id: The id of the context.
        name: The name, which is unique in an account.
        state: ``"available"``, ``"in-use"``, ``"clearing"`` or ``"pre-available"``.
        created_at: The time of its creation.
        last_used_at: The time when a session last used it.
    """

    # Only the id is hashed, because the rest may be assigned.
    id: str
    name: str = attrs.field(default="", hash=False)
    created_at: str = attrs.field(default=None, converter=_text, hash=False)
    last_used_at: str = attrs.field(default=None, converter=_text, hash=False)
    state: str = attrs.field(default="", hash=False)
    os_type: str = attrs.field(default="", hash=False)


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
        file_id: The id of the file.
        file_name: The name, without the folder.
        file_path: The path in the context.
        file_type: ``"FILE"`` or ``"FOLDER"``.
        gmt_create: The time of the upload.
        gmt_modified: The time of the last change.
        size: Bytes.
        status: The status, as the service reports it.
    """

    file_id: str = ""
    file_name: str = ""
    file_path: str = ""
    file_type: str = attrs.field(default=None, converter=_text)
    gmt_create: str = attrs.field(default=None, converter=_text)
    gmt_modified: str = attrs.field(default=None, converter=_text)
    size: int = attrs.field(default=None, converter=_number)
    status: str = attrs.field(default=None, converter=_text)


@attrs.frozen
class ContextFilePage:
    """One page of a folder of a context; ``count`` is the number of all its entries."""

    entries: list[ContextFileEntry] = attrs.field(factory=list)
    count: int | None = None
    next_token: str = ""


@attrs.frozen
class FileUrl:
    """A presigned URL to read or write one file: a secret.

    Attributes:
        url: The URL to PUT or GET.
        expire_time: The time when it expires, in seconds since 1970.
    """

    url: str = attrs.field(repr=False)
    expire_time: int | None = None


@attrs.frozen
class TransferProgress:
    """The progress of an upload or download, in bytes; ``total`` is ``None`` while unknown."""

    done: int
    total: int | None = None


@attrs.frozen
class TransferReceipt:
    """The receipt of an upload or download.

    Attributes:
        path: The path of the file in the context or session.
        size: Bytes.
        etag: The store's checksum, or ``""``.
        verified: Whether the checksum of the other side was compared, and matched.
        md5: The MD5 of the content, in hexadecimal.
        local_path: The file of this machine; ``""`` if bytes were uploaded.
        http_status: The status of the store's last answer; ``None`` if no store was used.
        url_request_id: The id of the request for the store's URL; ``""`` if no store was used.
        sync_request_id: The id of the request to move it between store and session, or ``""``.
    """

    path: str
    size: int
    etag: str = ""
    verified: bool = False
    md5: str = ""
    local_path: str = ""
    http_status: int | None = None
    url_request_id: str = ""
    sync_request_id: str = ""


@attrs.frozen
class SyncReceipt:
    """The receipt of a sync: its finished tasks, all of them successful.

    Attributes:
        tasks: The sync tasks that began after the request.
        duration: Seconds from the request until all files arrived, on the client's clock.
        confirmed: Whether every context has a finished task, which proves that its files arrived.
            The service often lists no task if there is nothing to transfer; then this is false.
    """

    tasks: tuple[ContextStatusData, ...] = ()
    duration: float = 0.0
    confirmed: bool = False

    @property
    def files(self) -> int | None:
        """The number of files, or ``None`` if unknown."""
        return _sum(task.files for task in self.tasks)

    @property
    def size(self) -> int | None:
        """The number of bytes, or ``None`` if unknown."""
        return _sum(task.size for task in self.tasks)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Return the sum, or ``None`` if one of the numbers is unknown."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


@attrs.frozen
class ContextBinding:
    """A context bound to a session. ``policy`` is JSON text, as the service sends it."""

    context_id: str = ""
    context_name: str = ""
    path: str = ""
    policy: str = ""
    bind_time: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> ContextBinding:
        """Read a binding as the service writes it, as the official client does.

        Example:
            >>> ContextBinding.from_dict({"ContextId": "c-1", "Path": "/mnt"}).path
            '/mnt'
        """
        keys = ("ContextId", "ContextName", "Path", "Policy", "BindTime")
        return cls(*(data.get(key, "") for key in keys))


def _page_size(value: int | None) -> int:
    return 10 if value is None else value


def _token(value: str | None) -> str:
    return "" if value is None else value


@attrs.define
class ContextListParams:
    """The page of contexts to list.

    Attributes:
        max_results: Contexts on a page. Default 10.
        next_token: The token of the page; ``""`` or ``None`` is the first page. May be assigned.
        session_id: List only the contexts of this session.

    Example:
        >>> ContextListParams(max_results=50).next_token
        ''
    """

    max_results: int = attrs.field(
        default=None,
        converter=_page_size,
        validator=lambda _self, field, value: _check.positive_int(value, field.name),
    )
    next_token: str = attrs.field(
        default=None,
        converter=_token,
        validator=lambda _self, field, value: _check.string(value, field.name),
    )
    session_id: str | None = attrs.field(
        default=None,
        validator=lambda _self, field, value: value and _check.identifier(value, field.name),
    )


class ContextResult(Result[Context]):
    """The result of looking up or creating a context."""

    __slots__ = ()

    @property
    def context(self) -> Context:
        """The context; raises the error of a failed result."""
        return self.unwrap()

    @property
    def context_id(self) -> str:
        """The id of the context."""
        return self.unwrap().id


@attrs.frozen
class Clearing:
    """The state of a context that is being cleared: ``"clearing"``, then ``"available"``."""

    context_id: str
    status: str


class ClearContextResult(Result[Clearing]):
    """The result of clearing a context."""

    __slots__ = ()

    @property
    def status(self) -> str:
        """The state: ``"clearing"``, then ``"available"``; raises the error of a failed result."""
        return self.unwrap().status

    @property
    def data(self) -> str:
        """The same as :attr:`status`."""
        return self.unwrap().status

    @property
    def context_id(self) -> str:
        """The id of the context."""
        return self.unwrap().context_id


class ContextListResult(Result[ContextPage]):
    """One page of contexts."""

    __slots__ = ()

    @property
    def contexts(self) -> list[Context]:
        """The contexts on this page; raises the error of a failed result."""
        return self.unwrap().contexts

    @property
    def next_token(self) -> str:
        """The token of the next page; ``""`` on the last."""
        return self.unwrap().next_token

    @property
    def max_results(self) -> int | None:
        """The size of a page."""
        return self.unwrap().max_results

    @property
    def total_count(self) -> int | None:
        """The number of all contexts."""
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
        """The number of all entries of the folder."""
        return self.unwrap().count

    @property
    def next_token(self) -> str:
        """The token of the next page; ``""`` on the last."""
        return self.unwrap().next_token


class FileUrlResult(Result[FileUrl]):
    """A presigned URL to read or write one file of a context."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The URL, a secret; raises the error of a failed result."""
        return self.unwrap().url

    @property
    def expire_time(self) -> int | None:
        """The time when the URL expires, in seconds since 1970."""
        return self.unwrap().expire_time


class TransferResult(Result[TransferReceipt]):
    """The result of an upload or download."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """The number of bytes; raises the error of a failed result."""
        return self.unwrap().size

    @property
    def path(self) -> str:
        """The path of the file in the session or context."""
        return self.unwrap().path

    @property
    def local_path(self) -> str:
        """The file of this machine; ``""`` if bytes were uploaded."""
        return self.unwrap().local_path

    @property
    def etag(self) -> str:
        """The service's checksum of the file, or ``""``."""
        return self.unwrap().etag

    @property
    def url_request_id(self) -> str:
        """The id of the request for the store's URL; ``""`` if no store was used."""
        return self.unwrap().url_request_id

    @property
    def sync_request_id(self) -> str:
        """The id of the request to move the file between store and session, or ``""``."""
        return self.unwrap().sync_request_id

    @property
    def http_status(self) -> int | None:
        """The status of the store's last answer; ``None`` if no store was used."""
        return self.unwrap().http_status

    # Names of the official client, from scripts/official_names.toml.
    bytes_sent = size
    bytes_received = size
    request_id_upload_url = url_request_id
    request_id_download_url = url_request_id
    request_id_sync = sync_request_id


class ContextInfoResult(Result[list[ContextStatusData]]):
    """The sync tasks of a session."""

    __slots__ = ()

    @property
    def context_status_data(self) -> list[ContextStatusData]:
        """The tasks; raises the error of a failed result."""
        return self.unwrap()


class ContextSyncResult(Result[SyncReceipt]):
    """The result of ``sync`` and ``bind``: a receipt, or an error."""

    __slots__ = ()

    @property
    def receipt(self) -> SyncReceipt:
        """The receipt; raises the error of a failed result."""
        return self.unwrap()


class ContextBindingsResult(Result[list[ContextBinding]]):
    """The contexts bound to a session."""

    __slots__ = ()

    @property
    def bindings(self) -> list[ContextBinding]:
        """The bindings; raises the error of a failed result."""
        return self.unwrap()
