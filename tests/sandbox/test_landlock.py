"""The level for machines without user namespaces: what it says of itself, and how it ends."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox import landlock, seccomp
from agentbay_local.sandbox.base import Isolation, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, SandboxGone
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.inside import confinement
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.probe import probe

from .process_table import gone, owned_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_local.sandbox.base import Sandbox

    from .conftest import Newborn

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to drop")


@pytest.fixture
async def shut_in(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Give one sandbox of this level."""
    if not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    backend = LandlockBackend()
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))
    async with await backend.start(spec) as sandbox:
        yield sandbox
    await backend.close()


async def test_probe_says_what_the_level_is_worth_here(shut_in: Sandbox) -> None:
    """Which version of Landlock there is, and what the level does not give."""
    found = await probe(Isolation.LANDLOCK)

    assert found.available
    assert f"Landlock version {confinement.abi()}" in found.detail
    assert "no network, no ports" in found.detail
    assert "see the host's processes" in found.detail


def test_old_landlock_tells_what_it_cannot_prevent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before version six, only a private user keeps a session from ending processes."""
    monkeypatch.setattr(confinement, "abi", lambda: 5)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert "can end processes of this user" in landlock.describe_level()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "can end" not in landlock.describe_level()


async def test_probe_says_why_and_what_would_help_without_landlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel that has it and the setting that turns it on are named; nothing else is tried."""
    monkeypatch.setattr(confinement, "abi", lambda: 0)
    found = await probe(Isolation.LANDLOCK)

    assert not found.available
    assert "no Landlock" in found.reason
    assert "Linux 5.13" in found.remedy
    assert "--isolation landlock" not in found.remedy


async def test_probe_says_that_the_filter_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the level would leave the host's sockets open, so there is no such level."""
    monkeypatch.setattr(confinement, "abi", lambda: 7)
    monkeypatch.setattr(seccomp, "build_filter", lambda *_: None)
    found = await probe(Isolation.LANDLOCK)

    assert not found.available
    assert "system calls" in found.reason


async def test_level_is_offered_and_never_taken_when_namespaces_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The remedy names it; the answer stays that namespaces are not available."""
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
async def test_root_is_refused_without_a_private_user(tmp_path: Path) -> None:
    """The session would be root of the host."""
    backend = LandlockBackend()
    with pytest.raises(InvalidRequest, match="private user id"):
        await backend.start(SandboxSpec(tmp_path / "root"))
    await backend.close()


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
async def test_session_that_ends_or_stops_its_agent_leaves_nothing_behind(
    shut_in: Sandbox, tmp_path: Path, signal: str, newborn: Newborn
) -> None:
    """The keeper outside cannot be reached by it, and ends what is left."""
    daemon = "setsid sh -c 'trap \"\" TERM HUP; sleep 400; sleep 400' >/dev/null 2>&1 &"
    await shut_in.run(daemon * 3, timeout=10)
    living = newborn()
    # Its parent is the agent, and the agent's parent is the keeper.
    agent = "read -r a < /proc/$PPID/stat; set -- $a; kill -9 $4; kill -"
    attack = asyncio.ensure_future(shut_in.run(f"{agent}{signal} $PPID; sleep 60", timeout=60))
    await asyncio.wait([attack, asyncio.ensure_future(shut_in.dead.wait())], timeout=1)
    await shut_in.close()
    with pytest.raises(SandboxGone):
        await attack

    assert len(living) >= 5
    assert all(gone(pid) for pid in living)
    if os.geteuid() == 0:
        uid = private_uid(str(tmp_path))
        assert uid is not None
        assert all(gone(pid) for pid in owned_by(uid))


async def test_home_and_temporary_files_are_the_sessions_own(shut_in: Sandbox) -> None:
    """Nothing is moved, so the places are named by variables."""
    done = await shut_in.run("touch $HOME/f $TMPDIR/g && mktemp && touch /tmp/x", timeout=10)
    names = [entry.name for entry in await shut_in.list("/tmp")]

    assert done.exit_code != 0
    assert b"/tmp/x" in done.stderr
    assert (await shut_in.stat("f")).is_file
    assert "g" in names


@pytest.mark.parametrize("mode", [0o755, 0o700])
async def test_read_only_directory_is_found_at_its_own_path(tmp_path: Path, mode: int) -> None:
    """It can be read by who may go there, and never written; else the session starts without."""
    if not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    shown = tempfile.mkdtemp(prefix="agentbay-shown-", dir="/tmp")
    os.mkdir(f"{shown}/inner")
    os.chmod(shown, mode)
    uid, own = private_uid("shown"), mode == 0o755 or os.geteuid() != 0
    spec = SandboxSpec(tmp_path / "root", uid, read_only={"/opt/x": Path(f"{shown}/inner")})
    backend = LandlockBackend()
    async with await backend.start(spec) as sandbox:
        read = await sandbox.run(f"ls {shown}/inner", timeout=10)
        write = await sandbox.run(f"touch {shown}/inner/f", timeout=10)
    await backend.close()
    await remove_tree(Path(shown))

    assert (read.exit_code == 0) is own
    assert write.exit_code != 0


async def test_terminals_of_the_host_cannot_be_opened(shut_in: Sandbox) -> None:
    """A session has the terminal it was given, and reaches it as its own."""
    async with await shut_in.terminal("ls /dev/pts; cat < $(tty); echo mine > /dev/tty") as one:
        shown = b""
        while data := await one.read():
            shown += data

    assert shown.count(b"ermission denied") == 2
    assert shown.endswith(b"mine\r\n")
