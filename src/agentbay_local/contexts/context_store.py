"""The files of contexts on disk, as immutable versions.

::

    contexts/<id>/versions/<n>/tree/...     the files of a version, never modified
    contexts/<id>/versions/<n>/expiry.json  the expiry times of its files
    contexts/<id>/current -> versions/<n>   the current version
    contexts/<id>/incoming-*, staging-*     unfinished files, removed at the next start
    contexts/removed-*                      removed contexts, deleted at the next start

A change builds the next version beside the current one, with hard links for unchanged files, and
replaces the link ``current`` by a rename. A kill at any moment thus leaves a complete version.
Readers keep the version that they opened; it is removed when the last of them closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_local.contexts.versions import (
    Change,
    PublishedVersion,
    build_version,
    current_version,
    find_leftovers,
    lacks,
    publish_version,
    read_expiry,
)
from agentbay_local.sandbox.host.off_loop import run_off_loop
from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.trees.manifest import FILE, Stamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from agentbay_local.trees.atomic_write import AtomicWriter

__all__ = ["ContextStore", "Snapshot"]

_REMOVED = "removed-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

T = TypeVar("T")


@attrs.frozen
class Snapshot:
    """A version that is kept while it is open.

    Attributes:
        tree: The directory of its files.
    """

    tree: Path

    def open_directory(self, path: str) -> int | None:
        """Open a directory of the version; None if there is none.

        Not by a plain path: a session may have uploaded a link that leads to files of the host.
        """
        try:
            tree = os.open(self.tree, _DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            return open_beneath(tree, path or ".", _DIRECTORY)
        except OSError:
            # As in an object store, a directory without files does not exist.
            return None
        finally:
            os.close(tree)

    def has_directory(self, path: str) -> bool:
        """Say whether the version has a directory at a path."""
        directory = self.open_directory(path)
        if directory is not None:
            os.close(directory)
        return directory is not None

    def lacks(self, path: str) -> bool:
        """Say whether the version has nothing at a path, nor a file in its way."""
        return lacks(self.tree, path)


class ContextStore:
    """The files of all contexts.

    Args:
        directory: The parent of the directories of contexts.
        executor: Threads for file operations.
        durable: Survive a power failure: flush each version to disk before it becomes current.
    """

    def __init__(self, directory: Path, executor: Executor, *, durable: bool) -> None:
        self.directory = directory
        self._executor = executor
        self._durable = durable
        self._locks: dict[str, asyncio.Lock] = {}
        self._upload_locks: dict[str, asyncio.Lock] = {}
        self._empty = directory.parent / "empty"
        self._empty.mkdir(mode=0o700, exist_ok=True)
        self._readers: Counter[Path] = Counter()
        self._outdated: set[Path] = set()

    async def recover(self, known: Collection[str], lost_and_found: Path) -> list[Path]:
        """Remove unfinished versions, and move files without a row aside.

        A database that is empty or of another service must not cost any files.

        Args:
            known: The ids in the database.
            lost_and_found: The directory to move other contexts to.

        Returns:
            The new paths of the contexts that were moved.
        """
        moved = []
        for path in list(self.directory.iterdir()):
            if path.name in known:
                for leftover in await self._run(partial(find_leftovers, path)):
                    await remove_tree(leftover)
            elif path.name.startswith(_REMOVED):
                await remove_tree(path)
            else:
                moved.append(await self._run(partial(_set_aside, path, lost_and_found)))
        return moved

    async def remove_all(self) -> None:
        """Remove every context from the disk."""
        for path in list(self.directory.iterdir()):
            await remove_tree(path)

    async def publish(self, context_id: str, change: Change, below: str = "") -> PublishedVersion:
        """Apply a change, and make the result the current version.

        Args:
            context_id: The context.
            change: The change.
            below: The directory in the context that its paths are relative to.

        Raises:
            OSError: A file cannot be read or written; the context is unchanged.
        """
        async with self._lock(context_id):
            path = self.directory / context_id
            staging = path / f"staging-{secrets.token_hex(8)}"
            try:
                published = await run_off_loop(
                    lambda: build_version(path, staging, change, below),
                    self._executor,
                    change.budget.cancel,
                )
                old = await self._run(lambda: publish_version(path, staging, self._durable))
            except BaseException:
                await remove_tree(staging)
                raise
            if old is not None:
                await self._retire(old)
            return published

    @asynccontextmanager
    async def open_snapshot(self, context_id: str) -> AsyncIterator[Snapshot]:
        """Open the current version; it is empty if the context has none yet."""
        # Without an await before the count, or `publish` could remove the version in between.
        version = current_version(self.directory / context_id)
        if version is None:
            yield Snapshot(self._empty)
            return
        self._readers[version] += 1
        try:
            yield Snapshot(version / "tree")
        finally:
            self._readers[version] -= 1
            if not self._readers[version]:
                del self._readers[version]
                if version in self._outdated:
                    self._outdated.discard(version)
                    await remove_tree(version)

    def current(self, context_id: str) -> Snapshot:
        """Return the current version, for a look that awaits nothing."""
        version = current_version(self.directory / context_id)
        return Snapshot(self._empty if version is None else version / "tree")

    def version(self, context_id: str) -> str:
        """Return the number of the current version; "" if nothing was ever saved."""
        version = current_version(self.directory / context_id)
        return "" if version is None else version.name

    @contextmanager
    def incoming_file(self, context_id: str) -> Iterator[Path]:
        """Yield the path of a temporary file for content that will be published."""
        # In the directory of the context, because a hard link cannot cross file systems.
        path = self.directory / context_id
        path.mkdir(mode=0o700, exist_ok=True)
        file = path / f"incoming-{secrets.token_hex(8)}"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    async def publish_file(
        self, context_id: str, path: str, file: Path, replaced: Collection[str] = ()
    ) -> PublishedVersion:
        """Add a file.

        Args:
            context_id: The context.
            path: Its path in the context.
            file: An `incoming_file` with its content.
            replaced: Files to remove.
        """

        def link(writer: AtomicWriter, path: str) -> Stamp:
            return writer.link_file(path, file)

        removed = dict.fromkeys(replaced)
        change = Change(added={path: Stamp(FILE)}, write=link, removed=removed)
        return await self.publish(context_id, change)

    async def expire(self, context_id: str, now: float) -> float | None:
        """Remove the files that have expired; return the next expiry time."""
        directory = self.directory / context_id
        expiry = await self._run(lambda: read_expiry(current_version(directory)))
        due = [path for path, time in expiry.items() if time <= now]
        published = await self.publish(context_id, Change(removed=dict.fromkeys(due)))
        return published.next_expiry

    async def clear(self, context_id: str) -> None:
        """Remove all files."""
        await self.publish(context_id, Change(remove_all=True))

    async def remove(self, context_id: str) -> None:
        """Remove a context from the disk, even if snapshots of it are open."""
        async with self._lock(context_id):
            # Renamed, so that the next start finishes the removal if this service is killed.
            removed = self.directory / f"{_REMOVED}{secrets.token_hex(8)}"
            with contextlib.suppress(FileNotFoundError):
                (self.directory / context_id).rename(removed)
            await remove_tree(removed)
        self._locks.pop(context_id, None)
        self._upload_locks.pop(context_id, None)

    def upload_lock(self, context_id: str) -> asyncio.Lock:
        """Return the lock to hold from the look at a version until the change of it is published.

        Of two uploads that pack the same archive again, each would lose what the other adds.
        """
        return self._upload_locks.setdefault(context_id, asyncio.Lock())

    async def _retire(self, version: Path) -> None:
        if self._readers[version]:
            self._outdated.add(version)
        else:
            await remove_tree(version)

    def _lock(self, context_id: str) -> asyncio.Lock:
        return self._locks.setdefault(context_id, asyncio.Lock())

    async def _run(self, work: Callable[[], T]) -> T:
        return await run_off_loop(work, self._executor)


def _set_aside(path: Path, lost_and_found: Path) -> Path:
    lost_and_found.mkdir(mode=0o700, exist_ok=True)
    target = lost_and_found / path.name
    if os.path.lexists(target):
        target = lost_and_found / f"{path.name}-{secrets.token_hex(4)}"
    path.rename(target)
    return target
