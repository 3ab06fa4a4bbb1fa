"""Actions on the tools of a session."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json, named, read_by


@attrs.define
class ContentItem:
    """One item of a tool's answer: text, or data of a media type in base64."""

    type: str | None = named("type")
    text: str | None = named("text")
    data: str | None = named("data")
    blob: str | None = named("blob")
    mime_type: str | None = named("mimeType")


@attrs.define
class ToolAnswer:
    """``Data`` of CallMcpTool: an object, or a JSON string of one."""

    content: list[ContentItem] | None = named("content")
    is_error: bool | None = named("isError")


@attrs.define
class BytesAnswer(ToolAnswer):
    """The answer of a tool that answered bytes, and no text."""

    body: bytes = attrs.field(default=b"", repr=False)

    def as_text(self) -> ToolAnswer:
        """Return the answer as JSON carries it: the bytes as base64."""
        text = base64.b64encode(self.body).decode("ascii")
        return ToolAnswer([ContentItem(type="text", text=text)], is_error=False)


@attrs.define
class CallMcpTool(Request[ToolAnswer]):
    """Call a tool of a session. With an empty ``server``, the service finds it by name."""

    ACTION: ClassVar[str] = "CallMcpTool"
    DATA: ClassVar[type] = ToolAnswer
    # The output of a command, a chunk of a file or a screenshot, escaped as JSON.
    MAX_ANSWER: ClassVar[int] = 64 * 1024 * 1024

    session_id: str | None = None
    name: str | None = None
    server: str = ""
    # Each tool defines its arguments, so they may be any JSON values.
    args: dict[str, Any] | None = as_json()
    auto_gen_session: bool = False
    # In the requests of official clients, but used by none of them.
    external_user_id: str | None = None
    image_id: str | None = None
    tool: str | None = None


def _read_schema(value: Any) -> dict[str, Any] | str:
    """Return a JSON Schema, which may be JSON text; another text is kept."""
    if not isinstance(value, str):
        return dict(value)
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return parsed if isinstance(parsed, dict) else value


@attrs.define
class Tool:
    """A tool that an image offers; ``input_schema`` is a JSON Schema, or any other text."""

    name: str | None = named("name")
    description: str | None = named("description")
    input_schema: dict[str, Any] | str | None = read_by(_read_schema, "inputSchema")
    server: str | None = named("server")
    tool: str | None = named("tool")


@attrs.define
class ListMcpTools(Request[list[Tool]]):
    """List the tools of an image. The list is JSON text in the answer."""

    ACTION: ClassVar[str] = "ListMcpTools"
    DATA: ClassVar[object] = list[Tool]
    REPEATABLE: ClassVar[bool] = True

    image_id: str | None = None
