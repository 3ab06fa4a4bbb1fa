"""Calls of tools that run inside a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import schema
from agentbay_async._protocol.codec import compact_json
from agentbay_async.errors import ArgumentTypeError, BadAnswerError, ToolError
from agentbay_async.models import tools as records
from agentbay_async.models.tools import McpToolResult, McpToolsResult
from agentbay_async.services._routing import send

if TYPE_CHECKING:
    from agentbay_async._api import Api


async def call_tool(
    api: Api, session_id: str, name: str, args: Mapping[str, Any], timeout: float | None = None
) -> McpToolResult:
    """Call a tool and return all that it answered.

    Raises:
        ToolError: The tool answered with an error; the message is its text.
        BadAnswerError: The answer has no content at all.
    """
    request = schema.CallMcpTool(session_id=session_id, name=name, args=dict(args))
    answer = await send(api, request, timeout)
    if answer.data is None:
        raise BadAnswerError(
            f"{name}: the answer has no data", request_id=answer.request_id, session_id=session_id
        )
    content = [_content(item) for item in answer.data.content or ()]
    if answer.data.is_error:
        raise ToolError(
            "\n".join(piece.text for piece in content if piece.text) or f"{name} failed",
            request_id=answer.request_id,
            session_id=session_id,
        )
    return McpToolResult.ok(content, answer.request_id)


def checked_args(args: object) -> dict[str, Any]:
    """Return `args` if they can be sent: a mapping of names to what JSON can hold."""
    if not isinstance(args, Mapping):
        raise ArgumentTypeError(f"args must be a mapping, not {type(args).__name__}")
    try:
        compact_json(dict(args))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"args cannot be written as JSON: {error}") from None
    return dict(args)


async def list_tools(api: Api, image_id: str) -> McpToolsResult:
    """Return the tools of an image."""
    answer = await api.call(schema.ListMcpTools(image_id=image_id))
    tools = [_tool(tool) for tool in answer.data or ()]
    return McpToolsResult.ok(tools, answer.request_id)


def _tool(record: schema.Tool) -> records.McpTool:
    return records.McpTool(
        name=record.name or "",
        server=record.server or "",
        description=record.description or "",
        input_schema=record.input_schema or {},
    )


def _content(record: schema.ContentItem) -> records.ToolContent:
    return records.ToolContent(
        type=record.type or "text",
        text=record.text or "",
        data=record.data or record.blob or "",
        mime_type=record.mime_type or "",
    )
