"""How a sandbox begins, rests and ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Limits, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.orphans import Orphans, Record
from agentbay_local.sandbox.problems import InvalidRequest, SandboxGone, SandboxPaused
from agentbay_local.sandbox.uids import private_uid

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_local.sandbox.base import Backend, Sandbox

SERVICE = """
import asyncio, sys
from pathlib import Path
from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.orphans import Orphans
from agentbay_local.sandbox.uids import private_uid

async def main():
    backend = BubblewrapBackend(Orphans(Path(sys.argv[2])))
    one = await backend.start(SandboxSpec(Path(sys.argv[1]), private_uid(sys.argv[1])))
    await one.run("nohup setsid sleep 6543 >/dev/null 2>&1 &", timeout=10)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def gone(pid: int, within: float = 10.0) -> bool:
    """Wait for the end of a process that is not ours to wait for."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(within * 1000))
    os.close(handle)
    return ended


def facts(pid: int) -> list[str]:
    """Return the fields of a process after its name: state, parent, ..."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return ["X", "0"]


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(facts(pid)[1])


def descendants(pid: int) -> set[int]:
    """Return every process of the host below one."""
    parents = {int(name): parent(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


async def test_close_leaves_no_process_behind(sandbox: Sandbox) -> None:
    """Daemons that ignore every signal they can and left their group end too."""
    daemon = (
        "nohup setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 0.1; done' >/dev/null 2>&1 &"
    )
    await sandbox.run(daemon * 3, timeout=10)
    living = descendants(os.getpid())
    await sandbox.close()

    assert len(living) >= 4
    assert all(gone(pid) for pid in living)


async def test_close_can_be_repeated_and_fails_what_waits(sandbox: Sandbox) -> None:
    """A pending command learns that the sandbox is gone, and so does every later call."""
    waiting = asyncio.ensure_future(sandbox.run("sleep 100", timeout=100))
    await sandbox.run("true", timeout=10)
    await asyncio.gather(sandbox.close(), sandbox.close())
    await sandbox.close()

    with pytest.raises(SandboxGone):
        await waiting
    with pytest.raises(SandboxGone):
        await sandbox.stat("/")
    assert sandbox.dead.is_set()


async def test_no_descriptor_is_left_when_a_sandbox_was_closed(
    backend: Backend, tmp_path: Path
) -> None:
    """Starting, using and closing sandboxes does not use up the service."""
    spec = SandboxSpec(tmp_path / "root", private_uid("fds"))

    async def once() -> None:
        async with await backend.start(spec) as sandbox:
            await sandbox.run("sleep 20 & echo x", timeout=10, stdin=b"x")
            os.close(await sandbox.open("f", "w"))

    await once()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await once()
    after = sorted(os.listdir("/proc/self/fd"))
    await backend.close()

    assert before == after


async def test_death_of_the_agent_is_noticed(isolated: Sandbox) -> None:
    """Whoever waits is told, and the sandbox says that it is dead."""
    waiting = asyncio.ensure_future(isolated.run("sleep 100", timeout=100))
    await isolated.run("true", timeout=10)
    started = [pid for pid in descendants(os.getpid()) if parent(pid) == os.getpid()]
    for pid in descendants(os.getpid()):
        if parent(pid) in started:  # the session's first process, below bubblewrap
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(SandboxGone):
        await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(isolated.dead.wait(), 10)


async def test_sandbox_can_be_started_again_in_the_same_root(
    backend: Backend, tmp_path: Path
) -> None:
    """Files stay, processes do not."""
    spec = SandboxSpec(tmp_path / "root", private_uid("again"))
    async with await backend.start(spec) as sandbox:
        await sandbox.run("echo kept > f", timeout=10)
    async with await backend.start(spec) as sandbox:
        assert b"kept\n" == (await sandbox.run("cat f", timeout=10)).stdout
    await backend.close()


async def test_several_sandboxes_start_side_by_side(backend: Backend, tmp_path: Path) -> None:
    """Each is another session."""
    uid = private_uid("many")
    specs = [SandboxSpec(tmp_path / str(n), uid) for n in range(6)]
    sandboxes = await asyncio.gather(*(backend.start(spec) for spec in specs))
    said = await asyncio.gather(
        *(one.run(f"echo {n} > n; cat n", timeout=20) for n, one in enumerate(sandboxes))
    )
    await asyncio.gather(*(one.close() for one in sandboxes))
    await backend.close()

    assert [f"{n}\n".encode() for n in range(6)] == [done.stdout for done in said]


async def test_cancelled_start_leaves_nothing(backend: Backend, tmp_path: Path) -> None:
    """Whenever the cancel comes, no process and no descriptor is left."""
    spec = SandboxSpec(tmp_path / "root", private_uid("cancel"))
    async with await backend.start(spec):
        pass
    before = sorted(os.listdir("/proc/self/fd"))
    for step in range(12):
        starting = asyncio.ensure_future(backend.start(spec))
        await asyncio.wait([starting], timeout=step * 0.004)
        starting.cancel()
        try:
            await (await starting).close()
        except asyncio.CancelledError:
            pass
    living = descendants(os.getpid())
    assert all(gone(pid) for pid in living)
    assert before == sorted(os.listdir("/proc/self/fd"))
    await backend.close()


async def test_pause_stops_every_process_and_resume_continues_it(sandbox: Sandbox) -> None:
    """A counting process stands still in between, and a command under way ends afterwards."""
    await sandbox.run("(i=0; while :; do i=$((i+1)); echo $i > n; sleep 0.01; done) &", timeout=10)
    under_way = asyncio.ensure_future(
        sandbox.run("while [ ! -e go ]; do sleep 0.01; done", timeout=30)
    )
    await sandbox.run("while [ ! -s n ]; do sleep 0.01; done", timeout=10)
    await sandbox.pause()
    await sandbox.pause()
    states = {facts(pid)[0] for pid in descendants(os.getpid())}
    with pytest.raises(SandboxPaused):
        await sandbox.run("true", timeout=10)
    await sandbox.resume()
    await sandbox.resume()
    await sandbox.run("rm n; while [ ! -s n ]; do sleep 0.01; done; touch go", timeout=10)

    assert "T" in states
    assert "R" not in states
    assert 0 == (await asyncio.wait_for(under_way, 20)).exit_code


async def test_resume_leaves_jobs_alone_that_were_stopped_before(sandbox: Sandbox) -> None:
    """Job control survives a pause."""
    started = await sandbox.run("sleep 77 & kill -STOP $!; echo $!", timeout=10)
    pid = started.stdout.decode().strip()
    await sandbox.pause()
    await sandbox.resume()
    after = await sandbox.run(f"cut -d' ' -f3 /proc/{pid}/stat", timeout=10)

    assert b"T\n" == after.stdout


async def test_time_spent_paused_does_not_count(sandbox: Sandbox) -> None:
    """A command's deadline stands still with its session."""
    running = asyncio.ensure_future(
        sandbox.run("while [ ! -e go ]; do sleep 0.01; done; echo done", timeout=1.0)
    )
    await sandbox.run("true", timeout=10)
    await sandbox.pause()
    await asyncio.wait([running], timeout=1.3)
    await sandbox.resume()
    await sandbox.run("touch go", timeout=10)

    assert b"done\n" == (await running).stdout


async def test_paused_sandbox_can_be_closed(sandbox: Sandbox) -> None:
    """Stopped processes end like others."""
    await sandbox.run("sleep 88 &", timeout=10)
    living = descendants(os.getpid())
    await sandbox.pause()
    await asyncio.wait_for(sandbox.close(), 10)

    assert all(gone(pid) for pid in living)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_sandbox_dies_with_its_service(isolating: None, tmp_path: Path, number: int) -> None:
    """A killed service leaves no process of a session, even one that left every group."""
    ledger = tmp_path / "live"
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(tmp_path / "root"), str(ledger)],
        stdout=subprocess.PIPE,
    ) as service:
        assert service.stdout is not None
        assert b"ready\n" == service.stdout.readline()
        living = descendants(service.pid)
        service.send_signal(number)
        service.wait(10)

    assert len(living) >= 3
    assert all(gone(pid) for pid in living)
    assert 0 == Orphans(ledger).sweep()


