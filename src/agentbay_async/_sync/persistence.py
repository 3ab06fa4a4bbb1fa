"""Requests to attach contexts to a session, and the downloads to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentbay_async.models.context_mount import BetaContextMount
    from agentbay_async.models.sync_policy import ContextSync

#: Default timeout of a transfer, in seconds.
SYNC_TIMEOUT = 300.0


def persistence(
    syncs: Sequence[ContextSync], mounts: Sequence[BetaContextMount]
) -> list[schema.Persistence] | None:
    """Convert contexts to attach to their form on the wire; ``None`` if there are none."""
    return [*map(_sync, syncs), *map(_mount, mounts)] or None


def _sync(sync: ContextSync) -> schema.Persistence:
    from agentbay_async._protocol.policy import policy_to_text

    policy = None if sync.policy is None else policy_to_text(sync.policy)
    return schema.Persistence(sync.context_id, sync.path, policy)


def _mount(mount: BetaContextMount) -> schema.Persistence:
    config = schema.MountConfig(
        access_mode=mount.access_mode.value,
        storage_mode=mount.strategy.value,
        source_path=mount.source_path,
    )
    return schema.Persistence(mount.context_id, mount.path, type="mount", mount_config=config)


def downloaded(syncs: Iterable[ContextSync]) -> set[str]:
    """Return the ids of the contexts whose downloads the caller waits for."""
    return {
        sync.context_id
        for sync in syncs
        if sync.wait_for_completion
        and (sync.policy is None or sync.policy.download_policy.auto_download)
    }
