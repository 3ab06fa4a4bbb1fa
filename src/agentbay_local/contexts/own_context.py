"""The internal context of a session, for whole files: those of clients, and screenshots.

The service creates it for one session and deletes it with the session. A sync of all contexts
leaves it out; clients transfer single files of it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.errors import invalid

if TYPE_CHECKING:
    from agentbay_local.contexts.sync import SyncService
    from agentbay_local.store import Context, Session, Store

__all__ = ["TRANSFER_PATH", "create_own_context"]

TRANSFER_PATH = "/tmp/file-transfer"  # noqa: S108  # a path of the session, not of this machine
"""The mount path of the internal context."""

_MANUAL_POLICY = compact_json(
    {"uploadPolicy": {"autoUpload": False}, "downloadPolicy": {"autoDownload": False}}
)


async def create_own_context(
    store: Store, syncing: SyncService, session: Session, now: float
) -> Context:
    """Create the internal context of a session, and its directory.

    Raises:
        ApiError: A context of the client is at that path.
    """
    if any(entry.path == TRANSFER_PATH for entry in store.bindings.of(session.id)):
        raise invalid("SessionId", f"names a session with a context of yours at {TRANSFER_PATH}.")
    context_id = f"SdkCtx-{secrets.token_hex(10)}"
    context = store.contexts.add(context_id, context_id, now, session.id)
    to_bind = [(context_id, TRANSFER_PATH, _MANUAL_POLICY)]
    (binding,) = store.bindings.add(session.id, to_bind, now)
    await syncing.prepare(binding)
    return context