def test_sweep_ends_the_recorded_process_and_no_other(tmp_path: Path) -> None:
    """A record names one process for ever; its number in other hands is left alone."""
    ledger = Orphans(tmp_path)
    with (
        subprocess.Popen(["sleep", "99"]) as orphan,
        subprocess.Popen(["sleep", "99"]) as stranger,
    ):
        ledger.add(orphan.pid)
        other = Record.of(stranger.pid)
        (tmp_path / Record(other.boot, other.pid, other.start - 1).name).touch()

        assert 1 == ledger.sweep()
        assert -signal.SIGKILL == orphan.wait(10)
        assert stranger.poll() is None
        stranger.kill()
    assert [] == list(tmp_path.iterdir())


async def test_live_sandbox_is_recorded_until_it_ends(isolating: None, tmp_path: Path) -> None:
    """The ledger holds what lives, and nothing else."""
    ledger = tmp_path / "live"
    backend = BubblewrapBackend(Orphans(ledger))
    async with await backend.start(SandboxSpec(tmp_path / "root", private_uid("rec"))):
        during = len(list(ledger.iterdir()))
    await backend.close()

    assert (1, 0) == (during, len(list(ledger.iterdir())))


@pytest.mark.skipif(os.geteuid() != 0, reason="about services that are root")
async def test_root_is_refused_without_a_private_user(tmp_path: Path) -> None:
    """Namespaces made by root would be no wall."""
    backend = BubblewrapBackend()
    with pytest.raises(InvalidRequest, match="private user id"):
        await backend.start(SandboxSpec(tmp_path / "root", None, Limits()))
    await backend.close()


async def test_start_is_quick_enough_to_be_lazy(backend: Backend, tmp_path: Path) -> None:
    """A sandbox is up in well under a second, so it may wait for its first use."""
    began = time.monotonic()
    async with await backend.start(SandboxSpec(tmp_path / "root", private_uid("quick"))):
        took = time.monotonic() - began
    await backend.close()

    assert took < 5
