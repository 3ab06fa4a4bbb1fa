"""Versions of contexts on disk: atomic, shared, and cleaned up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agentbay_local.contexts.context_store import ContextStore
from agentbay_local.contexts.versions import Change
from agentbay_local.trees.manifest import FILE, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentbay_local.trees.atomic_write import AtomicWriter


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ContextStore]:
    """Return a store in an empty directory."""
    (tmp_path / "contexts").mkdir()
    with ThreadPoolExecutor(2) as executor:
        yield ContextStore(tmp_path / "contexts", executor, durable=False)


def change_adding(content: dict[str, bytes], **more: object) -> Change:
    """Return a change that adds these files."""

    def copy(writer: AtomicWriter, path: str) -> Stamp:
        def write(target: int) -> Stamp:
            os.write(target, content[path])
            return Stamp(FILE, len(content[path]), 10**18, 0o644)

        return writer.write_file(path, write)

    return Change(added=dict.fromkeys(content, Stamp(FILE)), write=copy, **more)  # type: ignore[arg-type]  # passed on as given


async def tree(files: ContextStore, context_id: str = "c") -> dict[str, bytes]:
    """Return path and content of every file of a context."""
    async with files.open_snapshot(context_id) as snapshot:
        return {
            str(path.relative_to(snapshot.tree)): path.read_bytes()
            for path in sorted(snapshot.tree.rglob("*"))
            if path.is_file()
        }


async def test_a_context_without_files_is_empty(files: ContextStore) -> None:
    """It can be read before anything is written."""
    assert await tree(files) == {}


async def test_unchanged_files_are_shared_between_versions(
    files: ContextStore, tmp_path: Path
) -> None:
    """By hard links: a new version costs only its changes."""
    await files.publish("c", change_adding({"a": b"1", "d/b": b"2"}))
    async with files.open_snapshot("c") as old:
        inode = (old.tree / "a").stat().st_ino
        await files.publish("c", change_adding({"d/b": b"3"}))
        async with files.open_snapshot("c") as new:
            assert (new.tree / "a").stat().st_ino == inode
            assert (old.tree / "d/b").read_bytes() == b"2"
            assert (new.tree / "d/b").read_bytes() == b"3"


async def test_a_snapshot_keeps_its_version(files: ContextStore, tmp_path: Path) -> None:
    """The version is removed when the last snapshot closes."""
    await files.publish("c", change_adding({"a": b"1"}))
    async with files.open_snapshot("c") as first, files.open_snapshot("c"):
        await files.publish("c", change_adding({"a": b"2"}))
        assert (first.tree / "a").read_bytes() == b"1"
    assert len(list((tmp_path / "contexts/c/versions").iterdir())) == 1
    assert await tree(files) == {"a": b"2"}


async def test_a_failed_change_changes_nothing(files: ContextStore, tmp_path: Path) -> None:
    """No partial version is left."""
    await files.publish("c", change_adding({"a": b"1"}))

    def broken(writer: AtomicWriter, path: str) -> Stamp:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await files.publish("c", Change(added={"b": Stamp(FILE)}, write=broken))
    assert await tree(files) == {"a": b"1"}
    assert sorted(path.name for path in (tmp_path / "contexts/c").iterdir()) == [
        "current",
        "versions",
    ]


async def test_a_file_may_become_a_folder_and_back(files: ContextStore) -> None:
    """The latest change wins."""
    await files.publish("c", change_adding({"x": b"1"}))
    await files.publish("c", change_adding({"x/y": b"2"}))
    assert await tree(files) == {"x/y": b"2"}
    await files.publish("c", change_adding({"x": b"3"}))
    assert await tree(files) == {"x": b"3"}


async def test_a_conditional_removal_keeps_a_changed_file(files: ContextStore) -> None:
    """Only the entry with that stamp is removed."""
    await files.publish("c", change_adding({"a": b"1", "b": b"2"}))
    seen = Stamp(FILE, 1, 10**18, 0o644)
    other = Stamp(FILE, 1, 5, 0o644)
    await files.publish("c", Change(removed={"a": seen, "b": other}))
    assert await tree(files) == {"b": b"2"}


async def test_concurrent_changes_are_all_applied(files: ContextStore) -> None:
    """Writers of one context wait for each other."""
    await asyncio.gather(*(files.publish("c", change_adding({f"{n}": b"x"})) for n in range(10)))
    assert sorted(await tree(files)) == sorted(str(n) for n in range(10))


async def test_expired_files_are_removed(files: ContextStore) -> None:
    """The next expiry time is returned; a new file has no expiry time of an old one."""
    await files.publish("c", change_adding({"a": b"1", "b": b"2"}, expiry={"a": 10.0, "b": 20.0}))
    assert await files.expire("c", 10.0) == 20.0
    assert await tree(files) == {"b": b"2"}
    await files.publish("c", change_adding({"b": b"3"}))
    assert await files.expire("c", 30.0) is None
    assert await tree(files) == {"b": b"3"}


async def test_recovery_removes_leftovers(files: ContextStore, tmp_path: Path) -> None:
    """Current versions of known contexts stay."""
    await files.publish("c", change_adding({"a": b"1"}))
    directory = tmp_path / "contexts/c"
    (directory / "staging-1/tree").mkdir(parents=True)
    (directory / "incoming-1").write_bytes(b"x")
    (directory / "versions/7").mkdir()
    (tmp_path / "contexts/removed-1/versions").mkdir(parents=True)
    assert await files.recover(["c"], tmp_path / "lost+found") == []
    assert sorted(os.listdir(directory)) == ["current", "versions"]
    assert os.listdir(directory / "versions") == ["1"]
    assert os.listdir(tmp_path / "contexts") == ["c"]
    assert await tree(files) == {"a": b"1"}


async def test_recovery_moves_unknown_files_aside(files: ContextStore, tmp_path: Path) -> None:
    """A context without a row is moved with all its files, also over one that was moved before."""
    for content in (b"1", b"2"):
        await files.publish("c", change_adding({"a": content}))
        (moved,) = await files.recover([], tmp_path / "lost+found")
        assert (moved / "current/tree/a").read_bytes() == content
    assert len(os.listdir(tmp_path / "lost+found")) == 2
    assert os.listdir(tmp_path / "contexts") == []


WRITER = """
import asyncio, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from agentbay_local.contexts.context_store import ContextStore
from agentbay_local.trees.manifest import FILE, Stamp
from agentbay_local.contexts.versions import Change

