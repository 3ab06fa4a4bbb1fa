"""Snapshots: all contexts with their files, and all sessions, in one archive.

::

    about.json              format, and the readings of the clock
    state.db                the rows
    contexts/<id>/...       as in the home of a service, with the current version alone

What ran in a sandbox, and files outside of contexts, are no part of it: a session comes back with
its labels, its times and its contexts, whose files it gets anew, in a fresh sandbox.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol.policy import policy_from_text
from agentbay_local.contexts.sync import DOWNLOAD
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.store import Store, states
from agentbay_local.trees.archive import pack, unpack
from agentbay_local.trees.atomic_write import AtomicWriter
from agentbay_local.trees.manifest import scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentbay_local.seeding import Seeding
    from agentbay_local.state import ServiceState

__all__ = ["Snapshots"]

_FORMAT = 1


@attrs.frozen
class Snapshots:
    """Writes down what a service holds, and brings it back.

    Attributes:
        state: The parts of the service.
        holdings: What is dropped when something else is brought back.
        home: The directory of the service.
    """

    state: ServiceState
    holdings: Seeding
    home: Path

    async def write(self, path: Path) -> None:
        """Write everything into an archive, which replaces a file of that name at once.

        Raises:
            OSError: It cannot be written; what was there is as it was.
        """
        staging = self._staging()
        fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            async with AsyncExitStack() as held:
                # Nothing is awaited for here: rows and versions are those of one moment.
                trees = {
                    name: (await held.enter_async_context(self.state.files.reading(name))).tree
                    for name in self.state.store.contexts.ids()
                }
                self.state.store.copy_to(staging / "state.db")
                _write_about(staging, self._about())
                await asyncio.to_thread(_collect, staging, trees)
            await asyncio.to_thread(_pack, staging, fresh, path)
        finally:
            await asyncio.to_thread(fresh.unlink, missing_ok=True)
            await remove_tree(staging)

    async def bring_back(self, path: Path) -> None:
        """Drop everything, and take over what is in an archive.

        Raises:
            OSError: It cannot be read; nothing has changed.
            ValueError: It is no snapshot of this version; nothing has changed.
        """
        staging = self._staging()
        try:
            about = await asyncio.to_thread(_unpack, path, staging)
            await self.holdings.drop()
            try:
                self._take_over(staging, about)
            finally:
                self.state.lifecycle.begin()
        finally:
            await remove_tree(staging)

    def _take_over(self, staging: Path, about: Mapping[str, Any]) -> None:
        # The rows come last: whatever ends the service before that leaves an empty one.
        for place in (staging / "contexts").iterdir():
            place.rename(self.state.files.directory / place.name)
        self.state.store.load(staging / "state.db")
        self._settle(self.state.clock.monotonic() - about["monotonic"])

    def _staging(self) -> Path:
        # Beside the contexts, so that files can be linked and directories renamed.
        staging = self.home / f"snapshot-{secrets.token_hex(8)}"
        (staging / "contexts").mkdir(mode=0o700, parents=True)
        return staging

    def _about(self) -> dict[str, Any]:
        return {"format": _FORMAT, "monotonic": self.state.clock.monotonic()}

    def _settle(self, shift: float) -> None:
        """Make what was on its way arrive, and the times those of this clock."""
        self.state.store.sessions.shift(shift)
        self.state.store.contexts.settle()
        self.state.store.bindings.settle(self.state.clock.time())
        arrived = {states.PAUSING: states.PAUSED, states.RESUMING: states.RUNNING}
        for session in self.state.store.sessions.live():
            if session.status == states.DELETING:
                self.state.lifecycle.release(session, "released by the client")
                continue
            if session.status in arrived:
                self.state.store.sessions.set_status(session.id, arrived[session.status])
            for binding in self.state.store.bindings.of(session.id):
                move = policy_from_text(binding.policy).download_policy.auto_download
                self.state.syncing.start(binding, DOWNLOAD, move=move)


def _write_about(staging: Path, about: Mapping[str, Any]) -> None:
    (staging / "about.json").write_text(json.dumps(about), "ascii")


def _collect(staging: Path, trees: Mapping[str, Path]) -> None:
    """Link the current version of each context into the staging directory."""
    for name, tree in trees.items():
        if tree.parent.parent.name != "versions":
            continue  # it has no version yet
        place = staging / "contexts" / name
        # Versions are never written in place, so that links are as good as copies.
        shutil.copytree(tree.parent, place / "versions" / "1", symlinks=True, copy_function=os.link)
        (place / "current").symlink_to("versions/1")


def _pack(staging: Path, fresh: Path, path: Path) -> None:
    top = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pack(top, scan(top, lambda _: True), fresh)
    finally:
        os.close(top)
    fresh.replace(path)


def _unpack(path: Path, staging: Path) -> dict[str, Any]:
    top = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(path, "rb") as source:
            unpack(source, AtomicWriter(top), lambda _: True)
        about: dict[str, Any] = json.loads(_text(staging / "about.json"))
        if about["format"] != _FORMAT or not isinstance(about["monotonic"], float):
            raise ValueError(f"it has format {about['format']!r:.20}")
        Store.verify(staging / "state.db")
    except (ValueError, KeyError, TypeError, EOFError, tarfile.TarError, sqlite3.Error) as bad:
        raise ValueError(f"{path} is no snapshot that this version can read: {bad}") from bad
    finally:
        os.close(top)
    return about


def _text(file: Path) -> str:
    return file.read_text("ascii") if file.exists() else "{}"
