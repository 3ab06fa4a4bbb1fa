"""Tools: list them, and call one in a session."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import schema
from agentbay_async._protocol.codec import compact_json, to_json
from agentbay_local.images.catalog import tool_not_offered
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.protocol.errors import missing, no_session, not_running
from agentbay_local.sandbox.errors import SandboxError, SandboxPaused
from agentbay_local.store import states
from agentbay_local.tools.handlers import HANDLERS
from agentbay_local.tools.schemas import COMMANDS
from agentbay_local.tools.tool_context import ToolContext
from agentbay_local.urls import file_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

__all__ = ["call", "call_tool", "list_tools", "tool_context"]


async def list_tools(state: ServiceState, request: schema.ListMcpTools) -> Answer:
    """Return the tools with their schemas, as JSON text."""
    image = state.images.offered(request.image_id)
    return Answer(compact_json(to_json(list(state.images.tools[image.name].values()))))


async def call(state: ServiceState, request: schema.CallMcpTool) -> Answer:
    """Call a tool in a session's sandbox."""
    session = state.session(request.session_id)
    answer, size = await call_tool(state, session, request.name, request.args or {})
    if isinstance(answer, schema.BytesAnswer):
        answer = answer.as_text()
    return Answer(answer, size=size)


async def call_tool(
    state: ServiceState, session: Session, tool: str | None, values: dict[str, Any]
) -> tuple[schema.ToolAnswer, int]:
    """Call a tool in a session's sandbox, which is started if necessary.

    A failure of the tool itself is an answer that is marked as an error, not a failed request.

    Returns:
        The answer, and the number of characters in it. If the tool answers bytes, a `BytesAnswer`,
        which is to be converted where bytes cannot be sent.

    Raises:
        ApiError: The session cannot work now, its sandbox does not start, or `tool` is missing.
    """
    failed = False
    with state.lifecycle.using(session):
        name = tool or ""
        if not name.strip():
            raise missing("Name")
        try:
            if name not in state.images.tools[session.image]:
                raise ToolError(tool_not_offered(session.image, name))
            context = await tool_context(state, session)
            work = HANDLERS[name](context, Arguments(name, values))
            if name in COMMANDS:
                text = await state.lifecycle.run_until_paused(session, work)
            else:
                text = await work
        except (ToolError, SandboxError) as error:
            _check_still_there(state, session, error)
            text, failed = str(error), True
    if isinstance(text, bytes):
        return schema.BytesAnswer(body=text), len(text) * 4 // 3
    item = schema.ContentItem(type="text", text=text)
    return schema.ToolAnswer(content=[item], is_error=failed), len(text)


async def tool_context(state: ServiceState, session: Session) -> ToolContext:
    """Start the sandbox of a session if necessary, and return it with the state of its tools.

    Raises:
        ApiError: The sandbox does not start.
    """
    sandbox = await state.sandboxes.get(session.id)
    return ToolContext(
        session.id,
        sandbox,
        state.tool_states[session.id],
        state.code,
        state.browsers,
        partial(_publish, state, session),
    )


async def _publish(
    state: ServiceState, session: Session, path: str, content: bytes, replaced: Sequence[str]
) -> str:
    """Store a file in the internal context of a session, and return a URL to read it."""
    context = await state.own_context(session)
    with state.files.incoming_file(context.id) as file:
        await asyncio.to_thread(file.write_bytes, content)
        await state.files.publish_file(context.id, path, file, replaced)
    url, _ = file_url(state, "GET", context.id, path)
    return url


def _check_still_there(state: ServiceState, session: Session, error: Exception) -> None:
    """Report a session that was released or paused during a call as a later call would.

    Raises:
        ApiError: It is released or being released, or `error` says that it is paused.
    """
    if state.session(session.id).status == states.DELETING:
        raise no_session()
    if isinstance(error, SandboxPaused):
        raise not_running(states.PAUSED) from None