async def main():
    files = ContextStore(Path(sys.argv[1]) / "contexts", ThreadPoolExecutor(1), durable=True)
    number = int(sys.argv[2])
    while True:
        number += 1
        def copy(writer, path):
            def write(target):
                os.write(target, str(number).encode() * 1000)
                return Stamp(FILE, 0, number, 0o644)
            return writer.write_file(path, write)
        names = [f"d{n % 5}/{n}" for n in range(20)]
        await files.publish("c", Change(dict.fromkeys(names, Stamp(FILE)), write=copy))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_kill_at_any_moment_leaves_a_complete_version(
    files: ContextStore, tmp_path: Path
) -> None:
    """After each of 25 kills, all files are of one version, not older than the acknowledged one."""
    acknowledged = 0
    chance = random.Random(7)
    for _ in range(25):
        acknowledged = await asyncio.to_thread(
            killed_writer, tmp_path, acknowledged, chance.uniform(0.0, 0.05)
        )
        await files.recover(["c"], tmp_path / "lost+found")
        found = await tree(files)
        assert len(found) == 20
        (content,) = set(found.values())
        number = int(content[: len(content) // 1000])
        assert number >= acknowledged
        acknowledged = number
    assert acknowledged > 25


def killed_writer(home: Path, number: int, after: float) -> int:
    """Kill a writer some time after its first success; return its last acknowledged number."""
    command = [sys.executable, "-c", WRITER, str(home), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        try:
            writer.wait(after)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    return int(lines[-1] if lines[-1].endswith(b"\n") else lines[-2])
