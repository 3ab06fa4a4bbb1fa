"""The sandboxes of all sessions: started on first use, closed with their session.

A new session is only a row; its directory and its sandbox are made when it is used. Errors of a
start become an `ApiError` here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shlex
import shutil
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import error_codes
from agentbay_local.code import python_kernel, read_only_mounts, session_python
from agentbay_local.images.image import Image
from agentbay_local.images.pip import packages_directory
from agentbay_local.images.recipes import PLAIN
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.base import Backend, Isolation, Limits, Python, Sandbox, SandboxSpec
from agentbay_local.sandbox.errors import IsolationUnavailable, SandboxError
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.outbound import NO_HOSTS, AllowedHosts
from agentbay_local.sessions.removals import Removals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

__all__ = ["Sandboxes"]

_log = logging.getLogger(__name__)

# The limit is for one start, without the wait for a slot: when a thousand sessions are used at
# once, the last one waits longer than any single start may take.
_START_WITHIN = 30.0
# A start is mostly processor time, so more at once make all of them slower.
_CONCURRENT_STARTS = 2 * (os.cpu_count() or 1)
_MIB = 1024 * 1024


@attrs.define
class _Entry:
    """The state of one session's sandbox."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    prepared: bool = False
    closed: bool = False
    sandbox: Sandbox | None = None
    spec: SandboxSpec | None = None
    services: tuple[str, ...] = ()


def _plain(_: str) -> Image:
    return Image(PLAIN[0])


class Sandboxes:
    """Every session's sandbox.

    Args:
        directory: The parent of all session directories.
        backend: Starts sandboxes; None when this machine cannot isolate them.
        unavailable_message: The error message when there is no backend.
        requested: The isolation level that was asked for.
        limits: The limits of each session, unless its image needs more.
        outbound: The hosts that each session may reach.
        image_of: Returns the image of a session, by its id; by default the plain one.

    Attributes:
        limits: The limits of each session, unless its image needs more.
    """

    def __init__(
        self,
        directory: Path,
        backend: Backend | None,
        unavailable_message: str,
        requested: Isolation,
        limits: Limits,
        outbound: AllowedHosts = NO_HOSTS,
        image_of: Callable[[str], Image] = _plain,
    ) -> None:
        self.directory = directory
        self.limits = limits
        self._outbound = outbound
        self._image_of = image_of
        self._backend = backend
        self._unavailable_message = unavailable_message
        self._entries: dict[str, _Entry] = {}
        self._on_close: list[Callable[[str], Awaitable[None]]] = []
        self._warned_of_disk = False
        self._starting = asyncio.Semaphore(_CONCURRENT_STARTS)
        self._starts = 0
        self._resting = asyncio.Event()
        self._resting.set()
        self._removals = Removals(self._resting)
        self.isolation = backend.isolation if backend else requested

    def on_close(self, callback: Callable[[str], Awaitable[None]]) -> None:
        """Call `callback` with the id of each session before its processes are killed."""
        self._on_close.append(callback)

    def require(self) -> Backend:
        """Return the backend.

        Raises:
            ApiError: This machine cannot isolate sessions as asked.
        """
        if self._backend is None:
            raise ApiError(error_codes.SANDBOX_UNAVAILABLE, self._unavailable_message)
        return self._backend

    @property
    def ids(self) -> set[str]:
        """The ids of the sessions that have a directory or a sandbox."""
        return set(self._entries)

    @property
    def are_starting(self) -> bool:
        """Whether any sandbox is starting, or waits for its turn to start."""
        return not self._resting.is_set()

    def suits(self, session_id: str, image: Image) -> bool:
        """Return whether the sandbox that was started for an id is what an image needs."""
        entry = self._entries[session_id]
        if entry.spec is None or entry.services != image.services:
            return False
        return entry.spec == attrs.evolve(
            entry.spec, limits=image.limits_over(self.limits), layers=image.layers
        )

    async def prepare_root(self, session_id: str) -> SandboxSpec:
        """Return the specification of a session's sandbox, after its directories are made."""
        entry, spec = self._entry(session_id), self._spec(session_id)
        async with entry.lock:
            if not entry.prepared:
                await asyncio.to_thread(self.require().prepare_root, spec)
                entry.prepared = True
        return spec

    async def get(self, session_id: str) -> Sandbox:
        """Return the live sandbox of a session; start one if necessary.

        Raises:
            ApiError: The sandbox does not start, or the session is being released.
        """
        entry = self._entries.get(session_id)
        if entry is not None and entry.sandbox is not None and not entry.sandbox.dead.is_set():
            return entry.sandbox
        entry = self._entry(session_id)
        try:
            return await self._started(session_id, entry)
        except (SandboxError, OSError, asyncio.TimeoutError) as error:
            _log.warning("the sandbox of %s does not start", session_id, exc_info=error)
            raise ApiError(error_codes.SANDBOX_UNAVAILABLE, _start_failure(error)) from error

    def alive(self, session_id: str) -> Sandbox | None:
        """Return the sandbox of a session if it is running."""
        entry = self._entries.get(session_id)
        sandbox = entry.sandbox if entry else None
        return sandbox if sandbox is not None and not sandbox.dead.is_set() else None

    async def close(self, session_id: str) -> None:
        """Kill every process of a session; its files stay. A later `get` starts a new sandbox."""
        for callback in self._on_close:
            await callback(session_id)
        entry = self._entries.get(session_id)
        if entry is None:
            return
        async with entry.lock:
            sandbox, entry.sandbox = entry.sandbox, None
            if sandbox is not None:
                await sandbox.close()

    async def remove(self, session_id: str) -> None:
        """Kill the processes of a session; its directory is removed soon."""
        entry = self._entry(session_id)
        entry.closed = True
        await self.close(session_id)
        await self._removals.add(self.directory / session_id)
        del self._entries[session_id]

    async def remove_all(self) -> None:
        """Remove all sessions, and what a service that was killed has left of its own.

        Return when their directories are gone.
        """
        left = {directory.name for directory in self.directory.iterdir()}
        await asyncio.gather(*(self.remove(name) for name in self.ids | left))
        await self._removals.finish()

    async def close_all(self) -> None:
        """Kill every process of every session, finish the removals, and close the backend."""
        await asyncio.gather(*(self.close(session_id) for session_id in list(self._entries)))
        await self._removals.close()
        if self._backend is not None:
            await self._backend.close()

    def _entry(self, session_id: str) -> _Entry:
        return self._entries.setdefault(session_id, _Entry())

    def _spec(self, session_id: str) -> SandboxSpec:
        image = self._image_of(session_id)
        return SandboxSpec(
            self.directory / session_id,
            uid=private_uid(session_id) if self.isolation is not Isolation.NONE else None,
            limits=image.limits_over(self.limits),
            outbound=self._outbound,
            read_only=read_only_mounts(),
            python=_python(image),
            preload=python_kernel(),
            layers=image.layers,
        )

    async def _started(self, session_id: str, entry: _Entry) -> Sandbox:
        async with entry.lock:
            if entry.sandbox is not None and not entry.sandbox.dead.is_set():
                return entry.sandbox
            self._starts += 1
            self._resting.clear()
            try:
                entry.services = self._image_of(session_id).services
                entry.sandbox = await self._start(entry, self._spec(session_id))
            finally:
                self._starts -= 1
                if not self._starts:
                    self._resting.set()
            entry.prepared = True
            self._warn_of_small_disk()
            return entry.sandbox

    async def _start(self, entry: _Entry, spec: SandboxSpec) -> Sandbox:
        async with self._starting:
            if entry.closed:
                raise SandboxError("the session is being released")
            entry.spec = spec
            sandbox = await asyncio.wait_for(self.require().start(spec), _START_WITHIN)
        try:
            await _start_services(sandbox, entry.services)
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    def _warn_of_small_disk(self) -> None:
        """Warn once if the sessions together may write more than the disk can hold."""
        limit, number = self.limits.disk_bytes, len(self._entries)
        total = shutil.disk_usage(self.directory).total
        if self._warned_of_disk or (limit is not None and limit * number <= total):
            return
        self._warned_of_disk = True
        _log.warning(
            "%d sessions may write %s each, more than the %s of the disk of %s; lower the limit "
            "(--disk) or use a larger disk",
            number,
            "any amount" if limit is None else f"{limit // _MIB} MiB",
            f"{total // _MIB} MiB",
            self.directory,
        )


