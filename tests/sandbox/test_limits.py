"""Limits of sessions: excess is stopped and reported, and does not disturb others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.ordinary_user import user_of
from tests.waiting import until

from agentbay_local.sandbox.base import Limits, SandboxSpec
from agentbay_local.sandbox.cgroups.detection import NO_CGROUPS
from agentbay_local.sandbox.host import process_tree, usage
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.plain import PlainBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local.sandbox.base import Backend, Sandbox

    from .conftest import NewProcesses, Starting

MIB = 1024 * 1024
PROJECT = Path(__file__).parents[2]
HOG = "import time; held = bytearray(b'x' * {} * 2**20); print('held', flush=True); time.sleep(60)"


async def healthy(sandbox: Sandbox) -> bool:
    """Return whether a session answers at once."""
    done = await asyncio.wait_for(sandbox.run("echo well", timeout=60), 60)
    return done.stdout == b"well\n" and not done.excess


async def limited(backend: Backend, root: Path, limits: Limits) -> Sandbox:
    """Start a sandbox with given limits."""
    return await backend.start(SandboxSpec(root, private_uid(str(root)), limits))


async def test_largest_process_is_killed_beyond_the_memory_limit(
    backend: Backend, tmp_path: Path, python: str
) -> None:
    """Its command names the limit; smaller processes and other sessions continue."""
    limits = Limits(memory_bytes=100 * MIB)
    async with (
        await limited(backend, tmp_path / "hog", limits) as hog,
        await limited(backend, tmp_path / "other", limits) as other,
    ):
        small = await hog.spawn([python, "-c", HOG.format(20)])
        assert await small.stdout.read() == b"held\n"
        done = await hog.run([python, "-c", HOG.format(150)], timeout=55)

        assert (done.exit_code, done.timed_out) == (137, False)
        assert "memory exceeded 104857600 bytes" in done.excess
        assert hog.excess == done.excess
        assert not small.exited
        await small.close()
        assert await healthy(hog)
        assert await healthy(other)
        assert other.excess == ""
    await backend.close()


async def test_many_small_processes_count_together(
    backend: Backend, tmp_path: Path, python: str, new_processes: NewProcesses
) -> None:
    """The limit applies to the session, also to processes that left their parents."""
    many = f'for n in 1 2 3 4; do setsid {python} -c "{HOG.format(40)}" & done'
    async with await limited(backend, tmp_path / "root", Limits(memory_bytes=100 * MIB)) as sandbox:
        running = asyncio.ensure_future(sandbox.run(f"{many}; while :; do wait; done", timeout=60))
        await until(lambda: "memory exceeded" in sandbox.excess)
        await until(lambda: large_processes(new_processes()) < 3)
        running.cancel()
    await backend.close()


def large_processes(pids: set[int]) -> int:
    """Count the processes that use as much memory as one hog."""
    family = [one for one in process_tree.list_descendants(os.getpid()) if one.pid in pids]
    return len([one for one in family if 40 * MIB < one.memory < 60 * MIB])


async def test_shared_memory_counts_once(backend: Backend, tmp_path: Path, python: str) -> None:
    """Forked copies of one large process do not count as many large ones."""
    code = (
        "import os, time; held = bytearray(b'x' * 60 * 2**20);"
        "pids = [os.fork() for _ in range(2)]; time.sleep(1.2); print(len(pids))"
    )
    async with await limited(backend, tmp_path / "root", Limits(memory_bytes=150 * MIB)) as sandbox:
        done = await sandbox.run([python, "-c", code], timeout=60)

        assert (done.exit_code, done.excess) == (0, "")
        assert done.stdout.split()[0] == b"2"
    await backend.close()


async def test_file_cannot_grow_beyond_the_disk_limit(backend: Backend, tmp_path: Path) -> None:
    """The kernel stops a single file."""
    async with await limited(backend, tmp_path / "root", Limits(disk_bytes=8 * MIB)) as sandbox:
        done = await sandbox.run("head -c 100000000 /dev/zero > big; echo $?", timeout=60)

        assert done.stdout.strip() != b"0"
        assert (await sandbox.stat("big")).size <= 8 * MIB
    await backend.close()


FILLER = "n=0; while :; do n=$((n+1)); head -c 1000000 /dev/zero > f$n; done"


async def test_disk_filler_is_killed_and_can_clean_up(backend: Backend, tmp_path: Path) -> None:
    """Many small files are counted from outside; they can always be removed."""
    async with await limited(backend, tmp_path / "root", Limits(disk_bytes=8 * MIB)) as sandbox:
        filled = await sandbox.run(FILLER, timeout=60)
        looked = await sandbox.run("ls; sleep 0.7; rm f*; echo removed", timeout=60)
        again = await sandbox.run(FILLER, timeout=60)

        assert (filled.exit_code, filled.timed_out) == (137, False)
        assert "files exceeded 8388608 bytes" in filled.excess
        assert looked.stdout.endswith(b"removed\n")
        assert "files exceeded" in again.excess
        assert await healthy(sandbox)
    await backend.close()


async def test_a_command_after_the_kill_is_not_killed(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it is wanted while late processes of the killed program are still looked for."""
    go_on, kill = threading.Event(), process_tree.kill

    def kill_slowly(members: Sequence[process_tree.Process]) -> int:
        number = kill(members)
        assert go_on.wait(60)
        return number

    monkeypatch.setattr(process_tree, "kill", kill_slowly)
    async with await limited(backend, tmp_path / "root", Limits(disk_bytes=8 * MIB)) as sandbox:
        assert "files exceeded" in (await sandbox.run(FILLER, timeout=60)).excess
        following = asyncio.ensure_future(sandbox.run("sleep 0.5; echo well", timeout=60))
        # The agent reads its requests in their order.
        await asyncio.wait([asyncio.ensure_future(sandbox.stat("/"))])
        await sandbox.stat("/")
        go_on.set()
        assert (await following).stdout == b"well\n"
    await backend.close()


