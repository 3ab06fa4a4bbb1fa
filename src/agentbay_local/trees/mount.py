"""A context's mount in a session: download files into it, and find the session's changes.

A mount keeps its *base*, the entries that both sides had after the last synchronization, for a
three-way comparison. An upload takes the session's changes since then; it deletes a file only if
the session had it, so files that others have added to the context stay. A download takes the
context's changes; it keeps files that only the session has changed, and deletes nothing.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import attrs

from agentbay_local.sandbox.host.credentials import acting_as
from agentbay_local.sandbox.host.offline_files import OfflineFiles
from agentbay_local.sandbox.host.usage import DiskUsage, used_space
from agentbay_local.trees.archive import list_members, unpack
from agentbay_local.trees.atomic_write import AtomicWriter, Source
from agentbay_local.trees.budget import Budget, BudgetExceededError
from agentbay_local.trees.manifest import DIRECTORY, FILE, LINK, Manifest, Stamp, scan
from agentbay_local.trees.selection import is_below, parents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agentbay_local.trees.selection import Selection

__all__ = ["BaseEntry", "Difference", "Mount", "scan_selected"]


class BaseEntry(NamedTuple):
    """One path of a base.

    Attributes:
        in_session: The stamp in the session.
        in_context: The stamp in the context; None for a file of the archive there.
    """

    in_session: Stamp
    in_context: Stamp | None


@attrs.frozen
class Difference:
    """The changes of a session since the base.

    Attributes:
        present: All selected entries.
        changed: New and modified entries.
        missing: Entries of the base that no longer exist.
        skipped: Sockets, FIFOs and devices, which are not copied.
    """

    present: Manifest
    changed: Manifest
    missing: dict[str, BaseEntry]
    skipped: list[str]


def scan_selected(tree: Source, selection: Selection, skipped: list[str] | None = None) -> Manifest:
    """Describe the selected entries of a tree; errors as `scan`."""
    matches = selection.matcher()
    with acting_as(tree.owner):
        found = scan(tree.top, selection.may_contain, tree.budget, skipped)
    return {path: stamp for path, stamp in found.items() if matches(path)}


@attrs.define
class Mount:
    """A context, mounted in one session.

    Attributes:
        root: The host directory that is the session's ``/``.
        path: The absolute path in the session.
        owner: User id of its files, or None for that of the service.
        most_bytes: The session's limit of disk space, or None.
        base: The entries after the last synchronization.
    """

    root: Path
    path: str
    owner: int | None
    most_bytes: int | None = None
    base: dict[str, BaseEntry] = attrs.field(factory=dict, repr=False)

    @contextmanager
    def open_directory(self) -> Iterator[int]:
        """Open the mount's directory; make it if it does not exist."""
        with OfflineFiles(self.root, self.owner) as files:
            top = files.open_directory(self.path)
        try:
            yield top
        finally:
            os.close(top)

    def check_room(self, growth: int) -> None:
        """Check that files of this size may be added to the session.

        Raises:
            BudgetExceededError: They would exceed its limit of disk space.
        """
        if self.most_bytes is None or growth <= 0:
            return
        used = used_space(self.root, DiskUsage(self.most_bytes), lambda: False).bytes
        if used + growth > self.most_bytes:
            raise BudgetExceededError(
                f"the session has {max(self.most_bytes - used, 0)} bytes left of its "
                f"{self.most_bytes}, and the files need {growth} more; remove files in the "
                "session, or start the service with a higher --disk"
            )

    def download(self, source: int | None, selection: Selection, budget: Budget) -> None:
        """Copy the context's changes into the session.

        Args:
            source: The open directory of the context; None if it has no files.
            selection: The files to copy.
            budget: Counts what is copied.

        Raises:
            BudgetExceededError: They are too many or too large; nothing was copied.
            OSError: A file cannot be read or written.
        """
        with self.open_directory() as top:
            if source is not None:
                self._download(Source(source, budget), top, selection)

    def _download(self, source: Source, top: int, selection: Selection) -> None:
        writer = AtomicWriter(top, self.owner)
        # Its own budget: what the session has is not part of what is copied.
        existing = scan_selected(Source(top, Budget(None), self.owner), selection)
        wanted = _without_ways(scan_selected(source, selection), selection.inner)
        changed = self._changed_in_context(wanted, existing)
        self.check_room(sum(_growth(stamp, existing.get(path)) for path, stamp in changed.items()))
        for path, stamp in changed.items():
            self.base[path] = BaseEntry(_copy(writer, source, path, stamp), stamp)

    def unpack(
        self, archive: BinaryIO, wanted: Callable[[str], bool], selection: Selection, budget: Budget
    ) -> None:
        """Copy the changes of the context's archive into the session.

        Args:
            archive: The archive, which is not trusted.
            wanted: Returns whether to extract a path.
            selection: The paths that may be wanted.
            budget: Counts all that the archive holds.

        Raises:
            DamagedArchiveError: The archive is invalid; nothing was copied.
            BudgetExceededError: It holds too much; nothing was copied.
            OSError: A file cannot be written.
        """
        # Read twice, so that an archive that is damaged or too large leaves no trace.
        budget.start_again()
        members = list_members(archive, budget)
        archive.seek(0)
        budget.start_again()
        with self.open_directory() as top:
            existing = scan_selected(Source(top, Budget(None), self.owner), selection)
            selected = {path: stamp for path, stamp in members.items() if wanted(path)}
            changed = self._changed_in_context(selected, existing, packed=True)
            sizes = (_growth(stamp, existing.get(path)) for path, stamp in changed.items())
            self.check_room(sum(sizes))
            writer = AtomicWriter(top, self.owner)
            extracted = unpack(archive, writer, changed.__contains__, budget)
        self.base.update({path: BaseEntry(stamp, None) for path, stamp in extracted.items()})

    def _changed_in_context(
        self, wanted: Manifest, existing: Manifest, packed: bool = False
    ) -> Manifest:
        """Return the entries to copy; note those that the session has already."""
        changed: Manifest = {}
        for path, stamp in wanted.items():
            entry = self.base.get(path)
            if path in existing and entry and (entry.in_context or entry.in_session) == stamp:
                # The context has not changed; the session may have.
                self.base[path] = BaseEntry(entry.in_session, None if packed else stamp)
            elif path in existing and existing[path] == stamp:
                self.base[path] = BaseEntry(stamp, None if packed else stamp)
            else:
                changed[path] = stamp
        return changed

    def difference(self, tree: Source, selection: Selection) -> Difference:
        """Return the session's changes since the base."""
        skipped: list[str] = []
        present = scan_selected(tree, selection, skipped)
        matches = selection.matcher()
        changed = {
            path: stamp
            for path, stamp in present.items()
            if path not in self.base or self.base[path].in_session != stamp
        }
        missing = {
            path: entry
            for path, entry in self.base.items()
            if path not in present and matches(path) and is_below(path, selection.only)
        }
        return Difference(present, changed, missing, skipped)


def _without_ways(found: Manifest, inner: Sequence[str]) -> Manifest:
    """Drop the directories that hold nothing but mounts inside this one."""
    ways = {way for place in inner for way in parents(place)}
    if not ways:
        return found
    needed = {way for path in found if path not in ways for way in parents(path)}
    return {path: stamp for path, stamp in found.items() if path not in ways or path in needed}


def _growth(stamp: Stamp, replaced: Stamp | None) -> int:
    """Return how many bytes a session grows by a file."""
    before = replaced.size if replaced is not None else 0
    return stamp.size - before if stamp.kind == FILE else -before


def _copy(writer: AtomicWriter, source: Source, path: str, stamp: Stamp) -> Stamp:
    if stamp.kind == DIRECTORY:
        writer.make_directory(path)
        return stamp
    if stamp.kind == LINK:
        writer.write_link(path, stamp.target)
        return stamp
    return writer.copy_file(path, source)
