"""Sessions of a killed service."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.host.orphans import Orphans, Record
from agentbay_local.sandbox.host.uids import private_uid

from .process_table import descendants, gone

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
import asyncio, sys
from pathlib import Path
from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.host.orphans import Orphans
from agentbay_local.sandbox.host.uids import private_uid

async def main():
    backend = BubblewrapBackend(Orphans(Path(sys.argv[2])))
    one = await backend.start(SandboxSpec(Path(sys.argv[1]), private_uid(sys.argv[1])))
    await one.run("nohup setsid sleep 400 >/dev/null 2>&1 &", timeout=10)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_sandbox_dies_with_its_service(isolating: None, tmp_path: Path, number: int) -> None:
    """A killed service leaves no process of a session, even one that left every group."""
    ledger = tmp_path / "live"
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(tmp_path / "root"), str(ledger)],
        stdout=subprocess.PIPE,
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"ready\n"
        living = descendants(service.pid)
        service.send_signal(number)
        service.wait(10)

    assert len(living) >= 3
    assert all(gone(pid) for pid in living)
    assert Orphans(ledger).sweep() == 0


def test_sweep_ends_the_recorded_process_and_no_other(tmp_path: Path) -> None:
    """A record identifies one process; a reused process id is left alone."""
    ledger = Orphans(tmp_path)
    with (
        subprocess.Popen(["sleep", "99"]) as orphan,
        subprocess.Popen(["sleep", "99"]) as stranger,
    ):
        ledger.add(orphan.pid)
        other = Record.of(stranger.pid)
        (tmp_path / Record(other.boot, other.pid, other.start - 1).name).touch()

        assert ledger.sweep() == 1
        assert orphan.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()
    assert list(tmp_path.iterdir()) == []


async def test_live_sandbox_is_recorded_until_it_ends(isolating: None, tmp_path: Path) -> None:
    """The ledger has exactly the live sandboxes, where bubblewrap starts each one."""
    ledger = tmp_path / "live"
    backend = BubblewrapBackend(Orphans(ledger), forks=False)
    async with await backend.start(SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))):
        during = len(list(ledger.iterdir()))
    after = len(list(ledger.iterdir()))
    await backend.close()

    assert (during, after) == (1, 0)


async def test_fork_server_is_recorded_and_ends_its_sandboxes(
    isolating: None, tmp_path: Path
) -> None:
    """Its record is enough: a sweep after a crash ends it, and the kernel what it has forked."""
    orphans = Orphans(tmp_path / "live")
    backend = BubblewrapBackend(orphans)
    sandboxes = [
        await backend.start(SandboxSpec(tmp_path / name, private_uid(name))) for name in "ab"
    ]
    swept = orphans.sweep()
    for sandbox in sandboxes:
        await asyncio.wait_for(sandbox.dead.wait(), 60)
        await sandbox.close()
    await backend.close()

    assert swept == (1 if backend.forks else 2)
    assert list((tmp_path / "live").iterdir()) == []