async def _start_services(sandbox: Sandbox, services: Sequence[str]) -> None:
    """Start the services of an image, which run on while the sandbox does."""
    lines = [
        f"nohup sh -c {shlex.quote(line)} </dev/null >.service-{number}.log 2>&1 &"
        for number, line in enumerate(services, 1)
    ]
    if lines:
        await sandbox.run("\n".join(lines), timeout=_START_WITHIN)


def _python(image: Image) -> Python:
    """Return the Python of a session, with the packages in the layers of its image."""
    own = session_python()
    inside = packages_directory(own.version)
    if any((layer / inside.lstrip("/")).is_dir() for layer in image.layers):
        return attrs.evolve(own, packages=(*own.packages, inside))
    return own


def _start_failure(error: Exception) -> str:
    if isinstance(error, IsolationUnavailable):
        return unavailable(error.reason, error.remedy)
    if isinstance(error, SandboxError):
        return f"The sandbox of this session does not start: {error}."
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            "The sandbox of this session does not start: the service cannot open more files, and "
            "each sandbox needs three. Delete sessions, or raise the limit (ulimit -n)."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "The sandbox of this session does not start: the disk of the service is full. Delete "
            "files or sessions, or make room on that disk."
        )
    return "The sandbox of this session does not start; the log of the service says why."


def unavailable(reason: str, remedy: str) -> str:
    """Return the error message of a machine that cannot isolate sessions, with the cure."""
    return (
        f"This machine cannot isolate sessions: {reason.rstrip('.')}. To cure it: "
        f"{remedy.rstrip('.')}. To run sessions as plain processes that are NOT isolated, "
        f"start the service with --isolation none (LocalService(isolation='none'))."
    )
