"""Convert records of contexts from the wire to public values; absent fields become empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async.models import contexts
from agentbay_async.models.context_status import ContextStatusData

if TYPE_CHECKING:
    from agentbay_async._protocol import schema


def context(record: schema.ContextRecord) -> contexts.Context:
    """Convert a context."""
    return contexts.Context(
        id=record.id or "",
        name=record.name or "",
        state=record.state or "",
        os_type=record.os_type or "",
        created_at=record.create_time or "",
        last_used_at=record.last_used_time or "",
    )


def file_entry(record: schema.ContextFileRecord) -> contexts.ContextFileEntry:
    """Convert an entry of a folder of a context."""
    return contexts.ContextFileEntry(
        file_id=record.file_id or "",
        file_name=record.file_name or "",
        file_path=record.file_path or "",
        file_type=record.file_type or "",
        gmt_create=record.gmt_create or "",
        gmt_modified=record.gmt_modified or "",
        size=record.size or 0,
        status=record.status or "",
    )


def task(record: schema.ContextTask) -> ContextStatusData:
    """Convert a transfer task."""
    return ContextStatusData(
        context_id=record.context_id or "",
        path=record.path or "",
        task_type=record.task_type or "",
        status=record.status or "",
        error_message=record.error_message or "",
        start_time=record.start_time,
        finish_time=record.finish_time,
        files=record.files,
        size=record.bytes,
    )


def binding(record: schema.BindingRecord) -> contexts.ContextBinding:
    """Convert the binding of a context to a session."""
    return contexts.ContextBinding(
        context_id=record.context_id or "",
        context_name=record.context_name or "",
        path=record.path or "",
        policy=record.policy or "",
        bind_time=record.bind_time or "",
    )
