"""Tools: list them, and call one in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._wire import schema
from agentbay_async._wire.codec import compact_json, to_json
from agentbay_local.dialect.answer import Answer
from agentbay_local.dialect.problems import required
from agentbay_local.sandbox.problems import SandboxError
from agentbay_local.tools import images
from agentbay_local.tools.arguments import Arguments, ToolFailure
from agentbay_local.tools.catalogue import TOOLS
from agentbay_local.tools.programs import PROGRAMS

if TYPE_CHECKING:
    from agentbay_local.state import State


async def list_tools(state: State, request: schema.ListMcpTools) -> Answer:
    """Return the tools of an image with their schemas, as JSON text."""
    del state
    images.offered(request.image_id)
    return Answer(compact_json(to_json(list(TOOLS.values()))))


async def call(state: State, request: schema.CallMcpTool) -> Answer:
    """Run a tool in a session's sandbox, which is started when it is not there yet.

    What the tool itself refuses is an answer that is marked as an error, not a failed request.
    """
    session = state.running(request.session_id)
    name = required(request.name, "Name")
    try:
        program = PROGRAMS.get(name)
        if program is None:
            raise ToolFailure(f"Tool {name!r} is not offered by image {session.image!r} here.")
        with state.lifecycle.using(session):
            sandbox = await state.sandboxes.get(session.id)
            text = await program(sandbox, Arguments(name, request.args or {}))
    except (ToolFailure, SandboxError) as error:
        return Answer(_said(str(error), failed=True))
    return Answer(_said(text, failed=False))


def _said(text: str, *, failed: bool) -> schema.ToolAnswer:
    item = schema.ContentItem(type="text", text=text)
    return schema.ToolAnswer(content=[item], is_error=failed)
