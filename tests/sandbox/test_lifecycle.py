"""Lifecycle of a sandbox: start, pause, resume and close."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.sandbox.agent_sandbox import QUICK, AgentSandbox
from agentbay_local.sandbox.base import Limits, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import InvalidRequest, SandboxGone, SandboxPaused
from agentbay_local.sandbox.host import startup, usage
from agentbay_local.sandbox.host.uids import private_uid

from .process_table import (
    facts,
    gone,
    is_agent,
    open_count,
    owned_by,
    until_open_at_most,
    until_stopped,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agentbay_local.sandbox.base import Backend, Entry, Sandbox
    from agentbay_local.sandbox.host.agent_client import Reply

    from .conftest import NewProcesses, Starting


async def test_close_leaves_no_process_behind(
    backend: Backend, tmp_path: Path, new_processes: NewProcesses
) -> None:
    """Daemons that ignore signals and have left their group end too."""
    daemon = (
        "nohup setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 0.1; done' >/dev/null 2>&1 &"
    )
    sandbox = await backend.start(SandboxSpec(tmp_path / "root", private_uid(str(tmp_path))))
    await sandbox.run(daemon * 3, timeout=60)
    living = new_processes()
    await sandbox.close()

    assert len(living) >= 4
    assert all(gone(pid) for pid in living)


async def test_close_is_repeatable_and_fails_pending_calls(sandbox: Sandbox) -> None:
    """Pending and later calls raise SandboxGone."""
    waiting = asyncio.ensure_future(sandbox.run("sleep 100", timeout=100))
    await sandbox.run("true", timeout=60)
    await asyncio.gather(sandbox.close(), sandbox.close())
    await sandbox.close()

    with pytest.raises(SandboxGone):
        await waiting
    with pytest.raises(SandboxGone):
        await sandbox.stat("/")
    assert sandbox.dead.is_set()


async def test_closed_sandboxes_leave_no_descriptor(backend: Backend, tmp_path: Path) -> None:
    """Starting, using and closing sandboxes leaks nothing in the service."""
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))

    async def once() -> None:
        async with await backend.start(spec) as sandbox:
            await sandbox.run("sleep 20 & echo x", timeout=60, stdin=b"x")
            os.close(await sandbox.open("f", "w"))

    await once()
    before = open_count()
    for _ in range(3):
        await once()
    await until_open_at_most(before)
    await backend.close()


async def test_death_of_the_agent_is_detected(
    isolated: Sandbox, new_processes: NewProcesses
) -> None:
    """Pending calls fail, and the sandbox reports its end."""
    waiting = asyncio.ensure_future(isolated.run("sleep 100", timeout=100))
    await isolated.run("true", timeout=60)
    for pid in filter(is_agent, new_processes()):
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(SandboxGone):
        await asyncio.wait_for(waiting, 60)
    await asyncio.wait_for(isolated.dead.wait(), 60)


async def test_sandbox_can_be_started_again_in_the_same_root(
    backend: Backend, tmp_path: Path
) -> None:
    """Files stay, processes do not."""
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))
    async with await backend.start(spec) as sandbox:
        await sandbox.run("echo kept > f", timeout=60)
    async with await backend.start(spec) as sandbox:
        assert (await sandbox.run("cat f", timeout=60)).stdout == b"kept\n"
    await backend.close()


async def test_sandboxes_start_concurrently(backend: Backend, tmp_path: Path) -> None:
    """Each is a different session."""
    uid = private_uid(str(tmp_path))
    specs = [SandboxSpec(tmp_path / str(n), uid) for n in range(6)]
    sandboxes = await asyncio.gather(*(backend.start(spec) for spec in specs))
    results = await asyncio.gather(
        *(one.run(f"echo {n} > n; cat n", timeout=60) for n, one in enumerate(sandboxes))
    )
    await asyncio.gather(*(one.close() for one in sandboxes))
    await backend.close()

    assert [f"{n}\n".encode() for n in range(6)] == [done.stdout for done in results]


async def test_cancelled_start_leaves_nothing(
    backend: Backend, tmp_path: Path, new_processes: NewProcesses
) -> None:
    """A cancel at any moment leaves no process and no descriptor."""
    uid = private_uid(str(tmp_path))
    spec = SandboxSpec(tmp_path / "root", uid)
    async with await backend.start(spec):
        pass
    before = open_count()
    for step in range(20):
        starting = asyncio.ensure_future(backend.start(spec))
        await asyncio.wait([starting], timeout=step * 0.002)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).close()
    living = new_processes()
    assert all(gone(pid) for pid in living)
    assert uid is None or all(gone(pid) for pid in owned_by(uid))
    await until_open_at_most(before)
    await backend.close()


async def test_pause_stops_every_process_and_resume_continues_it(
    sandbox: Sandbox, new_processes: NewProcesses
) -> None:
    """A counting process stands still during the pause, and a running command ends later."""
    await sandbox.run("(i=0; while :; do i=$((i+1)); echo $i > n; sleep 0.01; done) &", timeout=60)
    under_way = asyncio.ensure_future(
        sandbox.run("while [ ! -e go ]; do sleep 0.01; done", timeout=60)
    )
    await sandbox.run("while [ ! -s n ]; do sleep 0.01; done", timeout=60)
    await sandbox.pause()
    await sandbox.pause()
    states = {facts(pid)[0] for pid in new_processes() if not is_agent(pid)}
    with pytest.raises(SandboxPaused):
        await sandbox.run("true", timeout=60)
    await sandbox.resume()
    await sandbox.resume()
    await sandbox.run("rm n; while [ ! -s n ]; do sleep 0.01; done; touch go", timeout=60)

    # D is a shell in the middle of vfork: it waits for its child, which is stopped. Z has ended,
    # and nobody is awake to see it.
    assert states - {"D", "Z"} == {"T"}
    assert (await asyncio.wait_for(under_way, 60)).exit_code == 0


async def test_a_request_under_way_at_a_pause_fails_at_once(
    sandbox: Sandbox, new_processes: NewProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent stops before it has answered; the session works after the pause."""
    assert isinstance(sandbox, AgentSandbox)
    channel, process = sandbox._channel, sandbox._process
    agents = [pid for pid in new_processes() if is_agent(pid)]
    request = channel.request
    under_way: list[asyncio.Task[Entry]] = []

    async def stop_the_agent_first(operation: str, *fields: Any, **named: Any) -> Reply:
        reply = await request(operation, *fields, **named)
        if operation == "pause":
            process.signal(signal.SIGSTOP)
            await until_stopped(agents)
            under_way.append(asyncio.create_task(sandbox.stat("/")))
            await asyncio.sleep(0)
        return reply

    monkeypatch.setattr(channel, "request", stop_the_agent_first)
    await sandbox.pause()
    with pytest.raises(SandboxPaused):
        await asyncio.wait_for(under_way[0], QUICK / 2)
    await sandbox.resume()

    assert (await sandbox.stat("/")).is_dir


