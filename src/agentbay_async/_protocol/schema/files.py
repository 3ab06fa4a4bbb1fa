"""Actions on the files of a context."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, may_be_empty, read_by, secret


def _read_time(value: Any) -> int:
    """Return seconds since 1970; some answers have ISO 8601 text."""
    if not isinstance(value, str) or value.isdecimal():
        return int(value)
    # fromisoformat() of Python 3.10 does not know "Z".
    moment = datetime.fromisoformat(f"{value[:-1]}+00:00" if value[-1:] in "zZ" else value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())


@attrs.define
class ContextFileRecord:
    """One file or folder of a context. Times are ISO 8601 text, ``size`` is bytes."""

    file_id: str | None = None
    file_name: str | None = None
    file_path: str | None = None
    file_type: str | None = None
    gmt_create: str | None = None
    gmt_modified: str | None = None
    size: int | None = None
    status: str | None = None


@attrs.define
class DescribeContextFiles(Request[list[ContextFileRecord]]):
    """List a folder of a context: by page number, or by cursor (``max_results``, in the query)."""

    ACTION: ClassVar[str] = "DescribeContextFiles"
    DATA: ClassVar[object] = list[ContextFileRecord]
    REPEATABLE: ClassVar[bool] = True
    IN_QUERY: ClassVar[frozenset[str]] = frozenset({"max_results", "next_token"})

    context_id: str | None = None
    parent_folder_path: str | None = may_be_empty()
    page_number: int | None = None
    page_size: int | None = None
    max_results: int | None = None
    next_token: str | None = None


@attrs.define
class DeleteContextFile(Request[None]):
    """Delete a file of a context."""

    ACTION: ClassVar[str] = "DeleteContextFile"
    REPEATABLE: ClassVar[bool] = True

    context_id: str | None = None
    file_path: str | None = None


@attrs.define
class FileUrl:
    """A presigned URL to read or write one file; treat it as a secret.

    Unit and epoch of ``expire_time`` are not documented; it is read as Unix seconds.
    """

    url: str | None = secret()
    expire_time: int | None = read_by(_read_time)


@attrs.define
class GetContextFileUploadUrl(Request[FileUrl]):
    """Get a presigned URL to PUT a file."""

    ACTION: ClassVar[str] = "GetContextFileUploadUrl"
    DATA: ClassVar[type] = FileUrl
    REPEATABLE: ClassVar[bool] = True

    context_id: str | None = None
    file_path: str | None = None


@attrs.define
class GetContextFileDownloadUrl(Request[FileUrl]):
    """Get a presigned URL to GET a file."""

    ACTION: ClassVar[str] = "GetContextFileDownloadUrl"
    DATA: ClassVar[type] = FileUrl
    REPEATABLE: ClassVar[bool] = True

    context_id: str | None = None
    file_path: str | None = None
