"""Transfer files between a mount and its context, as the sync policy says."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import attrs

from agentbay_async.models.sync_policy import UploadMode
from agentbay_local.contexts.retention import expiry_times
from agentbay_local.contexts.versions import LEAST_MODE, Change, PublishedVersion
from agentbay_local.off_loop import run_off_loop
from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.trees.archive import ARCHIVE, measure, pack, unpack
from agentbay_local.trees.atomic_write import AtomicWriter, Source, open_source
from agentbay_local.trees.budget import Budget
from agentbay_local.trees.manifest import (
    DIRECTORY,
    FILE,
    Manifest,
    Stamp,
    UnstableFileError,
    find_stamp,
)
from agentbay_local.trees.mount import BaseEntry, Difference, Mount, scan_selected
from agentbay_local.trees.selection import Selection, is_below

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from agentbay_local.contexts.context_store import ContextStore, Snapshot
    from agentbay_local.store import Store

__all__ = ["Transfer"]

T = TypeVar("T")

_ATTEMPTS = 3
# A session that changes its files during a transfer causes these.
_CHANGED = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
    }
)
# The texts of these errors do not help a reader.
_OBSCURE = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINVAL})


@attrs.frozen
class _Plan:
    """An upload that is ready to be published.

    Attributes:
        change: The change of the context.
        forgotten: Paths to remove from the base afterwards.
        packed: Entries that the context has in its archive afterwards.
    """

    change: Change
    forgotten: list[str]
    packed: Manifest = attrs.field(factory=dict)


@attrs.frozen
class Transfer:
    """One download or upload. All work on files runs on threads, within a budget.

    Attributes:
        mount: The mount in the session.
        selection: The files to transfer.
        context_id: The context.
        key: The directory in the context that is mounted; ``""`` is the context itself.
        files: The files of contexts.
        store: Keeps the next expiry time of the context.
        executor: Threads for file operations.
    """

    mount: Mount
    selection: Selection
    context_id: str
    files: ContextStore
    store: Store
    executor: Executor
    key: str = ""

    async def prepare(self, path: str) -> None:
        """Make a directory of the session, without a transfer."""

        def make_directory() -> None:
            with attrs.evolve(self.mount, path=path).open_directory():
                return

        await run_off_loop(make_directory, self.executor)

    async def download(self) -> None:
        """Copy the context's changes into the session.

        Raises:
            BudgetExceededError: They are too many or too large; the session is unchanged.
            DamagedArchiveError: The archive of the context cannot be unpacked.
            UnstableFileError: The session kept changing its files meanwhile.
            OSError: A file cannot be read or written.
        """
        async with self.files.open_snapshot(self.context_id) as snapshot:
            await self._try_again(partial(self._download_once, snapshot))

    async def upload(self, now: float) -> None:
        """Publish the session's changes in the context.

        Args:
            now: Unix seconds, from which expiry times are counted.

        Raises:
            BudgetExceededError: They are too many or too large; the context is unchanged.
            UnstableFileError: The session kept changing its files; the context is unchanged.
            OSError: A file cannot be read or written; the context is unchanged.
        """
        await self._try_again(partial(self._upload_once, now))

    async def _try_again(self, attempt: Callable[[Budget], Awaitable[None]]) -> None:
        """Repeat the transfer, with a new scan, if the session changes its files meanwhile."""
        for left in reversed(range(_ATTEMPTS)):
            if await self._attempt(attempt, last=not left):
                return

    async def _attempt(self, attempt: Callable[[Budget], Awaitable[None]], last: bool) -> bool:
        """Return whether an attempt succeeded, or False if it is to be made again."""
        try:
            await attempt(Budget(self.mount.most_bytes))
        except (OSError, SandboxOSError) as error:
            if error.errno not in _CHANGED or (last and error.errno not in _OBSCURE):
                raise
            if last:
                raise UnstableFileError(_path_of(error)) from error
            return False
        return True

    async def _download_once(self, snapshot: Snapshot, budget: Budget) -> None:
        await self._run(budget, lambda: self._download(snapshot, budget))

    def _download(self, snapshot: Snapshot, budget: Budget) -> None:
        extract = self.selection.policy.extract_policy
        keep_archive = not extract.extract or not extract.delete_src_file
        inner = () if keep_archive else (ARCHIVE,)
        selection = attrs.evolve(self.selection, inner=(*self.selection.inner, *inner))
        directory = snapshot.open_directory(self.key)
        try:
            self.mount.download(directory, selection, budget)
            if extract.extract and directory is not None:
                self._unpack(directory, budget)
        finally:
            if directory is not None:
                os.close(directory)

    def _unpack(self, directory: int, budget: Budget) -> None:
        """Unpack the archive unless the session has its content; single files beside it win."""
        stamp = _find_archive(directory)
        # A session could have uploaded a link with that name, which must not be followed.
        if stamp is None or stamp.kind != FILE or self.mount.base.get(ARCHIVE) == (stamp, None):
            return
        budget.start_again()
        single = set(scan_selected(Source(directory, budget), self.selection))
        with os.fdopen(open_source(directory, ARCHIVE), "rb") as source:
            self._extract(source, single, budget)
        if not self.selection.only:
            self.mount.base[ARCHIVE] = BaseEntry(stamp, None)

    def _extract(self, source: BinaryIO, single: set[str], budget: Budget) -> None:
        matches = self.selection.matcher()

        def wanted(path: str) -> bool:
            return matches(path) and path not in single

        # Read twice, so that an archive that is damaged or too large leaves no trace.
        budget.start_again()
        self.mount.check_room(measure(source, wanted, budget))
        source.seek(0)
        budget.start_again()
        with self.mount.open_directory() as top:
            writer = AtomicWriter(top, self.mount.owner)
            extracted = unpack(source, writer, wanted, budget)
        self.mount.base.update({path: BaseEntry(stamp, None) for path, stamp in extracted.items()})

    async def _upload_once(self, now: float, budget: Budget) -> None:
        with ExitStack() as stack:
            async with self.files.open_snapshot(self.context_id) as snapshot:
                plan = await self._run(budget, lambda: self._plan(stack, snapshot, now, budget))
            if plan is None:
                return
            published = await self.files.publish(self.context_id, plan.change, self.key)
            self.store.contexts.set_expiry(self.context_id, published.next_expiry)
            await self._run(budget, lambda: self._record(plan, published))

    def _plan(
        self, stack: ExitStack, snapshot: Snapshot, now: float, budget: Budget
    ) -> _Plan | None:
        """Compare the session with the base; return None if nothing has changed."""
        top = stack.enter_context(self.mount.open_directory())
        source = Source(top, budget, self.mount.owner)
        packs = self.selection.policy.upload_policy.upload_mode is UploadMode.ARCHIVE
        # Parts of an archive cannot be replaced: who names a file of one uploads all of them.
        whole = packs or self._has_archive()
        selection = attrs.evolve(self.selection, only="") if whole else self.selection
        difference = self.mount.difference(source, selection)
        lost = {} if packs else self._lost(difference, snapshot)
        if not difference.changed and not self._deleted(difference) and not lost:
            return None
        if packs:
            file = stack.enter_context(self.files.incoming_file(self.context_id))
            return self._plan_archive(source, difference, file, now)
        return self._plan_files(source, difference, lost, now)

    def _has_archive(self) -> bool:
        """Return whether the context holds the archive of an earlier upload."""
        return any(entry.in_context is None for entry in self.mount.base.values())

    def _lost(self, difference: Difference, snapshot: Snapshot) -> Manifest:
        """Return the file that the request names, if the context has it no more.

        Others have deleted it, and who names it wants it there: clients upload a file for a moment,
        fetch it by its URL and delete it.
        """
        path = self.selection.only
        entry, stamp = self.mount.base.get(path), difference.present.get(path)
        if entry is None or entry.in_context is None or stamp is None or stamp.kind == DIRECTORY:
            return {}
        in_context = f"{self.key}/{path}" if self.key else path
        return {path: stamp} if snapshot.lacks(in_context) else {}

    def _deleted(self, difference: Difference) -> dict[str, BaseEntry]:
        """Return the deletions to publish."""
        follow = self.selection.policy.delete_policy.sync_local_file
        missing = {path: entry for path, entry in difference.missing.items() if path != ARCHIVE}
        return missing if follow else {}

    def _plan_files(
        self, source: Source, difference: Difference, lost: Manifest, now: float
    ) -> _Plan:
        added, deleted = dict(difference.changed), self._deleted(difference)
        removed: dict[str, Stamp | None] = {
            path: entry.in_context for path, entry in deleted.items() if entry.in_context
        }
        if self._has_archive():
            # Single files replace it.
            packed = {path for path, entry in self.mount.base.items() if entry.in_context is None}
            added.update(
                {path: stamp for path, stamp in difference.present.items() if path in packed}
            )
            removed[ARCHIVE] = None

        def write(writer: AtomicWriter, path: str) -> Stamp:
            return writer.copy_file(path, source)

        change = self._change(added, removed, now, write, source.budget, restored=lost)
        return _Plan(change, [*deleted, *([ARCHIVE] if ARCHIVE in removed else [])])

    def _plan_archive(
        self, source: Source, difference: Difference, file: Path, now: float
    ) -> _Plan:
        """Pack all files again, because parts of an archive cannot be replaced."""
        loose = self.selection.policy.upload_policy.archive_exclude_paths
        single = {
            path: stamp
            for path, stamp in difference.present.items()
            if any(is_below(path, prefix.strip("/")) for prefix in loose if prefix.strip("/"))
        }
        to_pack = {path: stamp for path, stamp in difference.present.items() if path not in single}
        to_pack.pop(ARCHIVE, None)
        removed: dict[str, Stamp | None] = {
            path: entry.in_context
            for path, entry in self.mount.base.items()
            if entry.in_context and path not in single
        }
        changed = {path: stamp for path, stamp in single.items() if path in difference.changed}
        packed = pack(source, to_pack, file)

        def write(writer: AtomicWriter, path: str) -> Stamp:
            if path == ARCHIVE:
                return writer.link_file(path, file)
            return writer.copy_file(path, source)

        added = {**changed, ARCHIVE: Stamp(FILE)}
        forgotten = [path for path in self.mount.base if path not in single and path != ARCHIVE]
        change = self._change(added, removed, now, write, source.budget)
        return _Plan(change, forgotten, packed)

    def _change(
        self,
        added: Manifest,
        removed: dict[str, Stamp | None],
        now: float,
        write: Callable[[AtomicWriter, str], Stamp],
        budget: Budget,
        restored: Manifest | None = None,
    ) -> Change:
        restored = restored or {}
        expiry = expiry_times(self.selection.policy.recycle_policy, {**restored, **added}, now)
        return Change(added, restored, write, removed, expiry, budget=budget)

    def _record(self, plan: _Plan, published: PublishedVersion) -> None:
        """Record in the base what both sides have now."""
        base = self.mount.base
        for path, stamp in published.added.items():
            in_context = _add_least_mode(stamp)
            base[path] = (
                BaseEntry(in_context, None) if path == ARCHIVE else BaseEntry(stamp, in_context)
            )
        for path in plan.forgotten:
            base.pop(path, None)
        base.update({path: BaseEntry(stamp, None) for path, stamp in plan.packed.items()})

    async def _run(self, budget: Budget, work: Callable[[], T]) -> T:
        return await run_off_loop(work, self.executor, budget.cancel)


def _find_archive(tree: int) -> Stamp | None:
    try:
        return find_stamp(tree, ARCHIVE)
    except FileNotFoundError:
        return None


def _path_of(error: OSError | SandboxOSError) -> str:
    path = error.path if isinstance(error, SandboxOSError) else error.filename
    return path if isinstance(path, str) else ""


def _add_least_mode(stamp: Stamp) -> Stamp:
    """Return the stamp that a file gets in a context."""
    if stamp.kind != FILE or stamp.mode & LEAST_MODE == LEAST_MODE:
        return stamp
    return stamp._replace(mode=stamp.mode | LEAST_MODE)
