"""The fork servers of a backend: one for each view of the host and directory of sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.fork_server import ForkServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentbay_local.sandbox.host.mounts import Mounts
    from agentbay_local.sandbox.host.view import View

__all__ = ["ForkServers"]

MOST_IDLE = 4
"""Servers without sessions that are kept."""


@attrs.frozen
class _Directory:
    """A directory of sessions, which may be removed and made again."""

    path: Path
    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Directory:
        facts = path.stat()
        return cls(path, facts.st_dev, facts.st_ino)


class ForkServers:
    """Starts fork servers when they are needed, and ends them.

    Args:
        mounts: The thread that starts them.
        record: Records a live process, and returns a function that removes the record.
    """

    def __init__(self, mounts: Mounts, record: Callable[[int], Callable[[], None]]) -> None:
        self._mounts = mounts
        self._record = record
        self._servers: dict[tuple[View, _Directory], ForkServer] = {}
        self._lock = asyncio.Lock()

    async def get(self, view: View, sessions: Path) -> ForkServer:
        """Return a running server; start one if necessary.

        Args:
            view: What its sessions see of the host.
            sessions: The directory of their directories.

        Raises:
            SandboxError: It does not start.
        """
        key = view, _Directory.of(sessions)
        async with self._lock:
            server = self._servers.pop(key, None)
            if server is None or server.has_ended:
                await self._end_idle()
                server = await self._start(view, sessions)
            # At the end, as the one that was used last.
            self._servers[key] = server
            return server

    async def _start(self, view: View, sessions: Path) -> ForkServer:
        server = await ForkServer.start(view, sessions, self._mounts)
        try:
            server.on_end(self._record(server.pid))
        except OSError:  # the disk is full; without a record, a crash could leave it behind
            await server.close()
            raise
        return server

    async def close(self) -> None:
        """End all of them, and the sessions that still run."""
        async with self._lock:
            servers, self._servers = self._servers, {}
            await asyncio.gather(*(server.close() for server in servers.values()))

    async def _end_idle(self) -> None:
        """End those that have not been used for longest and have no session."""
        idle = [key for key, server in self._servers.items() if not server.sessions]
        for key in idle[: max(0, len(idle) - MOST_IDLE + 1)]:
            await self._servers.pop(key).close()
