"""Surveys of a tree and resource usage, the same at every level."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Limits, SandboxSpec
from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host.uids import private_uid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentbay_local.sandbox.base import Backend, Sandbox

MIB = 1024 * 1024


@pytest.fixture
async def sandbox(backend: Backend, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Return a sandbox of each level, with limits."""
    limits = Limits(memory_bytes=300 * MIB, disk_bytes=100 * MIB)
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)), limits)
    async with await backend.start(spec) as sandbox:
        yield sandbox
    await backend.close()


async def write(sandbox: Sandbox, path: str, content: bytes) -> None:
    """Write a file."""
    file = await sandbox.open(path, "w")
    try:
        os.write(file, content)
    finally:
        os.close(file)


async def test_survey_describes_a_directory_and_its_tree(sandbox: Sandbox) -> None:
    """With absolute paths, also for a relative question."""
    await write(sandbox, "top/a", b"12")
    await write(sandbox, "top/sub/汉\n", b"")
    found = await sandbox.survey("top")
    top = "/home/wuying/top"
    assert set(found) == {top, f"{top}/a", f"{top}/sub", f"{top}/sub/汉\n"}
    assert (found[f"{top}/a"].is_dir, found[f"{top}/a"].size) == (False, 2)
    assert found[f"{top}/sub"].is_dir


async def test_writing_changes_the_stamp_of_that_file_only(sandbox: Sandbox) -> None:
    """So does replacing it."""
    await write(sandbox, "/tmp/t/a", b"old")
    await write(sandbox, "/tmp/t/b", b"old")
    before = await sandbox.survey("/tmp/t")
    await write(sandbox, "/tmp/t/a", b"newer")
    after = await sandbox.survey("/tmp/t")
    assert {path for path in after if after[path] != before[path]} == {"/tmp/t/a"}
    await write(sandbox, "/tmp/c", b"old")
    await sandbox.move("/tmp/c", "/tmp/t/b")
    assert (await sandbox.survey("/tmp/t"))["/tmp/t/b"].inode != after["/tmp/t/b"].inode


async def test_survey_of_a_file_or_a_missing_path(sandbox: Sandbox) -> None:
    """A file is its own survey; a missing path has none."""
    await write(sandbox, "/tmp/file", b"x")
    assert set(await sandbox.survey("/tmp/file")) == {"/tmp/file"}
    assert await sandbox.survey("/tmp/none") == {}
    assert await sandbox.survey("/tmp/file/below") == {}


async def test_survey_may_exceed_a_packet(sandbox: Sandbox) -> None:
    """With nested directories."""
    directory = "/home/wuying/many"
    for number in range(300):
        await write(sandbox, f"{directory}/{'x' * 200}{number}", b"")
    await sandbox.make_directory(f"{directory}/{'/'.join(['d' * 50] * 40)}")
    assert len(await sandbox.survey(directory)) == 1 + 300 + 40


async def test_usage_is_reported_with_the_limits(sandbox: Sandbox) -> None:
    """Disk as it is written, processor time as it is used."""
    before = await sandbox.consumption()
    await write(sandbox, "/tmp/big", b"x" * 5 * MIB)
    await sandbox.run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done", timeout=60)
    after = await sandbox.consumption()
    assert 5 * MIB <= after.disk_bytes - before.disk_bytes < 6 * MIB
    assert after.cpu_seconds > before.cpu_seconds
    assert (after.memory_most, after.disk_most) == (300 * MIB, 100 * MIB)


@pytest.mark.slow
async def test_directory_with_too_many_entries_is_refused(sandbox: Sandbox) -> None:
    """The error says what to do; the session goes on."""
    much = "mkdir much; cd much; seq 50001 | xargs touch"
    assert (await sandbox.run(much, timeout=120)).exit_code == 0

    for work in (sandbox.list("much"), sandbox.search("much", "*"), sandbox.survey("much")):
        with pytest.raises(SandboxOSError, match=r"too many entries .*: much"):
            await work
    await sandbox.run("mkdir few; cd few; seq 20000 | xargs touch", timeout=120)
    assert len(await sandbox.list("few")) == 20_000
