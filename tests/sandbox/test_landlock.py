"""The level for machines without user namespaces: its description, its limits and its end."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox import landlock, seccomp
from agentbay_local.sandbox.base import Isolation, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, IsolationUnavailable, SandboxGone
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.inside import confinement
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.probe import probe

from .process_table import gone, owned_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_local.sandbox.base import Sandbox

    from .conftest import NewProcesses

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to drop")


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Return a sandbox of this level."""
    if not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    backend = LandlockBackend()
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))
    async with await backend.start(spec) as sandbox:
        yield sandbox
    await backend.close()


async def test_probe_describes_the_level(confined: Sandbox) -> None:
    """The description has the version of Landlock and the protection that is missing."""
    found = await probe(Isolation.LANDLOCK)

    assert found.available
    assert f"Landlock version {confinement.abi()}" in found.detail
    assert "no network, no ports" in found.detail
    assert "see the host's processes" in found.detail


def test_old_landlock_reports_the_missing_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before version six, only a private user keeps a session from ending processes."""
    monkeypatch.setattr(confinement, "abi", lambda: 5)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert "can end processes of this user" in landlock.describe_level()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "can end" not in landlock.describe_level()


async def test_missing_landlock_is_reported_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text names the required kernel and setting; nothing else is tried."""
    monkeypatch.setattr(confinement, "abi", lambda: 0)
    found = await probe(Isolation.LANDLOCK)

    assert not found.available
    assert "no Landlock" in found.reason
    assert "Linux 5.13" in found.remedy
    assert "--isolation landlock" not in found.remedy


async def test_probe_reports_a_missing_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the sockets of the host would be open, so the level is not available."""
    monkeypatch.setattr(confinement, "abi", lambda: 7)
    monkeypatch.setattr(seccomp, "build_filter", lambda *_: None)
    found = await probe(Isolation.LANDLOCK)

    assert not found.available
    assert "system calls" in found.reason


async def test_level_is_suggested_but_not_selected_without_namespaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The remedy names it; namespaces stay unavailable."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(confinement, "abi", lambda: 7)
    monkeypatch.setattr("agentbay_local.sandbox.host.programs.find_bubblewrap", _missing)
    found = await probe(Isolation.NAMESPACES)

    assert (found.isolation, found.available) == (Isolation.NAMESPACES, False)
    assert "--isolation landlock" in found.remedy
    assert "--isolation none" in found.remedy


def _missing() -> Path:
    raise OSError("no bubblewrap")


@AS_ROOT
async def test_root_needs_a_private_user(tmp_path: Path) -> None:
    """The session would be root of the host otherwise."""
    backend = LandlockBackend()
    with pytest.raises(InvalidRequest, match="private user id"):
        await backend.start(SandboxSpec(tmp_path / "root"))
    await backend.close()


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
async def test_session_that_kills_or_stops_its_agent_leaves_no_process(
    confined: Sandbox, tmp_path: Path, signal: str, new_processes: NewProcesses
) -> None:
    """The keeper is out of its reach and ends the remaining processes."""
    daemon = "setsid sh -c 'trap \"\" TERM HUP; sleep 400; sleep 400' >/dev/null 2>&1 &"
    await confined.run(daemon * 3, timeout=10)
    living = new_processes()
    # Its parent is the agent, and the agent's parent is the keeper.
    agent = "read -r a < /proc/$PPID/stat; set -- $a; kill -9 $4; kill -"
    attack = asyncio.ensure_future(confined.run(f"{agent}{signal} $PPID; sleep 60", timeout=60))
    await asyncio.wait([attack, asyncio.ensure_future(confined.dead.wait())], timeout=1)
    await confined.close()
    with pytest.raises(SandboxGone):
        await attack

    assert len(living) >= 5
    assert all(gone(pid) for pid in living)
    if os.geteuid() == 0:
        uid = private_uid(str(tmp_path))
        assert uid is not None
        assert all(gone(pid) for pid in owned_by(uid))


async def test_home_and_temporary_directory_are_private(confined: Sandbox) -> None:
    """Nothing is mounted, so variables name the directories."""
    done = await confined.run("touch $HOME/f $TMPDIR/g && mktemp && touch /tmp/x", timeout=10)
    names = [entry.name for entry in await confined.list("/tmp")]

    assert done.exit_code != 0
    assert b"/tmp/x" in done.stderr
    assert (await confined.stat("f")).is_file
    assert "g" in names


@pytest.mark.parametrize("mode", [0o755, 0o700])
async def test_read_only_directory_can_be_read_and_not_written(tmp_path: Path, mode: int) -> None:
    """Below a directory that only the service may enter too; there it gets another path."""
    if not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    directory = tempfile.mkdtemp(prefix="agentbay-shown-", dir="/tmp")
    os.mkdir(f"{directory}/inner")
    (tmp_path / "x.pth").write_text("where the packages come from")
    os.replace(tmp_path / "x.pth", f"{directory}/inner/x.pth")
    os.chmod(directory, mode)
    uid, keeps_path = private_uid(str(tmp_path)), mode == 0o755 or os.geteuid() != 0
    spec = SandboxSpec(tmp_path / "root", uid, read_only={"/opt/x": Path(f"{directory}/inner")})
    backend = LandlockBackend()
    async with await backend.start(spec) as sandbox:
        visible = sandbox.read_only["/opt/x"]
        read = await sandbox.run(f"ls {visible}; cat {visible}/x.pth", timeout=10)
        write = await sandbox.run(f"touch {visible}/f", timeout=10)
        outside = await sandbox.run(f"ls {visible}/..", timeout=10)
    await backend.close()
    await remove_tree(Path(directory))

    assert (visible == f"{directory}/inner") is keeps_path
    assert read.stdout.startswith(b"x.pth\n")
    assert (b"come from" in read.stdout) is keeps_path
    assert write.exit_code != 0
    assert outside.exit_code != 0


@AS_ROOT
async def test_directory_that_cannot_be_mounted_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session starts all the same."""
    if not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "inner").mkdir()
    reachable = Mounts.reachable

    def refuse(self: Mounts, path: Path) -> Path:
        if path.is_relative_to(private):
            raise IsolationUnavailable("mounting is not permitted.", "")
        return reachable(self, path)

    monkeypatch.setattr(Mounts, "reachable", refuse)
    read_only = {"/opt/x": private / "inner", "/opt/y": Path("/usr/share")}
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)), read_only=read_only)
    backend = LandlockBackend()
    async with await backend.start(spec) as sandbox:
        assert sandbox.read_only == {"/opt/y": "/usr/share"}
    await backend.close()


async def test_terminals_of_the_host_cannot_be_opened(confined: Sandbox) -> None:
    """A session reaches only the terminal that it received."""
    async with await confined.terminal("ls /dev/pts; cat < $(tty); echo mine > /dev/tty") as one:
        output = b""
        while data := await one.read():
            output += data

    assert output.count(b"ermission denied") == 2
    assert output.endswith(b"mine\r\n")
