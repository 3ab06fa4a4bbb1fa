"""Moving files between a context's version and its mount in a session, both ways.

A mount remembers its *base*: what both sides had when they last agreed. It makes three-way
decisions possible. An upload takes what the session changed since then, and a deletion counts only
if the session had the file; files that others have put into the context meanwhile stay. A download
brings what changed in the context; a file that only the session changed stays as it is, and nothing
is ever deleted in the session.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import attrs

from agentbay_local.sandbox.host.offline_files import OfflineFiles
from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.trees.atomic_write import AtomicWriter
from agentbay_local.trees.manifest import DIRECTORY, LINK, Manifest, Stamp, scan
from agentbay_local.trees.selection import is_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentbay_local.trees.selection import Selection

__all__ = ["BaseEntry", "Difference", "Mount", "scan_selected"]

_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class BaseEntry(NamedTuple):
    """One path of a base.

    Attributes:
        here: The stamp in the session.
        there: The stamp in the context; None when it came out of an archive there.
    """

    here: Stamp
    there: Stamp | None


@attrs.frozen
class Difference:
    """What a session has changed since the base.

    Attributes:
        present: Everything that is selected.
        changed: What is new or different.
        missing: What was in the base and is gone.
        skipped: Sockets, pipes and devices, which are not copied.
    """

    present: Manifest
    changed: Manifest
    missing: dict[str, BaseEntry]
    skipped: list[str]


def scan_selected(top: int, selection: Selection, skipped: list[str] | None = None) -> Manifest:
    """Describe what of an open directory is selected."""
    picked = selection.picker()
    found = scan(top, selection.enters, skipped)
    return {path: mark for path, mark in found.items() if picked(path)}


@attrs.define
class Mount:
    """A context's place in one session.

    Attributes:
        root: The host directory that is the session's ``/``.
        path: The absolute path in the session.
        owner: The user id its files belong to, or None.
        base: What both sides agreed on last.
    """

    root: Path
    path: str
    owner: int | None
    base: dict[str, BaseEntry] = attrs.field(factory=dict, repr=False)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open the mount's directory, making it when it is missing."""
        with OfflineFiles(self.root, self.owner) as files:
            files.make_directory(self.path)
        root = os.open(self.root, _ENTER | os.O_NOFOLLOW)
        try:
            top = open_beneath(root, self.path, _ENTER)
        finally:
            os.close(root)
        try:
            yield top
        finally:
            os.close(top)

    def bring(self, tree: Path, selection: Selection) -> int:
        """Copy into the session what changed in the context; return how many files came.

        Raises:
            OSError: Something could not be read or written.
        """
        with self.opened() as top:
            if not tree.is_dir():
                return 0
            source = os.open(tree, _ENTER)
            try:
                return self._bring(source, top, selection)
            finally:
                os.close(source)

    def _bring(self, source: int, top: int, selection: Selection) -> int:
        landing, here, came = AtomicWriter(top, self.owner), scan_selected(top, selection), 0
        for path, mark in scan_selected(source, selection).items():
            agreed = self.base.get(path)
            if path in here and (here[path] == mark or (agreed and agreed.there == mark)):
                self.base[path] = (
                    agreed if agreed and agreed.there == mark else BaseEntry(mark, mark)
                )
                continue
            self.base[path] = BaseEntry(_brought(landing, source, path, mark), mark)
            came += mark.kind != DIRECTORY
        return came

    def difference(self, top: int, selection: Selection) -> Difference:
        """Compare the session with the base."""
        skipped: list[str] = []
        present = scan_selected(top, selection, skipped)
        picked = selection.picker()
        changed = {
            path: mark
            for path, mark in present.items()
            if path not in self.base or self.base[path].here != mark
        }
        missing = {
            path: agreed
            for path, agreed in self.base.items()
            if path not in present and picked(path) and is_below(path, selection.only)
        }
        return Difference(present, changed, missing, skipped)


def _brought(landing: AtomicWriter, source: int, path: str, mark: Stamp) -> Stamp:
    if mark.kind == DIRECTORY:
        landing.directory(path)
        return mark
    if mark.kind == LINK:
        landing.link(path, mark.target)
        return mark
    return landing.copy(path, source)
