"""One movement of files between one mount and one context, in the form its policy asks for."""

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
    """What moves, between where.

    Attributes:
        mount: The session's side.
        selection: Which files.
        context_id: The context's side.
        files: The files of contexts.
        store: Where the next expiry of the context is kept.
        executor: Threads for work on files.
    """

    mount: Mount
    selection: Selection
    context_id: str
    files: ContextStore
    store: Store
    executor: Executor

    async def prepare(self) -> None:
        """Make the mount's directory and move nothing."""
        await self._run(lambda: self._open_and_close())

    def _open_and_close(self) -> None:
        with self.mount.opened():
            return

    async def download(self) -> None:
        """Bring to the session what changed in the context.

        Raises:
            OSError: Something could not be read or written.
        """
        async with self.files.reading(self.context_id) as snapshot:
            await self._run(lambda: self._bring(snapshot.tree))

    def _bring(self, tree: Path) -> None:
        extract = self.selection.policy.extract_policy
        deliver = not extract.extract or not extract.delete_src_file
        inner = () if deliver else (ARCHIVE,)
        selection = attrs.evolve(self.selection, inner=(*self.selection.inner, *inner))
        self.mount.bring(tree, selection)
        if extract.extract and tree.is_dir():
            self._unpack(tree)

    def _unpack(self, tree: Path) -> None:
        """Unpack an archive the session does not have yet, but for what is a file beside it."""
        handle = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            single = scan(handle, self.selection.enters)
            mark = single.get(ARCHIVE)
            # A session can upload a link of that name, which must not be followed.
            if mark is None or mark.kind != FILE or self.mount.base.get(ARCHIVE) == (mark, None):
                return
            with os.fdopen(open_source(handle, ARCHIVE), "rb") as source:
                self._put(source, set(single))
        finally:
            os.close(handle)
        if not self.selection.only:
            self.mount.base[ARCHIVE] = BaseEntry(mark, None)

    def _put(self, source: BinaryIO, single: set[str]) -> None:
        picked = self.selection.picker()
        with self.mount.opened() as top:
            landing = AtomicWriter(top, self.mount.owner)
            put = unpack(source, landing, lambda path: picked(path) and path not in single)
        self.mount.base.update({path: BaseEntry(mark, None) for path, mark in put.items()})

    async def upload(self, now: float) -> None:
        """Publish in the context what the session has changed.

        Args:
            now: Unix seconds, from which the time that files are kept is counted.

        Raises:
            OSError: Something could not be read or written; the context is as it was.
        """
        with ExitStack() as stack:
            top = await self._run(lambda: stack.enter_context(self.mount.opened()))
            difference = await self._run(lambda: self.mount.difference(top, self.selection))
            archive = self.selection.policy.upload_policy.upload_mode is UploadMode.ARCHIVE
            if not difference.changed and not self._gone(difference):
                return
            if archive:
                await self._upload_archive(top, difference, now)
            else:
                await self._upload_files(top, difference, now)

    def _gone(self, difference: Difference) -> dict[str, BaseEntry]:
        """Return the deletions that count."""
        follow = self.selection.policy.delete_policy.sync_local_file
        missing = {path: agreed for path, agreed in difference.missing.items() if path != ARCHIVE}
        return missing if follow else {}

    async def _upload_files(self, top: int, difference: Difference, now: float) -> None:
        added, gone = dict(difference.changed), self._gone(difference)
        removed: dict[str, Stamp | None] = {
            path: agreed.there for path, agreed in gone.items() if agreed.there
        }
        if any(agreed.there is None for agreed in self.mount.base.values()):
            # One change among packed files: from here on they are single files.
            packed = {path for path, agreed in self.mount.base.items() if agreed.there is None}
            added.update(
                {path: difference.present[path] for path in packed & set(difference.present)}
            )
            removed[ARCHIVE] = None
        await self._publish(added, removed, now, lambda landing, path: landing.copy(path, top))
        for path in (*gone, *([ARCHIVE] if ARCHIVE in removed else [])):
            self.mount.base.pop(path, None)

    async def _upload_archive(self, top: int, difference: Difference, now: float) -> None:
        """Pack everything again: an archive has no parts that could be replaced."""
        loose = self.selection.policy.upload_policy.archive_exclude_paths
        single = {
            path: mark
            for path, mark in difference.present.items()
            if any(is_below(path, prefix.strip("/")) for prefix in loose if prefix.strip("/"))
        }
        packed = {path: mark for path, mark in difference.present.items() if path not in single}
        packed.pop(ARCHIVE, None)
        removed: dict[str, Stamp | None] = {
            path: agreed.there
            for path, agreed in self.mount.base.items()
            if agreed.there and path not in single
        }
        changed = {path: mark for path, mark in single.items() if path in difference.changed}
        with self.files.incoming(self.context_id) as file:
            await self._run(lambda: pack(top, packed, file))

            def fetch(landing: AtomicWriter, path: str) -> Stamp:
                return landing.adopt(path, file) if path == ARCHIVE else landing.copy(path, top)

            await self._publish({**changed, ARCHIVE: Stamp(FILE)}, removed, now, fetch)
        for path in [path for path in self.mount.base if path not in single and path != ARCHIVE]:
            del self.mount.base[path]
        self.mount.base.update({path: BaseEntry(mark, None) for path, mark in packed.items()})

    async def _publish(
        self,
        added: Manifest,
        removed: dict[str, Stamp | None],
        now: float,
        fetch: Callable[[AtomicWriter, str], Stamp],
    ) -> None:
        expiry = expiry_times(self.selection.policy.recycle_policy, added, now)
        published = await self.files.publish(self.context_id, Change(added, fetch, removed, expiry))
        self.store.contexts.set_expiry(self.context_id, published.next_expiry)
        for path, mark in published.added.items():
            there = _stored(mark)
            self.mount.base[path] = (
                BaseEntry(there, None) if path == ARCHIVE else BaseEntry(mark, there)
            )

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)


def _stored(mark: Stamp) -> Stamp:
    """Return the stamp that a file has once it is in a context."""
    return mark._replace(mode=mark.mode | LEAST_MODE) if mark.kind == FILE else mark
