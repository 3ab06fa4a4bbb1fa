"""Versions of a context on disk: build, publish and clean up. All functions block."""

from __future__ import annotations

import ctypes
import json
import os
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.trees.atomic_write import AtomicWriter
from agentbay_local.trees.budget import Budget
from agentbay_local.trees.manifest import DIRECTORY, FILE, LINK, Manifest, Stamp, find_stamp, scan
from agentbay_local.trees.selection import parents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = [
    "Change",
    "PublishedVersion",
    "build_version",
    "current_version",
    "find_leftovers",
    "lacks",
    "publish_version",
    "read_expiry",
]

# The service must be able to read and replace files that a session made unreadable.
LEAST_MODE = 0o600
_EXPIRY = "expiry.json"


@attrs.frozen
class Change:
    """The difference between the current version and the next one.

    Attributes:
        added: Entries to write; they replace existing ones.
        restored: Entries to write only if the version has nothing there, so that what another
            session has just written stays.
        write: Writes the file of a path and returns its stamp; required for added files.
        removed: Paths to remove. With a stamp, only if the entry still has that stamp, so that a
            file that another session has just written stays; with None, including all below.
        expiry: Expiry times of added files in Unix seconds.
        remove_all: Remove all entries first.
        budget: Limits the entries of the whole version, and ends the work if it is cancelled.
    """

    added: Mapping[str, Stamp] = attrs.field(factory=dict)
    restored: Mapping[str, Stamp] = attrs.field(factory=dict)
    write: Callable[[AtomicWriter, str], Stamp] | None = None
    removed: Mapping[str, Stamp | None] = attrs.field(factory=dict)
    expiry: Mapping[str, float] = attrs.field(factory=dict)
    remove_all: bool = False
    budget: Budget = attrs.field(factory=lambda: Budget(None, None))


@attrs.frozen
class PublishedVersion:
    """The result of a change.

    Attributes:
        added: The entries that were written, with the stamps of their sources.
        next_expiry: The earliest expiry time in the version, or None.
    """

    added: Manifest
    next_expiry: float | None


def current_version(directory: Path) -> Path | None:
    """Return the directory of the current version, or None if there is none yet."""
    try:
        return directory / os.readlink(directory / "current")
    except FileNotFoundError:
        return None


def read_expiry(version: Path | None) -> dict[str, float]:
    """Return the expiry times of a version by path."""
    try:
        text = (version / _EXPIRY).read_text("ascii") if version else "{}"
    except FileNotFoundError:
        return {}
    expiry: dict[str, float] = json.loads(text)
    return expiry


