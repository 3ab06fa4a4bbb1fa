"""Snapshots: all contexts with their files, and all sessions, in one archive.

::

    about.json              format, and the readings of the clock
    state.db                the rows
    contexts/<id>/...       as in the home of a service, with the current version alone

Processes of sandboxes, and files outside of contexts, are not part of a snapshot: a session returns
with its labels, times and contexts, and its contexts are downloaded again into a fresh sandbox.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sqlite3
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.policy import policy_from_text
from agentbay_local.contexts.sync import DOWNLOAD
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.store import Store, states
from agentbay_local.trees.archive import pack, unpack
from agentbay_local.trees.atomic_write import AtomicWriter, Source
from agentbay_local.trees.budget import Budget
from agentbay_local.trees.manifest import scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentbay_local.state import ServiceState

__all__ = ["restore_snapshot", "write_snapshot"]

_FORMAT = 1


async def write_snapshot(state: ServiceState, path: Path) -> None:
    """Write everything into an archive, which replaces a file of that name atomically.

    Raises:
        OSError: The archive cannot be written; the file at `path` is unchanged.
    """
    scratch = _scratch_directory(state)
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        async with AsyncExitStack() as held:
            # `reading` returns without waiting, so rows and versions are of one moment.
            trees = {
                name: (await held.enter_async_context(state.files.open_snapshot(name))).tree
                for name in state.store.contexts.ids()
            }
            state.store.copy_to(scratch / "state.db")
            about = {"format": _FORMAT, "monotonic": state.clock.monotonic()}
            (scratch / "about.json").write_text(json.dumps(about), "ascii")
            await asyncio.to_thread(_link_versions, scratch, trees)
        await asyncio.to_thread(_pack, scratch, fresh, path)
    finally:
        await asyncio.to_thread(fresh.unlink, missing_ok=True)
        await remove_tree(scratch)


async def restore_snapshot(state: ServiceState, path: Path) -> None:
    """Delete everything, and load the sessions and contexts of an archive.

    Raises:
        OSError: The archive cannot be read; nothing has changed.
        ValueError: The file is not a snapshot of this version; nothing has changed.
    """
    scratch = _scratch_directory(state)
    try:
        about = await asyncio.to_thread(_unpack, path, scratch)
        await state.delete_all()
        try:
            _load(state, scratch, about)
        finally:
            state.lifecycle.start_sweeper()
    finally:
        await remove_tree(scratch)


def _scratch_directory(state: ServiceState) -> Path:
    # Beside the contexts, on the same file system: files are linked and directories renamed. A
    # home removes directories of this name when it is opened.
    scratch = state.files.directory.parent / f"snapshot-{secrets.token_hex(8)}"
    (scratch / "contexts").mkdir(mode=0o700, parents=True)
    return scratch


def _load(state: ServiceState, scratch: Path, about: Mapping[str, Any]) -> None:
    # The rows come last: a service that is killed before that is left empty, not inconsistent.
    for directory in (scratch / "contexts").iterdir():
        directory.rename(state.files.directory / directory.name)
    state.store.load(scratch / "state.db")
    _settle(state, state.clock.monotonic() - about["monotonic"])


def _settle(state: ServiceState, shift: float) -> None:
    """Complete transitions and tasks under way, and move the times to this clock."""
    state.store.sessions.shift(shift)
    state.store.contexts.settle()
    state.store.bindings.settle(state.clock.time())
    reached = {states.PAUSING: states.PAUSED, states.RESUMING: states.RUNNING}
    for session in state.store.sessions.live():
        if session.status == states.DELETING:
            state.lifecycle.release(session, "released by the client")
            continue
        if session.status in reached:
            state.store.sessions.set_status(session.id, reached[session.status])
        for binding in state.store.bindings.of(session.id):
            move = policy_from_text(binding.policy).download_policy.auto_download
            state.syncing.start(binding, DOWNLOAD, move=move)


def _link_versions(scratch: Path, trees: Mapping[str, Path]) -> None:
    """Link the current version of each context into the scratch directory."""
    for name, tree in trees.items():
        if tree.parent.parent.name != "versions":
            continue  # it has no version yet
        target = scratch / "contexts" / name
        # Versions are never written in place, so that links are as good as copies.
        shutil.copytree(
            tree.parent, target / "versions" / "1", symlinks=True, copy_function=os.link
        )
        (target / "current").symlink_to("versions/1")


def _pack(scratch: Path, fresh: Path, path: Path) -> None:
    top = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        everything = Budget(None, None)
        pack(Source(top, everything), scan(top, lambda _: True, everything), fresh)
    finally:
        os.close(top)
    fresh.replace(path)


def _unpack(path: Path, scratch: Path) -> dict[str, Any]:
    top = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(path, "rb") as source:
            unpack(source, AtomicWriter(top), lambda _: True, Budget(None, None))
        about: dict[str, Any] = json.loads(_text_or_empty(scratch / "about.json"))
        if about["format"] != _FORMAT or not isinstance(about["monotonic"], float):
            raise ValueError(f"its format is {about['format']!r:.20}")
        Store.verify(scratch / "state.db")
    except (ValueError, KeyError, TypeError, sqlite3.Error) as error:
        raise ValueError(f"{path} is not a snapshot that this version can read: {error}") from error
    finally:
        os.close(top)
    return about


def _text_or_empty(file: Path) -> str:
    return file.read_text("ascii") if file.exists() else "{}"