async def test_a_measurement_that_nobody_waits_for_may_fail(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session can end meanwhile; that is not an error to log."""
    assert isinstance(sandbox, AgentSandbox)
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    abandoned = threading.Event()

    def fail(*_: object) -> None:
        abandoned.wait(30)
        raise FileNotFoundError("the session has ended")

    monkeypatch.setattr(usage, "measure_consumption", fail)
    asking = asyncio.create_task(sandbox.consumption())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    abandoned.set()
    assert sandbox._enforcer._measuring is not None
    await asyncio.wait([sandbox._enforcer._measuring])
    # Nothing refers to the measurement any more, so asyncio complains now or never.
    sandbox._enforcer._measuring = None
    del asking
    gc.collect()

    assert not problems


JOB = "sleep 77 & kill -STOP $!; until grep -q 'T (stopped)' /proc/$!/status; do :; done; echo $!"


async def test_jobs_stopped_before_a_pause_stay_stopped(sandbox: Sandbox) -> None:
    """Job control survives a pause."""
    started = await sandbox.run(JOB, timeout=60)
    pid = started.stdout.decode().strip()
    await sandbox.pause()
    await sandbox.resume()
    after = await sandbox.run(f"cut -d' ' -f3 /proc/{pid}/stat", timeout=60)

    assert after.stdout == b"T\n"


@pytest.mark.slow
async def test_time_spent_paused_does_not_count(sandbox: Sandbox) -> None:
    """The deadline of a command stands still during a pause."""
    running = asyncio.ensure_future(
        sandbox.run("while [ ! -e go ]; do sleep 0.01; done; echo done", timeout=6)
    )
    await sandbox.run("true", timeout=60)
    await sandbox.pause()
    # Longer than the command may run; most of it is for the requests on a busy machine.
    await asyncio.wait([running], timeout=6.3)
    await sandbox.resume()
    await sandbox.run("touch go", timeout=60)

    assert (await running).stdout == b"done\n"


async def test_paused_sandbox_can_be_closed(sandbox: Sandbox, new_processes: NewProcesses) -> None:
    """Stopped processes end like others."""
    await sandbox.run("sleep 88 &", timeout=60)
    living = new_processes()
    await sandbox.pause()
    await asyncio.wait_for(sandbox.close(), 60)

    assert all(gone(pid) for pid in living)


@pytest.mark.skipif(os.geteuid() != 0, reason="about services that are root")
@pytest.mark.parametrize("with_setpriv", [True, False])
async def test_programs_start_as_the_private_user(
    start_isolated: Starting,
    new_processes: NewProcesses,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_setpriv: bool,
) -> None:
    """With all their ids, and no other group. With setpriv, the service is not copied for it."""
    copied: list[bool] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            copied.append(options["user"] is not None)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    if not with_setpriv:
        monkeypatch.setattr(startup, "_find_setpriv", lambda: None)
    async with start_isolated("root", forks=False):
        check_owners(new_processes(), private_uid(str(tmp_path / "root")))
    assert copied == [not with_setpriv]


@pytest.mark.skipif(os.geteuid() != 0, reason="about services that are root")
async def test_forks_run_as_the_private_user(
    start_isolated: Starting, new_processes: NewProcesses, tmp_path: Path
) -> None:
    """With all their ids, and no other group, whatever the fork server has."""
    async with start_isolated("root") as sandbox:
        await sandbox.run("sleep 4000 &", timeout=60)
        check_owners(new_processes(), private_uid(str(tmp_path / "root")))


def check_owners(pids: Iterable[int], uid: int | None) -> None:
    """Check that processes have one user and group, and no other group."""
    owners: dict[int, tuple[list[str], list[str]]] = {}
    for pid in pids:
        # Others of the machine are among them, and may have ended since.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            owners[pid] = credentials(pid)
    assert owners
    for ids, groups in owners.values():
        assert set(ids) == {str(uid)}
        assert set(groups) <= {str(uid)}


def credentials(pid: int) -> tuple[list[str], list[str]]:
    """Return all user and group ids of a process, and its further groups."""
    with open(f"/proc/{pid}/status") as file:
        lines = {name: rest.split() for name, _, rest in (line.partition(":") for line in file)}
    return lines["Uid"] + lines["Gid"], lines["Groups"]


@pytest.mark.skipif(os.geteuid() != 0, reason="about services that are root")
async def test_root_needs_a_private_user(tmp_path: Path) -> None:
    """Namespaces created by root would not confine it."""
    backend = BubblewrapBackend()
    with pytest.raises(InvalidRequest, match="private user id"):
        await backend.start(SandboxSpec(tmp_path / "root", None, Limits()))
    await backend.close()


async def test_start_is_quick_enough_for_first_use(backend: Backend, tmp_path: Path) -> None:
    """It takes no longer than a few starts of Python, however busy the machine is."""
    starts, pythons = [], []
    for number in range(3):
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import asyncio")
        await process.wait()
        pythons.append(time.monotonic() - began)
        began = time.monotonic()
        spec = SandboxSpec(tmp_path / f"root{number}", private_uid(str(tmp_path)))
        async with await backend.start(spec):
            starts.append(time.monotonic() - began)
    await backend.close()

    assert min(starts) < 30 * max(pythons)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts anything")
async def test_mounts_of_a_start_are_private_and_undone(isolating: None, tmp_path: Path) -> None:
    """A root inside a directory of root is reached by a mount that lasts for the start."""
    os.chmod(tmp_path, 0o700)
    backend = BubblewrapBackend()
    for n in range(3):
        async with await backend.start(
            SandboxSpec(tmp_path / str(n), private_uid(str(tmp_path)))
        ) as one:
            assert (await one.run("true", timeout=60)).exit_code == 0
    # The last unmount is queued for the thread that mounted it.
    await backend._mounts.run(lambda: None)
    tasks = [task for task in os.listdir("/proc/self/task") if str(tmp_path) in mounts(task)]
    await backend.close()

    assert tasks == []
    assert "agentbay-stage" not in mounts(str(os.getpid()))


def mounts(task: str) -> str:
    """Return the mounts of one thread of this process."""
    with open(f"/proc/self/task/{task}/mountinfo") as file:
        return file.read()


@contextlib.contextmanager
def many_open(number: int) -> Iterator[None]:
    """Hold many open files, as a service with thousands of sessions does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 1000:
        pytest.skip(f"this machine allows a process {hard} open files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(number)]
    try:
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_commands_inherit_no_descriptor_with_a_high_number(
    backend: Backend, tmp_path: Path
) -> None:
    """The agent closes all descriptors, also those with high numbers."""
    with many_open(5000):
        spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))
        async with await backend.start(spec) as sandbox:
            done = await sandbox.run("ls /proc/self/fd", timeout=60)
    # The three streams, and the directory that is listed.
    assert done.stdout.split() == [b"0", b"1", b"2", b"3"]
    await backend.close()
