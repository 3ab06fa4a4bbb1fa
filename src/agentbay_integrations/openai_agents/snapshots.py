"""Snapshots of workspaces in a context."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from agentbay_integrations.openai_agents.files import enter_client, fetch, on_disk

if TYPE_CHECKING:
    import io

    from agentbay_async import (
        AsyncAgentBay,
    )


class ContextSnapshotClient:
    """Keeps snapshots of workspaces in a context, where they outlive sessions and programs.

    Args:
        context_id: The id of the context.
        bay: The client. Default: one with the settings of the environment for each call.
        prefix: The directory of the context for the snapshots.

    Example:
        ::

            snapshots = ContextSnapshotClient(context.id)
            client = AgentBaySandboxClient(
                dependencies=Dependencies.with_values({"snapshots": snapshots})
            )
            snapshot = RemoteSnapshotSpec(client_dependency_key="snapshots")
            sandbox = SandboxRunConfig(client=client, snapshot=snapshot)
    """

    def __init__(
        self, context_id: str, *, bay: AsyncAgentBay | None = None, prefix: str = "/snapshots"
    ) -> None:
        self._context_id = context_id
        self._bay = bay
        self._prefix = prefix.rstrip("/")

    async def upload(self, snapshot_id: str, data: io.IOBase) -> None:
        """Keep a snapshot, in place of an earlier one of this id."""
        async with on_disk(data) as copy, AsyncExitStack() as stack:
            contexts = (await enter_client(self._bay, stack)).context
            path = self._path(snapshot_id)
            (await contexts.upload_file(self._context_id, path, copy)).unwrap()

    async def download(self, snapshot_id: str) -> io.IOBase:
        """Return a snapshot."""
        async with AsyncExitStack() as stack:
            contexts = (await enter_client(self._bay, stack)).context
            path = self._path(snapshot_id)
            return await fetch(
                lambda target: contexts.download_file(self._context_id, path, target)
            )

    async def exists(self, snapshot_id: str) -> bool:
        """Return whether there is such a snapshot."""
        async with AsyncExitStack() as stack:
            contexts = (await enter_client(self._bay, stack)).context
            path = self._path(snapshot_id)
            async for entry in contexts.iterate_files(self._context_id, self._prefix):
                if entry.file_path.rsplit("/", 1)[-1] == path.rsplit("/", 1)[-1]:
                    return True
        return False

    def _path(self, snapshot_id: str) -> str:
        if "/" in snapshot_id or snapshot_id in ("", ".", ".."):
            raise ValueError("the id of a snapshot must be one segment of a path")
        return f"{self._prefix}/{snapshot_id}.tar"
