"""Contexts that are attached to a session: on the wire, and whether to wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentbay_async.models.sync_policy import ContextSync

#: Seconds for a movement of files, by default.
SYNC_TIMEOUT = 300.0


def persistence(syncs: Iterable[ContextSync]) -> list[schema.Persistence]:
    """Return the wire's form of contexts to attach."""
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
    """Return the ids of the contexts whose files are to be waited for when they are attached."""
    return {
        sync.context_id
        for sync in syncs
        if sync.wait_for_completion
        and (sync.policy is None or sync.policy.download_policy.auto_download)
    }
