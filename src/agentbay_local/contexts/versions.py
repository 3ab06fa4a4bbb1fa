"""Versions of a context on disk: build one, switch to it, clean up. All of it blocks."""

from __future__ import annotations

import ctypes
import json
import os
from typing import TYPE_CHECKING

import attrs

from agentbay_local.trees.atomic_write import AtomicWriter
from agentbay_local.trees.manifest import DIRECTORY, FILE, LINK, Manifest, Stamp, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = [
    "Change",
    "PublishedVersion",
    "build_version",
    "current_version",
    "find_leftovers",
    "publish_version",
    "read_expiry",
]

# The service must be able to read and replace what a session made unreadable.
LEAST_MODE = 0o600
_EXPIRY = "expiry.json"


@attrs.frozen
class Change:
    """What the next version has that the current one has not, and the other way round.

    Attributes:
        added: Paths to put, with what they are; they replace what is there.
        fetch: Puts the file of a path and says what it has put; needed for added files.
        removed: Paths to take away. With a stamp, only if the path still has that stamp, so that
            nobody removes what somebody else has just written; without one, with all below it.
        expiry: When added files are to be removed, in Unix seconds.
        keep_nothing: Take everything away first.
    """

    added: Mapping[str, Stamp] = attrs.field(factory=dict)
    fetch: Callable[[AtomicWriter, str], Stamp] | None = None
    removed: Mapping[str, Stamp | None] = attrs.field(factory=dict)
    expiry: Mapping[str, float] = attrs.field(factory=dict)
    keep_nothing: bool = False


@attrs.frozen
class PublishedVersion:
    """What became of a change.

    Attributes:
        added: The paths that were put, with the stamps of what they were copied from.
        next_expiry: When the first file of the version is to be removed, or None.
    """

    added: Manifest
    next_expiry: float | None


def current_version(place: Path) -> Path | None:
    """Return the version of a context that counts, or None when it has none yet."""
    try:
        return place / os.readlink(place / "current_version")
    except FileNotFoundError:
        return None


def read_expiry(version: Path | None) -> dict[str, float]:
    """Return when which files of a version are to be removed."""
    try:
        text = (version / _EXPIRY).read_text("ascii") if version else "{}"
    except FileNotFoundError:
        return {}
    expiry: dict[str, float] = json.loads(text)
    return expiry


def build_version(place: Path, staging: Path, change: Change) -> PublishedVersion:
    """Write the next version of a context into `staging`.

    Raises:
        OSError: Something could not be read or written.
    """
    version = current_version(place)
    (staging / "tree").mkdir(mode=0o700, parents=True)
    new = os.open(staging / "tree", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kept: Manifest = {}
        if version is not None and not change.keep_nothing:
            kept = _carried_over(version / "tree", new, change)
        added = _put(AtomicWriter(new, least_mode=LEAST_MODE), change)
    finally:
        os.close(new)
    old = {path: when for path, when in read_expiry(version).items() if path in kept}
    expiry = {**old, **{path: when for path, when in change.expiry.items() if path in added}}
    if expiry:
        (staging / _EXPIRY).write_text(json.dumps(expiry), "ascii")
    return PublishedVersion(added, min(expiry.values(), default=None))


def _carried_over(tree: Path, new: int, change: Change) -> Manifest:
    """Link what stays from the current version into the new one."""
    old = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kept = _kept(scan(old, lambda _: True), change)
        for path, mark in kept.items():
            if mark.kind == DIRECTORY:
                os.mkdir(path, 0o755, dir_fd=new)
            else:
                os.link(path, path, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
    finally:
        os.close(old)
    return kept


def _kept(present: Manifest, change: Change) -> Manifest:
    """Return what stays: not removed, not replaced, and not in the way of what is added."""
    gone = {path for path, mark in change.removed.items() if mark in (None, present.get(path))}
    whole = {path for path, mark in change.removed.items() if mark is None}
    whole |= {path for path, mark in change.added.items() if mark.kind != DIRECTORY}
    needed = {top for path in change.added for top in _above(path)}
    needed |= {path for path, mark in change.added.items() if mark.kind == DIRECTORY}
    kept = {
        path: mark
        for path, mark in present.items()
        if path not in whole
        and not (path in gone and mark.kind != DIRECTORY)
        and not (path in needed and mark.kind != DIRECTORY)
        and whole.isdisjoint(_above(path))
    }
    return _without_emptied(kept, gone)


def _without_emptied(kept: Manifest, gone: set[str]) -> Manifest:
    """Drop removed directories, unless somebody else has put something into them."""
    filled = {
        top
        for path, mark in kept.items()
        if not (mark.kind == DIRECTORY and path in gone)
        for top in _above(path)
    }
    return {
        path: mark
        for path, mark in kept.items()
        if mark.kind != DIRECTORY or path not in gone or path in filled
    }


def _above(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:end]) for end in range(1, len(names))]


def _put(landing: AtomicWriter, change: Change) -> Manifest:
    added: Manifest = {}
    for path, mark in sorted(change.added.items()):
        try:
            if mark.kind == DIRECTORY:
                landing.directory(path)
            elif mark.kind == LINK:
                landing.link(path, mark.target)
            elif mark.kind == FILE and change.fetch is not None:
                mark = change.fetch(landing, path)
        except FileNotFoundError:
            continue  # A running session has removed it since it was seen.
        added[path] = mark
    return added


def publish_version(place: Path, staging: Path, durable: bool) -> Path | None:
    """Make a built version the one that counts, and return the one that no longer does."""
    versions = place / "versions"
    versions.mkdir(mode=0o700, exist_ok=True)
    old = current_version(place)
    number = max((int(entry.name) for entry in versions.iterdir()), default=0) + 1
    if durable:
        _sync_file_system(staging)
    staging.rename(versions / str(number))
    if durable:
        _sync_directory(versions)
    pointer = place / f"staging-{number}"
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(f"versions/{number}")
    pointer.rename(place / "current_version")
    if durable:
        _sync_directory(place)
    return old


def find_leftovers(place: Path) -> list[Path]:
    """Return what a killed service left in a context's directory: all but the current version."""
    version = current_version(place)
    leftovers = [
        entry for entry in place.iterdir() if entry.name not in ("versions", "current_version")
    ]
    versions = place / "versions"
    entries = list(versions.iterdir()) if versions.is_dir() else []
    return leftovers + [entry for entry in entries if entry != version]


def _sync_file_system(path: Path) -> None:
    """Write everything to the disk at once, which is cheaper than file by file."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
