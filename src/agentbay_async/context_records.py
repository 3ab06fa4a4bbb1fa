"""What the service knows of contexts and their files: values without any I/O.

Times are as the service writes them, sizes are in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

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
class ContextStatusData:
    """A movement of files between a context and a session.

    Attributes:
        status: ``"Success"``, ``"Failed"``; anything else is still going on.
        task_type: ``"upload"`` (session to context) or ``"download"``.
        start_time: Seconds since 1970, or ``None``.
        finish_time: Seconds since 1970, or ``None`` while it goes on.
        files: How many files were moved, or ``None`` where the service does not say.
        size: How many bytes, or ``None`` where the service does not say.
    """

    context_id: str = ""
    path: str = ""
    task_type: str = ""
    status: str = ""
    error_message: str = ""
    start_time: int | None = None
    finish_time: int | None = None
    files: int | None = None
    size: int | None = None

    @property
    def duration(self) -> int | None:
        """Seconds from start to finish, or ``None`` where the service does not say."""
        if self.start_time is None or self.finish_time is None:
            return None
        return self.finish_time - self.start_time

    @property
    def finished(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.status in ("Success", "Failed")


@attrs.frozen
class SyncReceipt:
    """Proof that files have arrived: the finished tasks, each of them a success.

    Attributes:
        tasks: The tasks.
        duration: Seconds from the request until all had arrived, on the client's clock.
    """

    tasks: tuple[ContextStatusData, ...] = ()
    duration: float = 0.0

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
