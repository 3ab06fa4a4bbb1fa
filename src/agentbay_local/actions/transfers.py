"""The internal context of a session, for uploads and downloads of whole files.

The service creates it for one session and deletes it with the session. A sync of all contexts
leaves it out; clients transfer single files of it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from agentbay_async._protocol import schema
from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Context, Session

__all__ = ["TRANSFER_PATH", "load"]

TRANSFER_PATH = "/tmp/file-transfer"  # noqa: S108  # a path of the session, not of this machine
"""The mount path of the internal context."""

_TYPE = "file_transfer"
_MANUAL_POLICY = compact_json(
    {"uploadPolicy": {"autoUpload": False}, "downloadPolicy": {"autoDownload": False}}
)


async def load(state: ServiceState, request: schema.GetAndLoadInternalContext) -> Answer:
    """Return the internal context of a session; create it, and its directory, on first use."""
    session = state.running_session(request.session_id)
    if request.context_type != _TYPE:
        raise invalid("ContextTypes.1", f"must be {_TYPE!r}, not {request.context_type!r:.40}.")
    context = state.store.contexts.own(session.id) or await _create(state, session)
    entry = schema.InternalContext(
        context_id=context.id, context_path=TRANSFER_PATH, context_type=_TYPE
    )
    return Answer([entry])


async def _create(state: ServiceState, session: Session) -> Context:
    if any(entry.path == TRANSFER_PATH for entry in state.store.bindings.of(session.id)):
        raise invalid("SessionId", f"names a session with a context of yours at {TRANSFER_PATH}.")
    context_id, now = f"SdkCtx-{secrets.token_hex(10)}", state.clock.time()
    context = state.store.contexts.add(context_id, context_id, now, session.id)
    to_bind = [(context_id, TRANSFER_PATH, _MANUAL_POLICY)]
    (binding,) = state.store.bindings.add(session.id, to_bind, now)
    await state.syncing.prepare(binding)
    return context
