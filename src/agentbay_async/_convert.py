"""From the wire's records to ours: what is absent there is empty here."""

from __future__ import annotations

from agentbay_async import records
from agentbay_async._wire import schema


def context(record: schema.ContextRecord) -> records.Context:
    """Convert a context."""
    return records.Context(
        id=record.id or "",
        name=record.name or "",
        state=record.state or "",
        os_type=record.os_type or "",
        created_at=record.create_time or "",
        last_used_at=record.last_used_time or "",
    )


def file_entry(record: schema.ContextFileRecord) -> records.ContextFileEntry:
    """Convert an entry of a folder of a context."""
    return records.ContextFileEntry(
        file_id=record.file_id or "",
        file_name=record.file_name or "",
        file_path=record.file_path or "",
        file_type=record.file_type or "",
        gmt_create=record.gmt_create or "",
        gmt_modified=record.gmt_modified or "",
        size=record.size or 0,
        status=record.status or "",
    )


def task(record: schema.ContextTask) -> records.ContextStatusData:
    """Convert a movement of files."""
    return records.ContextStatusData(
        context_id=record.context_id or "",
        path=record.path or "",
        task_type=record.task_type or "",
        status=record.status or "",
        error_message=record.error_message or "",
        start_time=record.start_time,
        finish_time=record.finish_time,
    )


def binding(record: schema.BindingRecord) -> records.ContextBinding:
    """Convert a context that a session sees."""
    return records.ContextBinding(
        context_id=record.context_id or "",
        context_name=record.context_name or "",
        path=record.path or "",
        policy=record.policy or "",
        bind_time=record.bind_time or "",
    )


def session_info(record: schema.McpResource) -> records.SessionInfo:
    """Convert how a person reaches a session."""
    desktop = record.desktop_info if record.desktop_info is not None else schema.DesktopInfo()
    return records.SessionInfo(
        session_id=record.session_id or "",
        resource_url=record.resource_url or "",
        app_id=desktop.app_id or "",
        auth_code=desktop.auth_code or "",
        connection_properties=desktop.connection_properties or "",
        resource_id=desktop.resource_id or "",
        resource_type=desktop.resource_type or "",
        ticket=desktop.ticket or "",
    )


def tool(record: schema.Tool) -> records.McpTool:
    """Convert a tool of an image."""
    return records.McpTool(
        name=record.name or "",
        server=record.server or "",
        description=record.description or "",
        input_schema=record.input_schema or {},
    )


def tool_content(record: schema.ContentItem) -> records.ToolContent:
    """Convert a piece of what a tool answered."""
    return records.ToolContent(
        type=record.type or "text",
        text=record.text or "",
        data=record.data or record.blob or "",
        mime_type=record.mime_type or "",
    )
