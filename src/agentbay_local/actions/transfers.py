"""The internal context of a session, for uploads and downloads of whole files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema
from agentbay_local.contexts.own_context import TRANSFER_PATH
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState

__all__ = ["load"]

_TYPE = "file_transfer"


async def load(state: ServiceState, request: schema.GetAndLoadInternalContext) -> Answer:
    """Return the internal context of a session; create it, and its directory, on first use."""
    session = state.running_session(request.session_id)
    if request.context_type != _TYPE:
        raise invalid("ContextTypes.1", f"must be {_TYPE!r}, not {request.context_type!r:.40}.")
    context = await state.own_context(session)
    entry = schema.InternalContext(
        context_id=context.id, context_path=TRANSFER_PATH, context_type=_TYPE
    )
    return Answer([entry])
