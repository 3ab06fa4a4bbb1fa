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
from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host.off_loop import run_off_loop
from agentbay_local.trees.archive import ARCHIVE, DamagedArchiveError, list_members, pack
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
from agentbay_local.trees.selection import Selection, is_below, parents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
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
        is_partial: Whether its archive has files then that the session lacks.
    """

    change: Change
    forgotten: list[str]
    packed: Manifest = attrs.field(factory=dict)
    is_partial: bool = False


@attrs.frozen
class _Content:
    """What a context has before an upload that packs or replaces its archive.

    Attributes:
        has_archive: Whether it has one.
        single: Its single files, which win over those in the archive.
        members: The content of the archive.
        archive: The open archive, which is not trusted. None if nothing in it needs to be copied.
    """

    has_archive: bool = False
    single: Manifest = attrs.field(factory=dict)
    members: Manifest = attrs.field(factory=dict)
    archive: BinaryIO | None = None

    def has_changed(self, path: str, entry: BaseEntry) -> bool:
        """Return whether others have replaced or removed a path of a base."""
        current = self.single.get(path) or self.members.get(path)
        return current is None or _add_least_mode(current) != _add_least_mode(entry.in_session)

    def only_packed(self, current: Manifest, changed: Manifest) -> Manifest:
        """Return what the session has not changed and the context has in its archive alone."""
        return {
            path: stamp
            for path, stamp in current.items()
            if path in self.members and path not in self.single and path not in changed
        }


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
        matches = self.selection.matcher()
        with os.fdopen(open_source(directory, ARCHIVE), "rb") as archive:
            self.mount.unpack(
                archive, lambda path: matches(path) and path not in single, self.selection, budget
            )
        if not self.selection.only:
            self.mount.base[ARCHIVE] = BaseEntry(stamp, None)

    async def _upload_once(self, now: float, budget: Budget) -> None:
        async with self.files.upload_lock(self.context_id):
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
        # Parts of an archive cannot be replaced: who names a file of one uploads all of them.
        is_whole = self._packs() or self._unpacked()
        selection = attrs.evolve(self.selection, only="") if is_whole else self.selection
        difference = self.mount.difference(source, selection)
        lost = {} if self._packs() else self._lost(difference, snapshot)
        if not difference.changed and not self._deleted(difference) and not lost:
            return None
        content = self._content(stack, snapshot, budget)
        if not content.has_archive and not self._packs():
            return self._plan_files(source, difference, lost, now)
        file = stack.enter_context(self.files.incoming_file(self.context_id))
        if self._packs():
            return self._plan_archive(source, difference, content, file, now)
        return self._plan_beside_archive(source, difference, content, lost, file, now)

    def _packs(self) -> bool:
        return self.selection.policy.upload_policy.upload_mode is UploadMode.ARCHIVE

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

    def _content(self, stack: ExitStack, snapshot: Snapshot, budget: Budget) -> _Content:
        """Read what the context has, as far as an archive makes it matter."""
        directory = snapshot.open_directory(self.key)
        if directory is None:
            return _Content()
        stack.callback(os.close, directory)
        stamp = _find_archive(directory)
        has_archive = stamp is not None and stamp.kind == FILE
        if not has_archive and not self._packs():
            return _Content()
        budget.start_again()
        single = scan_selected(Source(directory, budget), attrs.evolve(self.selection, only=""))
        if not has_archive or self._holds_all_of(stamp):
            return _Content(has_archive, single, self._unpacked() if has_archive else {})
        archive = stack.enter_context(os.fdopen(open_source(directory, ARCHIVE), "rb"))
        return _Content(True, single, _list_members(archive, budget), archive)

    def _unpacked(self) -> Manifest:
        """Return the entries that the session has from an archive."""
        return {
            path: entry.in_session
            for path, entry in self.mount.base.items()
            if entry.in_context is None and path != ARCHIVE
        }

    def _holds_all_of(self, archive: Stamp | None) -> bool:
        """Return whether the session has had every member of this archive, and may delete it."""
        follows = self.selection.policy.delete_policy.sync_local_file
        held = self.mount.base.get(ARCHIVE) == (archive, None)
        return held and follows and self.selection.has_all

    def _carried(self, content: _Content, difference: Difference, written: Manifest) -> set[str]:
        """Return the members of the archive that the next one keeps.

        All but what is written now, and what the session had and has deleted.
        """
        if content.archive is None:
            return set()
        deleted = {
            path
            for path, entry in self._deleted(difference).items()
            if not content.has_changed(path, entry)
        }
        kept = content.members.keys() - written.keys() - deleted
        return _without_conflicts({path: content.members[path] for path in kept}, written)

    def _current(self, content: _Content, difference: Difference) -> Manifest:
        """Return what the session has changed, and of the rest what others have not changed."""
        base = self.mount.base
        return {
            path: stamp
            for path, stamp in difference.present.items()
            if path in difference.changed or not content.has_changed(path, base[path])
        }

    def _plan_files(
        self, source: Source, difference: Difference, restored: Manifest, now: float
    ) -> _Plan:
        """Publish the changed files."""
        deleted = self._deleted(difference)
        change = self._change(source, difference.changed, _in_context(deleted), now, restored)
        return _Plan(change, list(deleted))

    def _plan_beside_archive(
        self,
        source: Source,
        difference: Difference,
        content: _Content,
        lost: Manifest,
        file: Path,
        now: float,
    ) -> _Plan:
        """Publish single files, and leave in the archive only what is not the session's."""
        deleted, changed = self._deleted(difference), difference.changed
        current = self._current(content, difference)
        restored = {**content.only_packed(current, changed), **lost}
        carried = self._carried(content, difference, {**restored, **changed})
        removed, archive = _in_context(deleted), None
        if not carried and ARCHIVE not in changed:
            removed[ARCHIVE] = None
        elif carried != content.members.keys():
            pack(source, {}, file, content.archive, carried)
            archive = file
        change = self._change(source, changed, removed, now, restored, archive)
        return _Plan(change, list(deleted), is_partial=archive is not None)

    def _plan_archive(
        self, source: Source, difference: Difference, content: _Content, file: Path, now: float
    ) -> _Plan:
        """Pack all files again, because parts of an archive cannot be replaced."""
        changed, base = difference.changed, self.mount.base
        loose = self.selection.policy.upload_policy.archive_exclude_paths
        tops = [prefix.strip("/") for prefix in loose if prefix.strip("/")]
        single = {p for p in difference.present if any(is_below(p, top) for top in tops)}
        current = self._current(content, difference)
        to_pack = {p: stamp for p, stamp in current.items() if p not in single and p != ARCHIVE}
        # Single files win over the archive, so those that it replaces must go.
        removed = _in_context({path: base[path] for path in to_pack if path in base})
        removed |= _in_context(self._deleted(difference))
        removed |= dict.fromkeys(
            path for path, stamp in to_pack.items() if path in changed and stamp.kind != DIRECTORY
        )
        loose_files = {path: current[path] for path in single & current.keys()}
        # What another policy has packed must not vanish with that archive.
        restored = content.only_packed(loose_files, changed)
        carried = self._carried(content, difference, {**to_pack, **loose_files})
        packed = pack(source, to_pack, file, content.archive, carried)
        added = {path: stamp for path, stamp in changed.items() if path in single}
        change = self._change(source, added, removed, now, restored, file)
        # What others have changed stays in the base, or it would seem to be new the next time.
        kept = single | {ARCHIVE} | (difference.present.keys() - current.keys())
        forgotten = [path for path in base if path not in kept]
        return _Plan(change, forgotten, packed, is_partial=bool(carried))

    def _change(
        self,
        source: Source,
        added: Manifest,
        removed: dict[str, Stamp | None],
        now: float,
        restored: Manifest | None = None,
        archive: Path | None = None,
    ) -> Change:
        def write(writer: AtomicWriter, path: str) -> Stamp:
            if archive is not None and path == ARCHIVE:
                return writer.link_file(path, archive)
            return writer.copy_file(path, source)

        if archive is not None:
            added = {**added, ARCHIVE: Stamp(FILE)}
        restored = restored or {}
        expiry = expiry_times(self.selection.policy.recycle_policy, {**restored, **added}, now)
        return Change(added, restored, write, removed, expiry, budget=source.budget)

    def _record(self, plan: _Plan, published: PublishedVersion) -> None:
        """Record in the base what both sides have now."""
        base = self.mount.base
        for path, stamp in published.added.items():
            in_context = _add_least_mode(stamp)
            if path != ARCHIVE:
                base[path] = BaseEntry(stamp, in_context)
            elif not plan.is_partial:
                base[path] = BaseEntry(in_context, None)
        for path in plan.forgotten:
            base.pop(path, None)
        base.update({path: BaseEntry(stamp, None) for path, stamp in plan.packed.items()})

    async def _run(self, budget: Budget, work: Callable[[], T]) -> T:
        return await run_off_loop(work, self.executor, budget.cancel)


def _list_members(file: BinaryIO, budget: Budget) -> Manifest:
    budget.start_again()
    try:
        members = list_members(file, budget)
    except DamagedArchiveError as error:
        raise DamagedArchiveError(
            f"the context would lose what its archive holds, because {error}; to upload without "
            f"it, delete {ARCHIVE} from the context"
        ) from error
    budget.start_again()
    file.seek(0)
    return members


def _without_conflicts(carried: Manifest, written: Manifest) -> set[str]:
    """Drop the entries that cannot exist beside those that are written."""
    leaves = {path for path, stamp in written.items() if stamp.kind != DIRECTORY}
    directories = {top for path in written for top in parents(path)} | (written.keys() - leaves)
    return {
        path
        for path, stamp in carried.items()
        if leaves.isdisjoint(parents(path))
        and not (path in directories and stamp.kind != DIRECTORY)
    }


def _in_context(entries: Mapping[str, BaseEntry]) -> dict[str, Stamp | None]:
    """Return the stamps that entries of a base have as single files, if they have not changed.

    Others may have replaced the archive by files meanwhile.
    """
    return {
        path: entry.in_context or _add_least_mode(entry.in_session)
        for path, entry in entries.items()
    }


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
