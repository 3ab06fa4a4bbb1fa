"""Attempts of a hostile session, one test for each row of the threat table."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.host.uids import private_uid

from .process_table import namespace_pids

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Sandbox

    from .conftest import NewProcesses, Starting


async def output(sandbox: Sandbox, command: str) -> str:
    """Run a command and return its output."""
    done = await sandbox.run(command, timeout=30)
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_environment_of_the_service_is_not_readable(
    start_isolated: Starting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the first process, nor in another, nor in the command's own."""
    secret = secrets.token_hex(8)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
    async with start_isolated() as sandbox:
        answer = await output(sandbox, "cat /proc/[0-9]*/environ | tr '\\0' '\\n'; env")

    assert "USER=wuying" in answer
    assert secret not in answer


async def test_host_paths_are_not_in_any_command_line(isolated: Sandbox, tmp_path: Path) -> None:
    """The arguments of the first process reveal nothing about the host."""
    answer = await output(isolated, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")

    assert "inside." in answer
    assert str(tmp_path) not in answer
    assert "bwrap" not in answer


async def test_kernel_settings_cannot_be_written(isolated: Sandbox) -> None:
    """A writable core_pattern would run commands as root of the host."""
    before = core_pattern()
    done = await isolated.run("echo '|/tmp/x' > /proc/sys/kernel/core_pattern", timeout=10)

    assert done.exit_code != 0
    assert before == core_pattern()


def core_pattern() -> str:
    """Return the core pattern of the host."""
    return Path("/proc/sys/kernel/core_pattern").read_text()


async def test_sessions_cannot_see_each_others_files(start_isolated: Starting) -> None:
    """The same path is another file in another session."""
    marker = f"marker-{secrets.token_hex(8)}"
    async with start_isolated("one") as one, start_isolated("two") as two:
        await one.run(f"touch /tmp/{marker} /dev/shm/{marker} ~/{marker}", timeout=10)
        mine = await output(one, f"find / -name '{marker}' 2>/dev/null")
        theirs = await output(two, f"find / -name '{marker}' 2>/dev/null")

    assert len(mine.split()) == 3
    assert theirs == ""


async def test_files_of_the_host_are_out_of_reach(isolated: Sandbox, tmp_path: Path) -> None:
    """Temporary files, the home of root, passwords and devices."""
    (tmp_path / "file").write_text("host")

    assert "No such file" in await output(isolated, f"cat {tmp_path}/file")
    assert await output(isolated, "ls -A /tmp") == ""
    assert "No such file" in await output(isolated, "cat /etc/shadow")
    assert "No such file" in await output(isolated, "ls /root /sys /boot")
    assert await output(isolated, "find /dev -type b") == ""


async def test_system_directories_are_read_only(isolated: Sandbox) -> None:
    """The host's /usr and the session's /etc."""
    for path in ("/usr/x", "/usr/bin/sh", "/etc/x", "/etc/passwd", "/etc/ssl/x"):
        assert (await isolated.run(f"echo > {path}", timeout=10)).exit_code != 0


async def test_processes_of_the_host_are_invisible(isolated: Sandbox) -> None:
    """The session sees its agent and its own commands."""
    pids = await output(isolated, "ls -d /proc/[0-9]*")

    assert len(pids.split()) < 6
    assert f"/proc/{os.getpid()}\n" not in pids or os.getpid() < 10


async def test_loopback_services_of_the_host_are_unreachable(
    isolated: Sandbox, python: str
) -> None:
    """Its 127.0.0.1 is not the host's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        answer = await output(isolated, f'{python} -c "{code}"')

    assert "Error" in answer


async def test_abstract_sockets_of_the_host_are_unreachable(isolated: Sandbox, python: str) -> None:
    """They have no path, so only a network namespace hides them."""
    name = f"agentbay-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect('\\\\0{name}')"
        answer = await output(isolated, f'{python} -c "{code}"')

    assert "ConnectionRefusedError" in answer


async def test_session_has_no_privileges_and_cannot_get_any(isolated: Sandbox) -> None:
    """No capability, no new privileges, and no user namespace."""
    status = await output(isolated, "grep -E 'Cap|NoNewPrivs' /proc/self/status")

    assert "NoNewPrivs:\t1" in status
    caps = [line.split()[1] for line in status.splitlines() if line.startswith("Cap")]
    assert {0} == {int(value, 16) for value in caps}
    assert (await isolated.run("unshare -U true", timeout=10)).exit_code != 0


async def test_no_descriptor_of_the_service_is_inherited(isolated: Sandbox) -> None:
    """A command has three streams."""
    own = await output(isolated, "ls /proc/self/fd")

    assert own.split() == ["0", "1", "2", "3"]  # the third is ls reading the directory


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may list the descriptors of an agent")
async def test_agent_has_only_its_pipes_and_its_socket(
    isolated: Sandbox, new_processes: NewProcesses
) -> None:
    """Nothing that the service has open otherwise."""
    await isolated.run("true", timeout=10)
    first = next(pid for pid in new_processes() if namespace_pids(pid)[-1:] == ["1"])
    kinds = _kinds_of_descriptors(first)

    # It sets its own OOM score; it is protected from programs that would take the descriptor.
    others = {"pipe", "anon_inode", "/proc/1/oom_score_adj"}
    assert {"socket", "/dev/null"} <= kinds <= {"/dev/null", "socket", *others}


def _kinds_of_descriptors(pid: int) -> set[str]:
    return {os.readlink(fd).split(":")[0] for fd in Path(f"/proc/{pid}/fd").iterdir()}


TRACER = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if not child:
    signal.pause()
if libc.ptrace(16, child, 0, 0):
    raise OSError(ctypes.get_errno(), "ptrace")
os.waitpid(child, 0)
print(open(f"/proc/{child}/maps").read() != "", libc.ptrace(17, child, 0, 0))
os.kill(child, signal.SIGKILL)
"""


async def test_programs_of_a_session_may_trace_each_other(sandbox: Sandbox, python: str) -> None:
    """Debuggers work, although nothing can trace the agent."""
    done = await sandbox.run([python, "-c", TRACER], timeout=30)

    assert (done.stdout, done.stderr) == (b"True 0\n", b"")


async def test_packages_do_not_tell_where_they_come_from(isolating: None, tmp_path: Path) -> None:
    """The paths of editable installs and the addresses of private indexes stay outside."""
    packages = tmp_path / "site-packages"
    for name in ("a.dist-info/direct_url.json", "a.pth", "a.egg-link", "__editable__a.py", "a.py"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(f"marker of {name}\n")
    root = tmp_path / "root"
    shared = {"/opt/packages": packages}
    spec = SandboxSpec(root, private_uid(str(root)), read_only=shared)
    backend = BubblewrapBackend()
    async with await backend.start(spec) as sandbox:
        answer = await output(sandbox, "grep -rhs marker /opt/packages")
    await backend.close()

    assert answer == "marker of a.py\n"


BOMB = """
import os, time
made = 0
while True:
    try:
        if not os.fork():
            time.sleep(60)
            os._exit(0)
        made += 1
    except BlockingIOError:
        print(made, flush=True)
        time.sleep(60)
"""


@pytest.mark.slow
async def test_fork_bomb_stops_at_the_limit(start_isolated: Starting, python: str) -> None:
    """After it is killed, the session can be used again."""
    async with start_isolated(processes=24) as sandbox:
        bomb = await sandbox.run([python, "-c", BOMB], timeout=6)
        emptied = "until [ $(ls /proc | grep -c '^[0-9]') -lt 6 ]; do :; done"
        after = await sandbox.run(emptied, timeout=20)

    assert bomb.timed_out
    assert 10 < int(bomb.stdout) < 24
    assert (after.exit_code, after.timed_out) == (0, False)


async def test_limits_hold_in_every_command(start_isolated: Starting) -> None:
    """They are hard limits, so a command cannot raise them."""
    async with start_isolated(open_files=100, file_bytes=4096) as sandbox:
        answer = await output(sandbox, "ulimit -Hn; ulimit -Hc; ulimit -n 200 || echo refused")
        big = await sandbox.run("head -c 100000 /dev/zero > big", timeout=10)

    assert answer.split()[:2] == ["100", "0"]
    assert "ulimit" in answer
    assert big.exit_code != 0


async def test_session_survives_its_own_kill_of_everything(isolated: Sandbox) -> None:
    """The agent is process 1, which nothing inside can kill or stop."""
    await isolated.run("kill -9 -1", timeout=10)
    await isolated.run("kill -9 1; kill -STOP 1; kill -TERM 1", timeout=10)

    assert (await isolated.run("echo alive", timeout=10)).stdout == b"alive\n"
    assert not isolated.dead.is_set()


async def test_planted_links_do_not_redirect_the_next_start(
    start_isolated: Starting, tmp_path: Path
) -> None:
    """Files at the mount points are replaced before the start."""
    async with start_isolated() as sandbox:
        await sandbox.run("rm /bin /lib64; mkdir /bin; ln -s /tmp /lib64", timeout=10)
    for name in ("etc", "usr", "proc"):
        (tmp_path / "root" / name).rmdir()
        (tmp_path / "root" / name).symlink_to("../../oldroot")
    async with start_isolated() as sandbox:
        assert await output(sandbox, "id -un") == "wuying\n"
    assert not list((tmp_path / "root" / "etc").iterdir())


async def test_mount_points_of_the_session_belong_to_its_user(isolated: Sandbox) -> None:
    """It may create directories anywhere in its root."""
    assert await output(isolated, "mkdir -p /app/code /mnt/data && touch /app/code/f") == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to drop")
async def test_session_runs_under_a_private_user_when_the_service_is_root(
    isolated: Sandbox, tmp_path: Path
) -> None:
    """Its files belong to a user id that nobody else has."""
    await isolated.run("touch ~/f", timeout=10)

    assert (tmp_path / "root/home/wuying/f").stat().st_uid >= 1_900_000_000
