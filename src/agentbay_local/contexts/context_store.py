"""The files of contexts on disk: whole versions, renamed into place.

::

    contexts/<id>/versions/<n>/tree/...     the files of a version, never written in place
    contexts/<id>/versions/<n>/expiry.json  when which of them are to be removed
    contexts/<id>/current -> versions/<n>   the version that counts
    contexts/<id>/incoming-*, staging-*     what is being written; swept away at the next start

A change builds the next version beside the current one, with hard links for what stays the same,
and switches ``current`` by a rename: whatever kills the service at whatever moment, a whole version
is there. Readers hold the version they began with; it goes when the last of them is done.
"""

from __future__ import annotations

import asyncio
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
    publish_version,
    read_expiry,
)
from agentbay_local.sandbox.host.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

__all__ = ["ContextStore", "Snapshot"]

T = TypeVar("T")


@attrs.frozen
class Snapshot:
    """A version that stays as it is while it is held.

    Attributes:
        tree: The directory with its files.
    """

    tree: Path


class ContextStore:
    """The files of all contexts.

    Args:
        directory: The parent of all contexts' directories.
        executor: Threads for work on files.
        durable: Also outlive a power cut: every version is on the disk before it counts.
    """

    def __init__(self, directory: Path, executor: Executor, *, durable: bool) -> None:
        self.directory = directory
        self._executor = executor
        self._durable = durable
        self._locks: dict[str, asyncio.Lock] = {}
        self._empty = directory.parent / "empty"
        self._empty.mkdir(mode=0o700, exist_ok=True)
        self._readers: Counter[Path] = Counter()
        self._outdated: set[Path] = set()

    async def recover(self, known: list[str]) -> None:
        """Remove what a killed service left: half-written versions, and contexts without a row."""
        for place in list(self.directory.iterdir()):
            if place.name in known:
                for leftover in await self._run(partial(find_leftovers, place)):
                    await remove_tree(leftover)
            else:
                await remove_tree(place)

    async def publish(self, context_id: str, change: Change) -> PublishedVersion:
        """Make a change the new current version.

        Raises:
            OSError: Something could not be read or written; the context is as it was.
        """
        async with self._lock(context_id):
            place = self.directory / context_id
            staging = place / f"staging-{secrets.token_hex(8)}"
            try:
                published = await self._run(lambda: build_version(place, staging, change))
                old = await self._run(lambda: publish_version(place, staging, self._durable))
            except BaseException:
                await remove_tree(staging)
                raise
            if old is not None:
                await self._retire(old)
            return published

    @asynccontextmanager
    async def reading(self, context_id: str) -> AsyncIterator[Snapshot]:
        """Hold the current version; the context may have none yet, and then it is empty."""
        # No await between finding the version and counting the reader, or it could go meanwhile.
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

    @contextmanager
    def incoming(self, context_id: str) -> Iterator[Path]:
        """Give the path of a file to write to before it is published; it is gone afterwards."""
        place = self.directory / context_id
        place.mkdir(mode=0o700, exist_ok=True)
        file = place / f"incoming-{secrets.token_hex(8)}"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    async def expire(self, context_id: str, now: float) -> float | None:
        """Remove the files whose time is over; return when the next ones are due."""
        place = self.directory / context_id
        expiry = await self._run(lambda: read_expiry(current_version(place)))
        due = [path for path, moment in expiry.items() if moment <= now]
        published = await self.publish(context_id, Change(removed=dict.fromkeys(due)))
        return published.next_expiry

    async def clear(self, context_id: str) -> None:
        """Remove all files."""
        await self.publish(context_id, Change(keep_nothing=True))

    async def remove(self, context_id: str) -> None:
        """Remove a context from the disk, also under the hands of readers."""
        async with self._lock(context_id):
            await remove_tree(self.directory / context_id)
        self._locks.pop(context_id, None)

    async def _retire(self, version: Path) -> None:
        if self._readers[version]:
            self._outdated.add(version)
        else:
            await remove_tree(version)

    def _lock(self, context_id: str) -> asyncio.Lock:
        return self._locks.setdefault(context_id, asyncio.Lock())

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