async def test_a_program_that_starts_late_is_limited(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks that find no process yet are not the last ones."""
    seen, list_descendants = [], process_tree.Tree.list_descendants

    def blind_at_first(tree: process_tree.Tree) -> Sequence[process_tree.Process]:
        seen.append(tree)
        return list_descendants(tree) if len(seen) > 3 else ()

    def has_descendants(tree: process_tree.Tree) -> bool:
        return bool(blind_at_first(tree))

    monkeypatch.setattr(process_tree.Tree, "list_descendants", blind_at_first)
    monkeypatch.setattr(process_tree.Tree, "has_descendants", has_descendants)
    async with await limited(backend, tmp_path / "root", Limits(disk_bytes=8 * MIB)) as sandbox:
        assert "files exceeded" in (await sandbox.run(FILLER, timeout=60)).excess
    await backend.close()


async def test_flood_of_output_does_not_block_the_service(
    start_isolated: Starting,
) -> None:
    """Output beyond the limit is discarded slowly, which costs the service little."""
    async with start_isolated("flood") as flood, start_isolated("other") as other:
        flooding = asyncio.ensure_future(flood.run("yes", timeout=1.5, output_limit=1000))
        await asyncio.wait([flooding], timeout=0.2)
        before, began = time.process_time(), time.monotonic()
        await asyncio.wait([flooding], timeout=1)
        busy, took = time.process_time() - before, time.monotonic() - began
        assert await healthy(other)
        done = await flooding

    assert (len(done.stdout), done.truncated, done.timed_out) == (1000, True, True)
    assert busy < 0.25 * max(took, 1)


async def test_background_flood_leaves_the_session_usable(isolated: Sandbox) -> None:
    """The agent discards it slowly enough to serve other requests."""
    await isolated.run("yes & yes >&2 &", timeout=10)
    before, began = await processor_ticks_of_the_agent(isolated), time.monotonic()
    await asyncio.wait([asyncio.ensure_future(isolated.dead.wait())], timeout=1)
    after, took = await processor_ticks_of_the_agent(isolated), time.monotonic() - began

    assert await healthy(isolated)
    assert (after - before) / os.sysconf("SC_CLK_TCK") < 0.25 * max(took, 1)


async def processor_ticks_of_the_agent(sandbox: Sandbox) -> int:
    """Return the processor time of the first process of a session."""
    script = "read -r a < /proc/1/stat; set -- $a; echo $(( ${14} + ${15} ))"
    return int((await sandbox.run(script, timeout=60)).stdout)


@pytest.mark.slow
async def test_processor_time_is_limited_per_process(backend: Backend, tmp_path: Path) -> None:
    """A busy loop is killed; the agent and later commands have their own time."""
    async with await limited(backend, tmp_path / "root", Limits(cpu_seconds=1)) as sandbox:
        for _ in range(2):
            # On a busy machine, a second of processor time takes many.
            done = await sandbox.run("while :; do :; done", timeout=300)
            assert (done.exit_code, done.timed_out) == (137, False)
        assert await healthy(sandbox)
    await backend.close()


async def test_excess_processes_are_killed_without_a_kernel_limit(
    tmp_path: Path,
) -> None:
    """Without isolation and control groups the service counts the processes."""
    backend = PlainBackend(NO_CGROUPS)
    async with await limited(backend, tmp_path / "root", Limits(processes=20)) as sandbox:
        many = "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25"
        done = await sandbox.run(f"{many}; do sleep 55 & done; wait", timeout=50)

        assert done.exit_code == 137
        assert "more than 20 processes" in done.excess
        assert await healthy(sandbox)
    await backend.close()


async def test_idle_session_is_not_polled(
    start_isolated: Starting, monkeypatch: pytest.MonkeyPatch, new_processes: NewProcesses
) -> None:
    """The polling stops without processes and starts again with the next one."""
    looks: list[bool] = []

    def counted(name: str) -> None:
        look = getattr(process_tree.Tree, name)

        def look_and_count(tree: process_tree.Tree) -> object:
            found = look(tree)
            if tree.agent in new_processes():
                looks.append(bool(found))
            return found

        monkeypatch.setattr(process_tree.Tree, name, look_and_count)

    # With control groups, and without.
    counted("has_descendants")
    counted("list_descendants")
    async with start_isolated() as sandbox:
        await sandbox.run("sleep 0.5", timeout=10)
        while not looks or looks[-1]:
            await asyncio.wait([asyncio.ensure_future(sandbox.stat("/"))], timeout=0.1)
        first = len(looks)
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.6)
        resting = len(looks)
        running = asyncio.ensure_future(sandbox.run("sleep 55", timeout=60))
        await until(lambda: len(looks) > resting)
        running.cancel()
        await asyncio.wait([running])

    assert first == resting


def never() -> bool:
    """Go on."""
    return False


async def test_disk_usage_counts_each_file_once_at_any_depth(tmp_path: Path) -> None:
    """Hard links count once; deep directories count fully."""
    block = b"x" * 100_000
    (tmp_path / "a").write_bytes(block)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("/usr")
    plenty = usage.DiskUsage(10**9, 10**9)
    flat = usage.used_space(tmp_path, plenty, never)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    deep = os.open("deep", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(deep, block)
    os.close(deep)
    os.close(here)
    nested = usage.used_space(tmp_path, plenty, never)

    assert 100_000 <= flat.bytes < 150_000
    assert flat.files == 3
    assert nested.bytes - flat.bytes >= 100_000
    assert nested.files == 3 + 3000 + 1
    assert usage.used_space(tmp_path, usage.DiskUsage(50_000, 10**9), never).bytes < 200_000
    assert usage.used_space(tmp_path, usage.DiskUsage(10**9, 100), never).files == 101
    assert usage.used_space(tmp_path, plenty, lambda: True) == usage.DiskUsage(0, 0)
    # Who removes old temporary directories may not get that deep.
    await remove_tree(tmp_path / "d")


CLOSED = """
import os, stat, sys
from pathlib import Path
from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.host.usage import DiskUsage, used_space
from tests.sandbox.run_attacks import become

os.chdir(sys.argv[1])
become(int(sys.argv[2]), Isolation.LANDLOCK)
closed = [Path("root", *path.split()) for path in ("a", "a b", "c", "d", "d e")]
for path in closed:
    path.mkdir(parents=True)
    (path / "f").write_bytes(bytes(100_000))
for mode, path in zip((0o200, 0o700, 0o400, 0, 0o300, 0), [*reversed(closed), Path("root")]):
    path.chmod(mode)
everything = used_space(Path("root"), None, lambda: False)
stopped = used_space(Path("root"), DiskUsage(10**9, 8), lambda: False)
print(everything.files, everything.bytes >= 500_000, stopped.files)
for path in (Path("root"), *closed):
    print(oct(path.stat().st_mode & 0o777))
    path.chmod(0o700)
"""


def test_closed_directories_are_counted_and_stay_closed(tmp_path: Path) -> None:
    """A service that is an ordinary user takes the permission only for its walk."""
    uid = user_of("as a user")
    (tmp_path / "root").mkdir()
    for path in (tmp_path, tmp_path / "root"):
        os.chown(path, uid or -1, uid or -1)
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, str(tmp_path), str(uid)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    counted, *modes = done.stdout.splitlines() or [done.stderr]
    assert counted == "10 True 9"
    assert modes == ["0o0", "0o300", "0o0", "0o400", "0o700", "0o200"]


def test_reused_process_id_is_not_killed() -> None:
    """A process id that belongs to another process by now is left alone."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    (member,) = [one for one in process_tree.list_descendants(os.getpid()) if one.pid == pid]
    another = process_tree.Process(pid, member.start + 1, 1, 0)

    assert process_tree.kill([another]) == 0
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    assert process_tree.kill([member]) == 1
    assert os.waitpid(pid, 0)[1] == 9
    assert process_tree.kill([member]) == 0
