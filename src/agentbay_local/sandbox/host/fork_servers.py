"""The fork servers of a backend: one for each view of the host and directory of sessions."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.errors import IsolationUnavailable, SandboxError
from agentbay_local.sandbox.host.fork_server import ForkServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentbay_local.sandbox.host.mounts import Mounts
    from agentbay_local.sandbox.host.view import View
    from agentbay_local.sandbox.values import Preload

__all__ = ["ForkServers"]

_log = logging.getLogger(__name__)

MOST_IDLE = 4
"""Servers without sessions that are kept."""

PRELOAD_AT = 2
"""The use of a program at which it is loaded: many services have one session that runs code."""


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


@attrs.frozen
class _Key:
    """What the sessions of a server have in common."""

    view: View
    sessions: _Directory
    preload: Preload | None


class ForkServers:
    """Starts fork servers when they are needed, and ends them.

    A server that loads a program takes its time. It is started beside the others when the program
    is used for the second time, and is there for sessions that start later.

    Args:
        mounts: The thread that starts them.
        record: Records a live process, and returns a function that removes the record.
    """

    def __init__(self, mounts: Mounts, record: Callable[[int], Callable[[], None]]) -> None:
        self._mounts = mounts
        self._record = record
        self._servers: dict[_Key, ForkServer] = {}
        self._lock = asyncio.Lock()
        self._uses: Counter[Preload] = Counter()
        self._loading: dict[_Key, asyncio.Task[None]] = {}
        self._loads = True

    async def get(self, view: View, sessions: Path, preload: Preload | None = None) -> ForkServer:
        """Return a running server; start one if necessary.

        Args:
            view: What its sessions see of the host.
            sessions: The directory of their directories.
            preload: The program that it should have loaded, if there is such a server.

        Raises:
            SandboxError: It does not start.
        """
        plain = _Key(view, _Directory.of(sessions), None)
        loaded = attrs.evolve(plain, preload=preload)
        async with self._lock:
            key = loaded if self._runs(loaded) else plain
            server = self._servers.pop(key, None)
            if server is None or server.has_ended:
                await self._end_idle()
                server = await self._start(key)
            # At the end, as the one that was used last.
            self._servers[key] = server
            return server

    def count_use(self, view: View, sessions: Path, preload: Preload) -> None:
        """Note that a session starts a program that it could have forked from a server."""
        key = _Key(view, _Directory.of(sessions), preload)
        self._uses[preload] += 1
        if self._uses[preload] < PRELOAD_AT or self._runs(key) or key in self._loading:
            return
        if self._loads:
            self._loading[key] = asyncio.create_task(self._load(key), name="load a program")
            self._loading[key].add_done_callback(lambda _: self._loading.pop(key))

    def _runs(self, key: _Key) -> bool:
        return key in self._servers and not self._servers[key].has_ended

    async def _load(self, key: _Key) -> None:
        """Start a server that loads a program; if that fails, programs are not loaded any more."""
        try:
            self._servers[key] = await self._start(key)
        except (SandboxError, IsolationUnavailable, OSError, asyncio.TimeoutError) as error:
            self._loads = False
            _log.info("programs are not loaded for later sessions: %s", error)

    async def _start(self, key: _Key) -> ForkServer:
        server = await ForkServer.start(key.view, key.sessions.path, self._mounts, key.preload)
        try:
            server.on_end(self._record(server.pid))
        except OSError:  # the disk is full; without a record, a crash could leave it behind
            await server.close()
            raise
        return server

    async def close(self) -> None:
        """End all of them, and the sessions that still run."""
        self._loads = False
        for loading in self._loading.values():
            loading.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        async with self._lock:
            servers, self._servers = self._servers, {}
            await asyncio.gather(*(server.close() for server in servers.values()))

    async def _end_idle(self) -> None:
        """End those that have not been used for longest and have no session."""
        idle = [key for key, server in self._servers.items() if not server.sessions]
        for key in idle[: max(0, len(idle) - MOST_IDLE + 1)]:
            await self._servers.pop(key).close()
