"""Sandboxes are forked by one process, and started one by one where the machine refuses that."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import re
import shutil
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import attrs
import pytest

from agentbay_local.code import read_only_mounts
from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.sandbox.host import fork_servers, rootfs
from agentbay_local.sandbox.host.fork_server import ForkServer
from agentbay_local.sandbox.host.orphans import Orphans, Record
from agentbay_local.sandbox.host.uids import private_uid

from .conftest import check_forked
from .process_table import descendants, gone, is_agent, is_fork_server, is_shell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("isolating")


@pytest.fixture
def fork_server_pids() -> Callable[[], set[int]]:
    """Return a function that lists the fork servers that are younger than the test."""

    def find() -> set[int]:
        found = filter(is_fork_server, descendants(os.getpid()))
        return {pid for pid in found if not is_shell(pid)}

    others = find()
    return lambda: find() - others


@pytest.fixture
async def forking(
    tmp_path: Path, fork_server_pids: Callable[[], set[int]]
) -> AsyncIterator[BubblewrapBackend]:
    """Give a backend that forks sandboxes."""
    backend = BubblewrapBackend()
    async with await backend.start(spec_of(tmp_path / "first")):
        pass
    check_forked(backend.forks)
    yield backend
    await backend.close()


def spec_of(root: Path, mounts: Mapping[str, Path] | None = None) -> SandboxSpec:
    """Describe a session by its directory."""
    return SandboxSpec(root, private_uid(str(root)), read_only=mounts or {})


async def test_all_sessions_share_one_fork_server(
    forking: BubblewrapBackend, tmp_path: Path, fork_server_pids: Callable[[], set[int]]
) -> None:
    """It and its bubblewrap are the only further processes, and end with the backend."""
    async with (
        await forking.start(spec_of(tmp_path / "one")) as one,
        await forking.start(spec_of(tmp_path / "two")) as two,
    ):
        assert (await one.run("echo one", timeout=60)).stdout == b"one\n"
        assert (await two.run("echo two", timeout=60)).stdout == b"two\n"
        servers = fork_server_pids()
    await forking.close()

    assert forking.forks
    assert len(servers) == 2
    assert all(gone(pid) for pid in servers)


async def test_sandboxes_start_alone_where_forks_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is tried once, and the log says why it is not done."""
    backend, tries = BubblewrapBackend(), []

    async def refuse(*_: object) -> ForkServer:
        tries.append(1)
        raise SandboxError("the kernel refused it")

    monkeypatch.setattr(ForkServer, "start", refuse)
    caplog.set_level(logging.INFO, "agentbay_local")
    for name in ("one", "two"):
        async with await backend.start(spec_of(tmp_path / name)) as sandbox:
            assert (await sandbox.run("echo hi", timeout=60)).stdout == b"hi\n"

    await backend.close()

    assert tries == [1]
    assert not backend.forks
    assert "the kernel refused it" in caplog.text


