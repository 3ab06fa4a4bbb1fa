"""What calls on contexts, and on their files, answer."""

from __future__ import annotations

from agentbay_async.context_records import (
    Context,
    ContextBinding,
    ContextFileEntry,
    ContextFilePage,
    ContextPage,
    ContextStatusData,
    FileUrl,
    SyncReceipt,
    TransferReceipt,
)
from agentbay_async.results import Result


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
