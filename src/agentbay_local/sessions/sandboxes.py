"""The sandboxes of all sessions: started on first use, one start at a time, ended with the session.

A stored session is a row; here is its directory and, once it is used, its live sandbox. What the
sandbox package raises becomes the service's own error dialect at this border.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import error_codes
from agentbay_local.code import read_only_mounts
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.base import Backend, Isolation, Limits, Sandbox, SandboxSpec
from agentbay_local.sandbox.errors import IsolationUnavailable, SandboxError
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.outbound import NO_HOSTS, AllowedHosts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

__all__ = ["Sandboxes"]

_log = logging.getLogger(__name__)

# For the start alone: who waits in line waits for starts that are bounded too, and when a thousand
# sessions are used at once, the last of them waits for longer than any one start may take.
_START_WITHIN = 30.0
_AT_ONCE = 4


@attrs.define
class _Cell:
    """What is known of one session while the service runs."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    prepared: bool = False
    closed: bool = False
    sandbox: Sandbox | None = None


class Sandboxes:
    """Every session's sandbox.

    Args:
        directory: The parent of all session directories.
        backend: How sandboxes are started, or None when this machine cannot.
        why_not: The sentence to answer with when there is no backend.
        wanted: The level that was asked for.
        limits: What each session may take.
        outbound: Which hosts each session may reach.
    """

    def __init__(
        self,
        directory: Path,
        backend: Backend | None,
        why_not: str,
        wanted: Isolation,
        limits: Limits,
        outbound: AllowedHosts = NO_HOSTS,
    ) -> None:
        self.directory = directory
        self._limits = limits
        self._outbound = outbound
        self._backend = backend
        self._why_not = why_not
        self._cells: dict[str, _Cell] = {}
        self._on_close: list[Callable[[str], Awaitable[None]]] = []
        self._starting = asyncio.Semaphore(_AT_ONCE)
        self.isolation = backend.isolation if backend else wanted

    def on_close(self, end: Callable[[str], Awaitable[None]]) -> None:
        """Call `end` with the id of each session before its processes are killed."""
        self._on_close.append(end)

    def require(self) -> Backend:
        """Return the backend.

        Raises:
            Problem: This machine cannot isolate sessions as asked.
        """
        if self._backend is None:
            raise ApiError(error_codes.SANDBOX_UNAVAILABLE, self._why_not)
        return self._backend

    @property
    def known(self) -> set[str]:
        """The ids of the sessions that have a directory or a sandbox by now."""
        return set(self._cells)

    async def prepare_root(self, session_id: str) -> SandboxSpec:
        """Return the specification of a session's sandbox, after its directories are made."""
        cell, spec = self._cell(session_id), self._spec(session_id)
        async with cell.lock:
            if not cell.prepared:
                await asyncio.to_thread(self.require().prepare_root, spec)
                cell.prepared = True
        return spec

    async def get(self, session_id: str) -> Sandbox:
        """Return the live sandbox of a session, starting it when there is none.

        Raises:
            Problem: It does not start, or the session is being released.
        """
        cell = self._cells.get(session_id)
        if cell is not None and cell.sandbox is not None and not cell.sandbox.dead.is_set():
            return cell.sandbox
        cell = self._cell(session_id)
        try:
            return await self._started(session_id, cell)
        except (SandboxError, OSError, asyncio.TimeoutError) as error:
            _log.warning("the sandbox of %s does not start", session_id, exc_info=error)
            raise ApiError(error_codes.SANDBOX_UNAVAILABLE, _start_failure(error)) from error

    def alive(self, session_id: str) -> Sandbox | None:
        """Return the sandbox of a session if it is running."""
        cell = self._cells.get(session_id)
        sandbox = cell.sandbox if cell else None
        return sandbox if sandbox is not None and not sandbox.dead.is_set() else None

    async def close(self, session_id: str) -> None:
        """End every process of a session; its files stay. A later `get` starts it anew."""
        for end in self._on_close:
            await end(session_id)
        cell = self._cells.get(session_id)
        if cell is None:
            return
        async with cell.lock:
            sandbox, cell.sandbox = cell.sandbox, None
            if sandbox is not None:
                await sandbox.close()

    async def remove(self, session_id: str) -> None:
        """End a session for good: its processes and its directory."""
        cell = self._cell(session_id)
        cell.closed = True
        await self.close(session_id)
        await remove_tree(self.directory / session_id)
        del self._cells[session_id]

    async def close_all(self) -> None:
        """End every process of every session, and give up the backend."""
        await asyncio.gather(*(self.close(session_id) for session_id in list(self._cells)))
        if self._backend is not None:
            await self._backend.close()

    def _cell(self, session_id: str) -> _Cell:
        return self._cells.setdefault(session_id, _Cell())

    def _spec(self, session_id: str) -> SandboxSpec:
        return SandboxSpec(
            self.directory / session_id,
            uid=private_uid(session_id),
            limits=self._limits,
            outbound=self._outbound,
            read_only=read_only_mounts(),
        )

    async def _started(self, session_id: str, cell: _Cell) -> Sandbox:
        async with cell.lock:
            if cell.sandbox is None or cell.sandbox.dead.is_set():
                async with self._starting:
                    if cell.closed:
                        raise SandboxError("the session is being released")
                    start = self.require().start(self._spec(session_id))
                    cell.sandbox = await asyncio.wait_for(start, _START_WITHIN)
                cell.prepared = True
            return cell.sandbox


def _start_failure(error: Exception) -> str:
    if isinstance(error, IsolationUnavailable):
        return unavailable(error.reason, error.remedy)
    if isinstance(error, SandboxError):
        return f"The sandbox of this session does not start: {error}."
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            "The sandbox of this session does not start: the service may open no more files, and "
            "each sandbox takes three. Delete sessions, or raise its limit (ulimit -n)."
        )
    return "The sandbox of this session does not start; the log of the service says why."


def unavailable(reason: str, remedy: str) -> str:
    """Write why sessions cannot be isolated here, what cures it, and how to do without."""
    return (
        f"This machine cannot isolate sessions: {reason.rstrip('.')}. To cure it: "
        f"{remedy.rstrip('.')}. To run sessions as plain processes that are NOT isolated, "
        f"start the service with --isolation none (LocalService(isolation='none'))."
    )
