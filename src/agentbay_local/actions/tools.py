"""Tools: list them, and call one in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import schema
from agentbay_async._protocol.codec import compact_json, to_json
from agentbay_local import images
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.protocol.errors import required
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.tools.handlers import HANDLERS

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState


async def list_tools(state: ServiceState, request: schema.ListMcpTools) -> Answer:
    """Return the tools of an image with their schemas, as JSON text."""
    del state
    offered = images.tools_of(images.offered(request.image_id))
    return Answer(compact_json(to_json(list(offered.values()))))


async def call(state: ServiceState, request: schema.CallMcpTool) -> Answer:
    """Run a tool in a session's sandbox."""
    said = await perform(state, request.session_id, request.name, request.args or {})
    return Answer(said, size=text_size(said))


def text_size(said: schema.ToolAnswer) -> int:
    """Return how many characters a tool has said."""
    return sum(len(item.text or "") for item in said.content or ())


async def perform(
    state: ServiceState, session_id: str | None, tool: str | None, values: dict[str, Any]
) -> schema.ToolAnswer:
    """Run a tool in a session's sandbox, which is started when it is not there yet.

    What the tool itself refuses is an answer that is marked as an error, not a failed request.

    Raises:
        Problem: There is no such session, or it cannot work now.
    """
    session = state.running_session(session_id)
    name = required(tool, "Name")
    try:
        if name not in images.tools_of(session.image):
            raise ToolError(images.not_offered(session.image, name))
        with state.lifecycle.using(session):
            place = await state.tool_context(session)
            text = await HANDLERS[name](place, Arguments(name, values))
    except (ToolError, SandboxError) as error:
        return _said(str(error), failed=True)
    return _said(text, failed=False)


def _said(text: str, *, failed: bool) -> schema.ToolAnswer:
    item = schema.ContentItem(type="text", text=text)
    return schema.ToolAnswer(content=[item], is_error=failed)