def build_version(
    directory: Path, staging: Path, change: Change, below: str = ""
) -> PublishedVersion:
    """Write the next version of a context into `staging`.

    Args:
        directory: The directory of the context.
        staging: The directory to make.
        change: The difference.
        below: The directory in the context that the paths of the change are relative to.

    Raises:
        OSError: A file cannot be read or written.
    """
    version = current_version(directory)
    change = _settle_restored(change, version, below)
    placed = _place(change, below)
    (staging / "tree").mkdir(mode=0o700, parents=True)
    new = os.open(staging / "tree", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kept: Manifest = {}
        if version is not None and not change.remove_all:
            kept = _link_kept(version / "tree", new, placed)
        change.budget.check_entries(len(kept) + len(change.added))
        added = _write_below(new, below, change)
    finally:
        os.close(new)
    old = {path: when for path, when in read_expiry(version).items() if path in kept}
    present = {path for path in change.expiry if path in added}
    expiry = {**old, **{_join(below, path): change.expiry[path] for path in present}}
    if expiry:
        (staging / _EXPIRY).write_text(json.dumps(expiry), "ascii")
    return PublishedVersion(added, min(expiry.values(), default=None))


def lacks(tree: Path, path: str) -> bool:
    """Return whether a tree has nothing at a path, nor a file where the path needs a directory."""
    try:
        top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        for place in (*parents(path), path):
            found = find_stamp(top, place)
            if place == path or found is None or found.kind != DIRECTORY:
                return False
    except FileNotFoundError:
        return True
    finally:
        os.close(top)
    return False


def _settle_restored(change: Change, version: Path | None, below: str) -> Change:
    """Return a change that adds the entries to restore that the version lacks, and no others."""
    lost = {
        path: stamp
        for path, stamp in change.restored.items()
        if version is None or lacks(version / "tree", _join(below, path))
    }
    return attrs.evolve(change, added={**change.added, **lost}, restored={})


def _join(below: str, path: str) -> str:
    return f"{below}/{path}" if below else path


def _place(change: Change, below: str) -> Change:
    """Return a change with paths relative to the top of the context."""
    if not below:
        return change
    added = {_join(below, path): stamp for path, stamp in change.added.items()}
    removed = {_join(below, path): stamp for path, stamp in change.removed.items()}
    return attrs.evolve(change, added=added, removed=removed)


def _write_below(tree: int, below: str, change: Change) -> Manifest:
    """Write the added entries into a directory of a tree, which is made if it is needed."""
    if not below or not change.added:
        return _write_added(AtomicWriter(tree, least_mode=LEAST_MODE), change)
    AtomicWriter(tree).make_directory(below)
    top = open_beneath(tree, below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _write_added(AtomicWriter(top, least_mode=LEAST_MODE), change)
    finally:
        os.close(top)


def _link_kept(tree: Path, new: int, change: Change) -> Manifest:
    """Hard-link the entries that stay into the new version, which thus costs only its changes."""
    old = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kept = _select_kept(scan(old, lambda _: True, Budget(None, None)), change)
        for path, stamp in kept.items():
            if stamp.kind == DIRECTORY:
                os.mkdir(path, 0o755, dir_fd=new)
            else:
                os.link(path, path, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
    finally:
        os.close(old)
    return kept


def _select_kept(present: Manifest, change: Change) -> Manifest:
    """Return the entries that stay: neither removed, nor replaced, nor in the way of added ones."""
    gone = {path for path, stamp in change.removed.items() if stamp in (None, present.get(path))}
    whole = {path for path, stamp in change.removed.items() if stamp is None}
    whole |= {path for path, stamp in change.added.items() if stamp.kind != DIRECTORY}
    needed = {top for path in change.added for top in parents(path)}
    needed |= {path for path, stamp in change.added.items() if stamp.kind == DIRECTORY}
    kept = {
        path: stamp
        for path, stamp in present.items()
        if path not in whole
        and not (path in gone and stamp.kind != DIRECTORY)
        and not (path in needed and stamp.kind != DIRECTORY)
        and whole.isdisjoint(parents(path))
    }
    return _without_emptied(kept, gone)


def _without_emptied(kept: Manifest, gone: set[str]) -> Manifest:
    """Drop removed directories, unless another session has added files to them."""
    filled = {
        top
        for path, stamp in kept.items()
        if not (stamp.kind == DIRECTORY and path in gone)
        for top in parents(path)
    }
    return {
        path: stamp
        for path, stamp in kept.items()
        if stamp.kind != DIRECTORY or path not in gone or path in filled
    }


def _write_added(writer: AtomicWriter, change: Change) -> Manifest:
    added: Manifest = {}
    for path, stamp in change.added.items():
        change.budget.check_cancelled()
        try:
            if stamp.kind == DIRECTORY:
                writer.make_directory(path)
            elif stamp.kind == LINK:
                writer.write_link(path, stamp.target)
            elif stamp.kind == FILE and change.write is not None:
                written = change.write(writer, path)
                # Equal entries share one object, because there may be a hundred thousand.
                stamp = stamp if written == stamp else written
        except FileNotFoundError:
            continue  # a running session has removed it since the scan
        added[path] = stamp
    return added


def publish_version(directory: Path, staging: Path, durable: bool) -> Path | None:
    """Make a built version the current one, and return the one that it replaces."""
    versions = directory / "versions"
    versions.mkdir(mode=0o700, exist_ok=True)
    old = current_version(directory)
    number = max((int(entry.name) for entry in versions.iterdir()), default=0) + 1
    if durable:
        _sync_file_system(staging)
    staging.rename(versions / str(number))
    if durable:
        _sync_directory(versions)
    # A rename replaces the link in one step: a kill leaves the old version current or the new one.
    pointer = directory / f"staging-{number}"
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(f"versions/{number}")
    pointer.rename(directory / "current")
    if durable:
        _sync_directory(directory)
    return old


def find_leftovers(directory: Path) -> list[Path]:
    """Return the paths that a killed service left in a context: all but the current version."""
    version = current_version(directory)
    leftovers = [
        entry for entry in directory.iterdir() if entry.name not in ("versions", "current")
    ]
    versions = directory / "versions"
    entries = list(versions.iterdir()) if versions.is_dir() else []
    return leftovers + [entry for entry in entries if entry != version]


def _sync_file_system(path: Path) -> None:
    """Flush the whole file system, which is cheaper than one fsync for each file."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
