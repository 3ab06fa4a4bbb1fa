"""The store through which whole files come into a session and out of it.

It is a context that the service makes for one session and drops with it. Its directory takes part
in no synchronisation of everything; clients move single files of it.
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
"""Where a session sees its store."""

_TYPE = "file_transfer"
_BY_HAND = compact_json(
    {"uploadPolicy": {"autoUpload": False}, "downloadPolicy": {"autoDownload": False}}
)


async def load(state: ServiceState, request: schema.GetAndLoadInternalContext) -> Answer:
    """Return a session's store, making it at first; its directory is there when this answers."""
    session = state.running_session(request.session_id)
    if request.context_type != _TYPE:
        raise invalid("ContextTypes.1", f"must be {_TYPE!r}, not {request.context_type!r:.40}.")
    context = state.store.contexts.own(session.id) or await _made(state, session)
    entry = schema.InternalContext(
        context_id=context.id, context_path=TRANSFER_PATH, context_type=_TYPE
    )
    return Answer([entry])


async def _made(state: ServiceState, session: Session) -> Context:
    if any(entry.path == TRANSFER_PATH for entry in state.store.bindings.of(session.id)):
        raise invalid("SessionId", f"names a session with a context of yours at {TRANSFER_PATH}.")
    context_id, now = f"SdkCtx-{secrets.token_hex(10)}", state.clock.time()
    context = state.store.contexts.add(context_id, context_id, now, session.id)
    wanted = [(context_id, TRANSFER_PATH, _BY_HAND)]
    (binding,) = state.store.bindings.add(session.id, wanted, now)
    await state.syncing.prepare(binding)
    return context
