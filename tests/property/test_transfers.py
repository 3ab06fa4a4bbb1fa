"""Sessions with different policies share a context: nothing is lost, whatever their order."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async.models.sync_policy import (
    BWList,
    DeletePolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    WhiteList,
)
from agentbay_local.contexts.context_store import ContextStore
from agentbay_local.contexts.transfer import Transfer
from agentbay_local.contexts.versions import Change
from agentbay_local.store import Store
from agentbay_local.trees.archive import ARCHIVE
from agentbay_local.trees.manifest import FILE, Stamp
from agentbay_local.trees.mount import Mount
from agentbay_local.trees.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local.trees.atomic_write import AtomicWriter

PATHS = ("a/x", "a/y", "b/x", "loose/z", "top")


@attrs.frozen
class Policy:
    """What distinguishes the sessions."""

    packs: bool
    only_a: bool = False
    follows: bool = True
    loose: bool = False

    def build(self) -> SyncPolicy:
        """Return the policy that clients send."""
        mode = UploadMode.ARCHIVE if self.packs else UploadMode.FILE
        return SyncPolicy(
            upload_policy=UploadPolicy(
                upload_mode=mode, archive_exclude_paths=["loose"] if self.loose else []
            ),
            delete_policy=DeletePolicy(sync_local_file=self.follows),
            bw_list=BWList([WhiteList("a" if self.only_a else "")]),
        )

    def selects(self, path: str) -> bool:
        """Return whether the session transfers a path."""
        return not self.only_a or path.startswith("a/")


@attrs.define
class Party:
    """One session: its policy, its files, and the values that it and the context last shared."""

    policy: Policy
    root: Path
    transfer: Transfer
    shared: dict[str, str] = attrs.field(factory=dict)

    def write(self, path: str, value: str, time: int) -> None:
        """Write a file, at a time of its own: two writes in one tick of the clock look alike."""
        file = self.root / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
        os.utime(file, ns=(time, time))

    def delete(self, path: str) -> None:
        """Delete a file if it exists."""
        (self.root / "data" / path).unlink(missing_ok=True)

    def read(self) -> dict[str, str]:
        """Return path and content of all files."""
        top = self.root / "data"
        files = (file for file in top.rglob("*") if file.is_file() and file.name != ARCHIVE)
        return {str(file.relative_to(top)): file.read_text() for file in files}


@attrs.define
class World:
    """The sessions, and what the context must hold."""

    place: Path
    files: ContextStore
    executor: ThreadPoolExecutor
    store: Store
    parties: list[Party] = attrs.field(factory=list)
    expected: dict[str, str] = attrs.field(factory=dict)
    counter: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def join(self, policy: Policy) -> Party:
        """Add a session."""
        root = self.place / f"session-{next(self.counter)}"
        root.mkdir()
        mount = Mount(root, "/data", None)
        selection = Selection(policy.build())
        transfer = Transfer(mount, selection, "c", self.files, self.store, self.executor)
        self.parties.append(Party(policy, root, transfer))
        return self.parties[-1]

    def change(self, party: Party, path: str, deletes: bool) -> None:
        """Write or delete a file of a session."""
        if deletes:
            party.delete(path)
        else:
            number = next(self.counter)
            party.write(path, f"value {number}", 10**18 + number * 10**9)

    async def upload(self, party: Party) -> None:
        """Publish the changes of a session."""
        await party.transfer.upload(0.0)
        present = party.read()
        for path in filter(party.policy.selects, PATHS):
            value, shared = present.get(path), party.shared.get(path)
            if value is not None and value != shared:
                self.expected[path] = party.shared[path] = value
            elif value is None and shared is not None and party.policy.follows:
                del party.shared[path]
                if self.expected.get(path) == shared:
                    del self.expected[path]

    async def download(self, party: Party) -> None:
        """Bring the changes of the context into a session."""
        before = party.read()
        await party.transfer.download()
        present = party.read()
        for path in filter(party.policy.selects, PATHS):
            value, published = present.get(path), self.expected.get(path)
            if value == published and value is not None:
                party.shared[path] = value
            else:
                assert published in (None, party.shared.get(path)), path
                assert value == before.get(path), path

    async def put(self, path: str) -> None:
        """Write a single file of the context, as a client does by its URL."""
        value = f"value {next(self.counter)}"
        stamp = Stamp(FILE, len(value), 10**18 + next(self.counter), 0o644)

        def write(writer: AtomicWriter, path: str) -> Stamp:
            def fill(target: int) -> Stamp:
                os.write(target, value.encode())
                return stamp

            return writer.write_file(path, fill)

        await self.files.publish("c", Change(added={path: stamp}, write=write))
        self.expected[path] = value

    async def check(self) -> None:
        """Compare what a new session gets with what must be there."""
        reader = self.join(Policy(packs=False))
        await self.download(reader)
        assert reader.read() == self.expected
        self.parties.remove(reader)


@contextmanager
def world() -> Iterator[World]:
    """Yield a world in a temporary directory."""
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(1) as executor:
        (Path(place) / "contexts").mkdir()
        files = ContextStore(Path(place) / "contexts", executor, durable=False)
        store = Store.open(Path(":memory:"))
        try:
            yield World(Path(place), files, executor, store)
        finally:
            store.close()


POLICIES = st.builds(Policy, st.booleans(), st.booleans(), st.booleans(), st.booleans())
PARTIES, PATH = st.integers(0, 2), st.sampled_from(PATHS)
STEPS = st.one_of(
    st.tuples(st.just("change"), PARTIES, PATH, st.booleans()),
    st.tuples(st.just("edit"), PARTIES, PATH, st.booleans()),
    st.tuples(st.just("upload"), PARTIES),
    st.tuples(st.just("download"), PARTIES),
    st.tuples(st.just("put"), PATH),
)


@given(
    st.booleans(),
    st.lists(POLICIES, min_size=2, max_size=2),
    st.lists(STEPS, min_size=4, max_size=16),
)
def test_a_context_has_what_its_sessions_have_published(
    packs: bool, policies: list[Policy], steps: list[tuple[Any, ...]]
) -> None:
    """In archives and in files, with white lists, kept deletions and changes from elsewhere."""

    async def run(scene: World) -> None:
        # The first leaves a file at each path, mostly in an archive; the others begin with them.
        for policy in (Policy(packs=packs), *policies):
            party = scene.join(policy)
            await scene.download(party)
            for path in PATHS if len(scene.parties) == 1 else ():
                scene.change(party, path, deletes=False)
            await scene.upload(party)
        for name, *arguments in steps:
            if name == "change":
                scene.change(scene.parties[arguments[0]], *arguments[1:])
            elif name == "edit":  # and publish it
                scene.change(scene.parties[arguments[0]], *arguments[1:])
                await scene.upload(scene.parties[arguments[0]])
            elif name == "put":
                await scene.put(*arguments)
            else:
                await getattr(scene, name)(scene.parties[arguments[0]])
        await scene.check()

    with world() as scene:
        asyncio.run(run(scene))
