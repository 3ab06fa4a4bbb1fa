"""Transfer files between a mount and its context, as the sync policy says."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import attrs

from agentbay_async.models.sync_policy import UploadMode
from agentbay_local.contexts.retention import expiry_times
from agentbay_local.contexts.versions import LEAST_MODE, Change
from agentbay_local.trees.archive import ARCHIVE, pack, unpack
from agentbay_local.trees.atomic_write import AtomicWriter, open_source
from agentbay_local.trees.manifest import FILE, Manifest, Stamp, scan
from agentbay_local.trees.mount import BaseEntry, Difference, Mount
from agentbay_local.trees.selection import Selection, is_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from agentbay_local.contexts.context_store import ContextStore
    from agentbay_local.store import Store

__all__ = ["Transfer"]

T = TypeVar("T")


@attrs.frozen
class Transfer:
    """One download or upload.

    Attributes:
        mount: The mount in the session.
        selection: The files to transfer.
        context_id: The context.
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

    async def prepare(self) -> None:
        """Make the mount's directory, without a transfer."""

        def make_directory() -> None:
            with self.mount.open_directory():
                return

        await self._run(make_directory)

    async def download(self) -> None:
        """Copy the context's changes into the session.

        Raises:
            OSError: A file cannot be read or written.
        """
        async with self.files.open_snapshot(self.context_id) as snapshot:
            await self._run(lambda: self._download(snapshot.tree))

    def _download(self, tree: Path) -> None:
        extract = self.selection.policy.extract_policy
        keep_archive = not extract.extract or not extract.delete_src_file
        inner = () if keep_archive else (ARCHIVE,)
        selection = attrs.evolve(self.selection, inner=(*self.selection.inner, *inner))
        self.mount.download(tree, selection)
        if extract.extract and tree.is_dir():
            self._unpack(tree)

    def _unpack(self, tree: Path) -> None:
        """Unpack the archive unless the session has its content; single files beside it win."""
        fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            single = scan(fd, self.selection.may_contain)
            stamp = single.get(ARCHIVE)
            # A session could have uploaded a link with that name, which must not be followed.
            if stamp is None or stamp.kind != FILE or self.mount.base.get(ARCHIVE) == (stamp, None):
                return
            with os.fdopen(open_source(fd, ARCHIVE), "rb") as source:
                self._extract(source, set(single))
        finally:
            os.close(fd)
        if not self.selection.only:
            self.mount.base[ARCHIVE] = BaseEntry(stamp, None)

    def _extract(self, source: BinaryIO, single: set[str]) -> None:
        matches = self.selection.matcher()
        with self.mount.open_directory() as top:
            writer = AtomicWriter(top, self.mount.owner)
            extracted = unpack(source, writer, lambda path: matches(path) and path not in single)
        self.mount.base.update({path: BaseEntry(stamp, None) for path, stamp in extracted.items()})

    async def upload(self, now: float) -> None:
        """Publish the session's changes in the context.

        Args:
            now: Unix seconds, from which expiry times are counted.

        Raises:
            OSError: A file cannot be read or written; the context is unchanged.
        """
        with ExitStack() as stack:
            top = await self._run(lambda: stack.enter_context(self.mount.open_directory()))
            difference = await self._run(lambda: self.mount.difference(top, self.selection))
            archive = self.selection.policy.upload_policy.upload_mode is UploadMode.ARCHIVE
            if not difference.changed and not self._deleted(difference):
                return
            if archive:
                await self._upload_archive(top, difference, now)
            else:
                await self._upload_files(top, difference, now)

    def _deleted(self, difference: Difference) -> dict[str, BaseEntry]:
        """Return the deletions to publish."""
        follow = self.selection.policy.delete_policy.sync_local_file
        missing = {path: entry for path, entry in difference.missing.items() if path != ARCHIVE}
        return missing if follow else {}

    async def _upload_files(self, top: int, difference: Difference, now: float) -> None:
        added, deleted = dict(difference.changed), self._deleted(difference)
        removed: dict[str, Stamp | None] = {
            path: entry.in_context for path, entry in deleted.items() if entry.in_context
        }
        if any(entry.in_context is None for entry in self.mount.base.values()):
            # The context holds the archive of an earlier upload; single files replace it.
            packed = {path for path, entry in self.mount.base.items() if entry.in_context is None}
            added.update(
                {path: difference.present[path] for path in packed & set(difference.present)}
            )
            removed[ARCHIVE] = None
        await self._publish(added, removed, now, lambda writer, path: writer.copy_file(path, top))
        for path in (*deleted, *([ARCHIVE] if ARCHIVE in removed else [])):
            self.mount.base.pop(path, None)

    async def _upload_archive(self, top: int, difference: Difference, now: float) -> None:
        """Pack all files again, because parts of an archive cannot be replaced."""
        loose = self.selection.policy.upload_policy.archive_exclude_paths
        single = {
            path: stamp
            for path, stamp in difference.present.items()
            if any(is_below(path, prefix.strip("/")) for prefix in loose if prefix.strip("/"))
        }
        packed = {path: stamp for path, stamp in difference.present.items() if path not in single}
        packed.pop(ARCHIVE, None)
        removed: dict[str, Stamp | None] = {
            path: entry.in_context
            for path, entry in self.mount.base.items()
            if entry.in_context and path not in single
        }
        changed = {path: stamp for path, stamp in single.items() if path in difference.changed}
        with self.files.incoming_file(self.context_id) as file:
            await self._run(lambda: pack(top, packed, file))

            def write(writer: AtomicWriter, path: str) -> Stamp:
                return (
                    writer.link_file(path, file) if path == ARCHIVE else writer.copy_file(path, top)
                )

            await self._publish({**changed, ARCHIVE: Stamp(FILE)}, removed, now, write)
        for path in [path for path in self.mount.base if path not in single and path != ARCHIVE]:
            del self.mount.base[path]
        self.mount.base.update({path: BaseEntry(stamp, None) for path, stamp in packed.items()})

    async def _publish(
        self,
        added: Manifest,
        removed: dict[str, Stamp | None],
        now: float,
        write: Callable[[AtomicWriter, str], Stamp],
    ) -> None:
        expiry = expiry_times(self.selection.policy.recycle_policy, added, now)
        published = await self.files.publish(self.context_id, Change(added, write, removed, expiry))
        self.store.contexts.set_expiry(self.context_id, published.next_expiry)
        for path, stamp in published.added.items():
            in_context = _add_least_mode(stamp)
            self.mount.base[path] = (
                BaseEntry(in_context, None) if path == ARCHIVE else BaseEntry(stamp, in_context)
            )

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)


def _add_least_mode(stamp: Stamp) -> Stamp:
    """Return the stamp that a file gets in a context."""
    return stamp._replace(mode=stamp.mode | LEAST_MODE) if stamp.kind == FILE else stamp