async def test_an_error_after_the_first_fork_is_raised(
    forking: BubblewrapBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that can fork sandboxes does not fall back, whatever goes wrong later."""

    async def fail(*_: object) -> None:
        raise SandboxError("no more processes")

    monkeypatch.setattr(ForkServer, "fork", fail)
    with pytest.raises(SandboxError, match="no more processes"):
        await forking.start(spec_of(tmp_path / "two"))

    assert forking.forks


async def test_no_sandbox_is_started_instead_while_the_backend_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first fork fails because the fork server is closed, not because of the machine."""
    backend = BubblewrapBackend()

    async def close_and_fail(*_: object) -> None:
        await backend.close()
        raise SandboxError("the fork server was closed")

    monkeypatch.setattr(ForkServer, "fork", close_and_fail)
    with pytest.raises(SandboxError, match="the fork server was closed"):
        await backend.start(spec_of(tmp_path / "one"))


async def test_no_pipe_of_a_forked_sandbox_is_written_by_the_service(
    forking: BubblewrapBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would read it, so that a full one would stop the service."""

    def fail(_: int) -> None:
        raise AssertionError("a pipe is made")

    monkeypatch.setattr(os, "pipe2", fail)
    async with await forking.start(spec_of(tmp_path / "two")):
        pass


async def test_a_failed_set_up_names_what_was_refused(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """With the number of the error, which decides what the user is told."""
    spec = attrs.evolve(spec_of(tmp_path / "two"), hostname="x" * 70)
    with pytest.raises(SandboxOSError, match="sethostname") as refused:
        await forking.start(spec)

    assert refused.value.errno == errno.EINVAL


async def test_a_killed_fork_server_is_replaced(
    forking: BubblewrapBackend, tmp_path: Path, fork_server_pids: Callable[[], set[int]]
) -> None:
    """Its sessions end with it, as if the kernel had killed them; new ones start."""
    sandbox = await forking.start(spec_of(tmp_path / "one"))
    for pid in fork_server_pids():
        os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(sandbox.dead.wait(), 60)
    await sandbox.close()
    async with await forking.start(spec_of(tmp_path / "one")) as again:
        assert (await again.run("echo again", timeout=60)).stdout == b"again\n"


async def test_a_fork_server_that_cannot_be_recorded_is_ended(
    tmp_path: Path, fork_server_pids: Callable[[], set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would know of it after a crash; the sandbox does not start, and says why."""
    orphans = Orphans(tmp_path / "running")

    def fail(_: int) -> Record:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(orphans, "add", fail)
    backend = BubblewrapBackend(orphans)
    with pytest.raises(OSError, match="No space left") as full:
        await backend.start(spec_of(tmp_path / "one"))
    left = fork_server_pids()
    await backend.close()

    assert full.value.errno == errno.ENOSPC
    assert left == set()


async def test_a_directory_of_sessions_may_be_made_again(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """The fork server sees the directory, not the path, so another one is started."""
    sessions = tmp_path / "sessions"
    for _ in range(2):
        async with await forking.start(spec_of(sessions / "one")) as sandbox:
            await sandbox.run("touch /tmp/here", timeout=60)
        assert (sessions / "one/tmp/here").exists()
        shutil.rmtree(sessions)


async def test_idle_fork_servers_are_ended(
    forking: BubblewrapBackend, tmp_path: Path, fork_server_pids: Callable[[], set[int]]
) -> None:
    """Those of images that nobody uses any more, and not one that has a session."""
    async with await forking.start(spec_of(tmp_path / "used/one")) as used:
        for number in range(fork_servers.MOST_IDLE + 2):
            async with await forking.start(spec_of(tmp_path / str(number) / "one")):
                pass
        assert (await used.run("echo used", timeout=60)).stdout == b"used\n"

        assert len(fork_server_pids()) == 2 * (fork_servers.MOST_IDLE + 1)


async def test_what_is_installed_later_is_hidden_too(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """A file that tells of the host is as unreadable as one that was there at the start."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    mounts = {"/opt/packages": packages}
    for name in ("first.pth", "later.pth"):
        (packages / name).write_text("/home/secret\n")
        async with await forking.start(spec_of(tmp_path / "one", mounts)) as sandbox:
            done = await sandbox.run("cat /opt/packages/*.pth", timeout=60)

        assert done.stdout == b""


async def test_links_at_the_places_of_mounts_are_replaced(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """A session that ran before could lead a mount elsewhere by them."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "one"
    async with await forking.start(spec_of(root)) as sandbox:
        await sandbox.run("rm -rf /mnt", timeout=60)
    for name in ("usr", "proc", "dev", "etc"):
        (root / name).rmdir()
        (root / name).symlink_to(tmp_path / "outside")
    async with await forking.start(spec_of(root)) as sandbox:
        done = await sandbox.run("ls /usr/bin/env /proc/self/status /dev/null", timeout=60)

    assert done.exit_code == 0
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (root / "usr").is_symlink()


async def test_what_is_in_the_place_of_a_link_is_renamed(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """A directory of the session keeps its files; a link that leads elsewhere is replaced."""
    root, links = tmp_path / "one", dict(rootfs.system_links())
    async with await forking.start(spec_of(root)):
        pass
    for number, name in enumerate(links):
        (root / name).unlink()
        if number % 2:
            (root / name).symlink_to(tmp_path)
        else:
            (root / name).mkdir()
            (root / name / "mine").touch()
    async with await forking.start(spec_of(root)) as sandbox:
        done = await sandbox.run("echo on", timeout=60)

    assert done.stdout == b"on\n"
    assert {name: os.readlink(root / name) for name in links} == links
    assert len(list(root.glob("*.*/mine"))) == (len(links) + 1) // 2


async def test_a_session_cannot_undo_what_it_sees(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """Every mount but its own directory is read-only, and nothing of the fork server is left."""
    async with await forking.start(spec_of(tmp_path / "one")) as sandbox:
        table = (await sandbox.run("cat /proc/self/mountinfo", timeout=60)).stdout.decode()
    mounts = {line.split()[4]: line.split()[5].split(",") for line in table.splitlines()}

    assert not [point for point in mounts if point.startswith("/.agentbay")]
    assert {"/", "/usr", "/etc", "/dev", "/proc", "/dev/shm", "/dev/pts"} <= set(mounts)
    assert all("nosuid" in options for options in mounts.values())
    writable = {point for point, options in mounts.items() if "ro" not in options}
    devices = {f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")}
    assert writable <= {"/", "/proc", "/dev/shm", "/dev/pts", *devices}


async def test_forks_share_no_terminal_and_no_memory_files(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """/dev/pts and /dev/shm are of one session, although its /dev is that of all."""
    async with (
        await forking.start(spec_of(tmp_path / "one")) as one,
        await forking.start(spec_of(tmp_path / "two")) as two,
    ):
        # It only holds the terminal open, and ends with its session: nothing waits for it.
        holder = "python3 -c 'import pty, time; pty.openpty(); time.sleep(4000)' &"
        await one.run(f"echo secret > /dev/shm/x; {holder}", timeout=60)
        await one.run("while [ ! -e /dev/pts/0 ]; do sleep 0.01; done", timeout=60)
        seen = await two.run("ls /dev/shm /dev/pts", timeout=60)

    assert seen.stdout.split() == [b"/dev/pts:", b"ptmx", b"/dev/shm:"]


async def test_forked_sandboxes_see_what_others_see(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """The same names of the machine, of the same kinds, each of which they may open or not."""
    seen = []
    alone = BubblewrapBackend(forks=False)
    mounts = read_only_mounts()
    look = "find / -maxdepth 4 -path /proc -prune -o -path /usr -prune -o -printf '%p %y %l\\n'"
    for name, backend in (("one", forking), ("two", alone)):
        async with await backend.start(spec_of(tmp_path / name, mounts)) as sandbox:
            done = await sandbox.run(look, timeout=60)
            seen.append((sorted(done.stdout.splitlines()), done.stderr))
    await alone.close()

    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 50


async def test_a_changed_layer_is_seen_by_the_next_session(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """An overlay keeps showing a file that was replaced below it, also while a session runs."""
    directory = tmp_path / "layer/usr/local/bin"
    directory.mkdir(parents=True)
    (tmp_path / "layer").chmod(0o755)
    answers = []
    running = []
    for text in ("first", "second"):
        (directory / "new").write_text(f"#!/bin/sh\necho {text}\n")
        (directory / "new").chmod(0o755)
        (directory / "new").rename(directory / "greet")
        spec = attrs.evolve(spec_of(tmp_path / text), layers=(tmp_path / "layer",))
        running.append(await forking.start(spec))
        answers.append((await running[-1].run("greet", timeout=60)).stdout)
    for sandbox in running:
        await sandbox.close()

    assert answers == [b"first\n", b"second\n"]


# What a process of a session is allowed, and where it is. The numbers of devices and mounts differ.
STATE = r"""
grep -E '^(Cap|Groups|NoNewPrivs|Seccomp|Umask)' /proc/1/status
grep -E '^(Cap|Groups|NoNewPrivs|Seccomp|Umask|SigIgn|SigBlk)' /proc/self/status
cut -d' ' -f5-8 /proc/1/stat
awk '{print $1, $3}' /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups
cat /proc/sys/user/max_user_namespaces /proc/self/cgroup /proc/self/oom_score_adj
awk '{print $5, $6}' /proc/self/mountinfo | grep -v ^/dev/pts | sort
tail -n +3 /proc/net/dev | cut -d: -f1; cut -d' ' -f1 /proc/net/if_inet6; cat /proc/net/fib_trie
ulimit -a; hostname; pwd; env | sort; ls -l /proc/self/fd | wc -l
"""


async def test_forked_sandboxes_are_confined_as_others_are(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """Privileges, namespaces, mounts, network and limits, of the agent and of what it starts."""
    states = []
    alone = BubblewrapBackend(forks=False)
    for name, backend in (("one", forking), ("two", alone)):
        async with await backend.start(spec_of(tmp_path / name)) as sandbox:
            done = await sandbox.run(STATE, timeout=60)
            text = re.sub(r"agentbay\.[\d.]+", "agentbay.group", done.stdout.decode())
            states.append((text.splitlines(), done.stderr))
    await alone.close()

    assert states[0] == states[1]
    assert "Seccomp:\t2" in states[0][0]


NS_GET_USERNS, NS_GET_PARENT = 0xB701, 0xB702


def namespace(pid: int, kind: str, request: int | None = None) -> int:
    """Return the number of a namespace of a process, or of one that it belongs to."""
    with ExitStack() as opened:
        fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
        opened.callback(os.close, fd)
        if request is not None:
            fd = fcntl.ioctl(fd, request)
            opened.callback(os.close, fd)
        return os.fstat(fd).st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may list the descriptors of an agent")
async def test_agents_have_no_power_over_their_namespaces(
    forking: BubblewrapBackend, tmp_path: Path
) -> None:
    """These belong to an outer user namespace, in which no process of the session is."""
    async with await forking.start(spec_of(tmp_path / "one")):
        agent = next(pid for pid in descendants(os.getpid()) if is_agent(pid))
        outer = namespace(agent, "user", NS_GET_PARENT)
        kinds = ("mnt", "net", "pid", "ipc", "uts", "cgroup")
        owners = {namespace(agent, kind, NS_GET_USERNS) for kind in kinds}
        own = namespace(agent, "user")

    assert owners == {outer}
    assert outer not in (own, namespace(os.getpid(), "user"))
