"""Requests to attach contexts to a session, and the downloads to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentbay_async.models.sync_policy import ContextSync

#: Default timeout of a transfer, in seconds.
SYNC_TIMEOUT = 300.0


def persistence(syncs: Iterable[ContextSync]) -> list[schema.Persistence]:
    """Convert contexts to attach to their form on the wire."""
    from agentbay_async._protocol.policy import policy_to_text

    return [
        schema.Persistence(
            context_id=sync.context_id,
            path=sync.path,
            policy=None if sync.policy is None else policy_to_text(sync.policy),
        )
        for sync in syncs
    ]


def downloaded(syncs: Iterable[ContextSync]) -> set[str]:
    """Return the ids of the contexts whose downloads the caller waits for."""
    return {
        sync.context_id
        for sync in syncs
        if sync.wait_for_completion
        and (sync.policy is None or sync.policy.download_policy.auto_download)
    }
