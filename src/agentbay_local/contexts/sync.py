"""Moving files between sessions and contexts in the background, one task at a time in a session.

Every movement is a task in the store, from its start on. Clients compare the tasks before and
after, so tasks are only ever added. A task that fails says why; nothing here raises into an answer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol.policy import policy_from_text
from agentbay_local.clock import wait_for_ever
from agentbay_local.contexts.transfer import Transfer
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.testing.fault_actions import FailTask, StickTask
from agentbay_local.testing.faults import Call
from agentbay_local.trees.mount import Mount
from agentbay_local.trees.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from concurrent.futures import Executor

    from agentbay_local.background_tasks import BackgroundTasks
    from agentbay_local.clock import Clock
    from agentbay_local.contexts.context_store import ContextStore
    from agentbay_local.sandbox.base import SandboxSpec
    from agentbay_local.store import Binding, Session, Store
    from agentbay_local.testing.instruments import Instruments

__all__ = ["DOWNLOAD", "UPLOAD", "SyncService"]

_log = logging.getLogger(__name__)

UPLOAD, DOWNLOAD = "upload", "download"


@attrs.define
class _Cell:
    """What is known of one session's mounts while the service runs."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    mounts: dict[str, Mount] = attrs.field(factory=dict)


class SyncService:
    """The movements of all sessions."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        background: BackgroundTasks,
        prepare_root: Callable[[str], Awaitable[SandboxSpec]],
        files: ContextStore,
        executor: Executor,
        instruments: Instruments,
    ) -> None:
        self._store = store
        self._clock = clock
        self._background = background
        self._prepare_root = prepare_root
        self._files = files
        self._executor = executor
        self._instruments = instruments
        self._cells: dict[str, _Cell] = {}

    def start(self, binding: Binding, kind: str, path: str = "", *, move: bool = True) -> None:
        """Begin to move files; the task is on record when this returns.

        Args:
            binding: Which context in which session.
            kind: `UPLOAD` or `DOWNLOAD`.
            path: The path in the session that was asked for: the mount, or something below it.
            move: False only makes the mount's directory: clients wait for a task of every context
                they attach, also of one whose policy says not to download.
        """
        work = self._begun(binding, kind, path, move=move)
        self._background.launch(work, f"{kind} {binding.path} of {binding.session_id}")

    def _begun(
        self, binding: Binding, kind: str, path: str = "", *, move: bool = True
    ) -> Coroutine[Any, Any, bool]:
        """Put a task on record, and return its work, which says whether all went well."""
        asked = path or binding.path
        number = self._store.bindings.start_task(
            binding.session_id, binding.context_id, asked, kind, self._clock.time()
        )
        self._store.contexts.used(binding.context_id, self._clock.time())
        return self._recorded(number, binding, kind, _below_mount(asked, binding.path), move)

    async def upload_before_release(self, session: Session) -> bool:
        """Bring home what the policies ask for; say whether everything went well."""
        uploads = [
            self._begun(binding, UPLOAD)
            for binding in self._store.bindings.of(session.id)
            if policy_from_text(binding.policy).upload_policy.auto_upload
        ]
        return all(await asyncio.gather(*uploads))

    async def prepare(self, binding: Binding) -> bool:
        """Make the directory of a context in its session; say whether that went well."""
        return await self._begun(binding, DOWNLOAD, move=False)

    def forget(self, session_id: str) -> None:
        """Drop what is remembered of a session that is gone, and the context that was its own."""
        self._cells.pop(session_id, None)
        own = self._store.contexts.own(session_id)
        if own is not None:
            self._store.contexts.remove(own.id)
            self._background.launch(self._files.remove(own.id), f"remove context {own.id}")

    def forget_all(self) -> None:
        """Drop what is remembered of all sessions."""
        self._cells.clear()

    def expire_files(self) -> None:
        """Begin to remove files whose time is over."""
        now = self._clock.time()
        for context in self._store.contexts.expired(now):
            self._store.contexts.set_expiry(context.id, None)
            self._background.launch(self._expire(context.id, now), f"expire files of {context.id}")

    async def _expire(self, context_id: str, now: float) -> None:
        self._store.contexts.set_expiry(context_id, await self._files.expire(context_id, now))

    async def _recorded(
        self, number: int, binding: Binding, kind: str, only: str, move: bool
    ) -> bool:
        error: str | None = "the service stopped"
        try:
            error = await self._attempt(binding, kind, only, move)
        finally:
            self._store.bindings.finish_task(number, error, self._clock.time())
        return error is None

    async def _attempt(self, binding: Binding, kind: str, only: str, move: bool) -> str | None:
        """Move files; return what went wrong, or None."""
        fault = self._instruments.faults.strike(_call(binding, kind), FailTask, StickTask)
        if isinstance(fault, StickTask):
            await wait_for_ever(self._clock)
        if isinstance(fault, FailTask):
            return fault.message
        try:
            cell = self._cells.setdefault(binding.session_id, _Cell())
            async with cell.lock:
                movement = await self._movement(cell, binding, only)
                if not move:
                    await movement.prepare()
                elif kind == DOWNLOAD:
                    await movement.download()
                else:
                    await movement.upload(self._clock.time())
        except (OSError, SandboxError, ValueError) as error:
            _log.warning("%s of %s failed", kind, binding.path, exc_info=error)
            return _said(error)
        return None

    async def _movement(self, cell: _Cell, binding: Binding, only: str) -> Transfer:
        if binding.path not in cell.mounts:
            spec = await self._prepare_root(binding.session_id)
            cell.mounts[binding.path] = Mount(spec.root, binding.path, spec.uid)
        policy = policy_from_text(binding.policy)
        others = (entry.path for entry in self._store.bindings.of(binding.session_id))
        top = f"{binding.path.rstrip('/')}/"
        inner = [path[len(top) :].strip("/") for path in others if path.startswith(top)]
        return Transfer(
            mount=cell.mounts[binding.path],
            selection=Selection(policy, only, inner),
            context_id=binding.context_id,
            files=self._files,
            store=self._store,
            executor=self._executor,
        )


def _call(binding: Binding, kind: str) -> Call:
    form = {
        "SessionId": binding.session_id,
        "ContextId": binding.context_id,
        "Path": binding.path,
    }
    return Call(kind, form)


def _below_mount(asked: str, mount: str) -> str:
    return asked.strip("/")[len(mount.strip("/")) :].strip("/")


def _said(error: Exception) -> str:
    """Write an error without paths of the host."""
    if isinstance(error, OSError) and error.strerror:
        name = error.filename if isinstance(error.filename, str) else ""
        return f"{error.strerror}: {name}" if name and not name.startswith("/") else error.strerror
    return str(error) or type(error).__name__
