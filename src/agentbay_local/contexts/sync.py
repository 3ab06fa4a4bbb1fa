"""Synchronize sessions and contexts in the background, one task at a time in each session.

Every transfer is recorded as a task in the store when it starts. Clients compare the tasks before
and after a sync, so tasks are never removed. A failed task has an error; nothing is raised.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol.policy import policy_from_text
from agentbay_local.clock import wait_for_ever
from agentbay_local.contexts.mount_paths import inner_keys, mount_path_of
from agentbay_local.contexts.transfer import Transfer
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.store import StateFullError
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

__all__ = ["DOWNLOAD", "SESSION_DELETED", "UPLOAD", "SyncService", "describe_error"]

_log = logging.getLogger(__name__)

UPLOAD, DOWNLOAD = "upload", "download"
SESSION_DELETED = "the session was deleted"
"""The error of a transfer that the end of its session cut short."""

_LONGEST_REASON = 1000


@attrs.define
class _SessionMounts:
    """The mounts of one session. Their bases are lost when the service stops, like the session."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    mounts: dict[str, Mount] = attrs.field(factory=dict)


class SyncService:
    """Transfers of all sessions."""

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
        self._mounts: dict[str, _SessionMounts] = {}
        self._running: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    def start(self, binding: Binding, kind: str, path: str = "", *, move: bool = True) -> None:
        """Start a transfer in the background; its task is recorded when this returns.

        Args:
            binding: The context and its session.
            kind: `UPLOAD` or `DOWNLOAD`.
            path: The requested path in the session: the mount, or a path below it.
            move: False only makes the mount's directory. Clients wait for a task of every context
                that they attach, even if its policy says not to download.
        """
        _ = self._start(binding, kind, path, move=move)

    def _start(
        self, binding: Binding, kind: str, path: str = "", *, move: bool = True
    ) -> asyncio.Task[bool]:
        work = self._record_task(binding, kind, path, move=move)
        name = f"{kind} {binding.path} of {binding.session_id}"
        task = self._background.start(work, name)
        running = self._running[binding.session_id]
        running.add(task)
        task.add_done_callback(running.discard)
        return task

    def _record_task(
        self, binding: Binding, kind: str, path: str = "", *, move: bool = True
    ) -> Coroutine[Any, Any, bool]:
        """Record a task; return a coroutine that runs it and returns whether it succeeded."""
        requested = path or binding.path
        number = self._store.bindings.start_task(
            binding.session_id, binding.context_id, requested, kind, self._clock.time()
        )
        self._store.contexts.used(binding.context_id, self._clock.time())
        return self._run_task(number, binding, kind, requested, move)

    async def upload_before_release(self, session: Session) -> bool:
        """Upload as the policies say; return whether all uploads succeeded."""
        uploads = [
            self._record_task(binding, UPLOAD)
            for binding in self._store.bindings.of(session.id)
            if policy_from_text(binding.policy).upload_policy.auto_upload
        ]
        return all(await asyncio.gather(*uploads))

    async def prepare(self, binding: Binding) -> bool:
        """Make the mount's directory; return whether that succeeded."""
        task = self._start(binding, DOWNLOAD, move=False)
        await asyncio.wait([task])
        return not task.cancelled() and task.result()

    async def end(self, session_id: str) -> None:
        """End the transfers of a session whose directory is about to be removed.

        They do not belong to its release, whose uploads are over by then.
        """
        running = self._running.pop(session_id, set())
        if not running:
            return
        # Before the cancels: of several ends of a task, the first is recorded.
        with suppress(StateFullError):  # the removal makes the room that these rows may need
            self._store.bindings.fail_running(session_id, SESSION_DELETED, self._clock.time())
        for task in running:
            task.cancel()
        await asyncio.wait(running)

    def forget(self, session_id: str) -> None:
        """Drop the mounts of a session that has ended, and its own context."""
        self._mounts.pop(session_id, None)
        own = self._store.contexts.own(session_id)
        if own is not None:
            self._store.contexts.remove(own.id)
            self._background.launch(self._files.remove(own.id), f"remove context {own.id}")

    def forget_all(self) -> None:
        """Drop the mounts of all sessions."""
        self._mounts.clear()
        self._running.clear()

    def expire_files(self) -> None:
        """Start to remove the files that have expired."""
        now = self._clock.time()
        for context in self._store.contexts.expired(now):
            # Cleared first, so that the next sweep does not start the same work again.
            self._store.contexts.set_expiry(context.id, None)
            self._background.launch(self._expire(context.id, now), f"expire files of {context.id}")

    async def _expire(self, context_id: str, now: float) -> None:
        self._store.contexts.set_expiry(context_id, await self._files.expire(context_id, now))

    async def _run_task(
        self, number: int, binding: Binding, kind: str, requested: str, move: bool
    ) -> bool:
        # Recorded if the task is cancelled.
        error: str | None = "the service stopped"
        try:
            error = await self._try_transfer(binding, kind, requested, move)
        finally:
            self._store.bindings.finish_task(number, error, self._clock.time())
        return error is None

    async def _try_transfer(
        self, binding: Binding, kind: str, requested: str, move: bool
    ) -> str | None:
        """Transfer files; return the error, or None."""
        fault = self._instruments.faults.strike(_fault_call(binding, kind), FailTask, StickTask)
        if isinstance(fault, StickTask):
            await wait_for_ever(self._clock)
        if isinstance(fault, FailTask):
            return fault.message
        try:
            session_mounts = self._mounts.setdefault(binding.session_id, _SessionMounts())
            async with session_mounts.lock:
                transfer = await self._make_transfer(session_mounts, binding, requested)
                if not move:
                    await transfer.prepare(requested)
                elif kind == DOWNLOAD:
                    await transfer.download()
                else:
                    await transfer.upload(self._clock.time())
        except (OSError, SandboxError, ValueError) as error:
            _log.warning("%s of %s failed", kind, binding.path, exc_info=error)
            return describe_error(error)
        except Exception:
            _log.exception("%s of %s failed", kind, binding.path)
            return "the local service failed; its log says why"
        return None

    async def _make_transfer(
        self, session_mounts: _SessionMounts, binding: Binding, requested: str
    ) -> Transfer:
        context = self._store.contexts.get(binding.context_id)
        is_own = context is not None and context.session_id is not None
        # The store of a session has files of any path; only those that are asked for are moved.
        path = "/" if is_own else binding.path
        if path not in session_mounts.mounts:
            spec = await self._prepare_root(binding.session_id)
            session_mounts.mounts[path] = Mount(spec.root, path, spec.uid, spec.limits.disk_bytes)
        policy = policy_from_text(binding.policy)
        mount_paths = context.mount_paths if context is not None else {}
        key = mount_paths.get(mount_path_of(binding.path, policy), "")
        inner = [] if is_own else [*self._inner_mounts(binding), *inner_keys(mount_paths, key)]
        return Transfer(
            mount=session_mounts.mounts[path],
            selection=Selection(policy, _below_mount(requested, path), inner),
            context_id=binding.context_id,
            files=self._files,
            store=self._store,
            executor=self._executor,
            key=key,
        )

    def _inner_mounts(self, binding: Binding) -> list[str]:
        """Return the mounts of the session inside this one, relative to it."""
        top = f"{binding.path}/"
        others = (entry.path for entry in self._store.bindings.of(binding.session_id))
        return [path[len(top) :].strip("/") for path in others if path.startswith(top)]


def _fault_call(binding: Binding, kind: str) -> Call:
    form = {
        "SessionId": binding.session_id,
        "ContextId": binding.context_id,
        "Path": binding.path,
    }
    return Call(kind, form)


def _below_mount(requested: str, mount: str) -> str:
    """Return a requested path relative to its mount."""
    return requested.strip("/")[len(mount.strip("/")) :].strip("/")


def describe_error(error: Exception) -> str:
    """Return the text of an error without paths of the host, as text that can be stored."""
    if isinstance(error, OSError) and error.strerror:
        name = error.filename if isinstance(error.filename, str) else ""
        reason = f"{error.strerror}: {name}" if name and name[0] != "/" else error.strerror
    else:
        reason = str(error) or type(error).__name__
    # A name that is not UTF-8 holds surrogates, and a path may be as long as a session likes.
    return reason.encode("utf-8", "backslashreplace").decode()[:_LONGEST_REASON]
