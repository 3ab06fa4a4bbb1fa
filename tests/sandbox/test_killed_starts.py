"""A sandbox whose service is killed while it starts leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.inside import confinement

from .process_table import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = int(os.environ.get("AGENTBAY_TEST_KILLED_STARTS", "24"))
"""Starts that are killed, spread over the time that one takes."""

START_TAKES = 0.06
LIMIT = 20.0

# Importing the package takes longer than a start, so one process imports it and forks the
# services. It adopts what they leave behind: its children are the leftovers of this test only.
SERVICES = """
import asyncio, contextlib, ctypes, fcntl, os, sys
from pathlib import Path
from agentbay_local.sandbox import Isolation, SandboxSpec, backend_for, private_uid

PR_SET_CHILD_SUBREAPER, F_SETPIPE_SZ = 36, 1031
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
make_pipe = os.pipe2

def make_full_pipe(flags):
    ends = make_pipe(flags)
    fcntl.fcntl(ends[1], F_SETPIPE_SZ, 4096)
    os.write(ends[1], bytes(4096))
    return ends

def children(pid):
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            yield from path.read_text().split()

def bubblewrap_has_cloned():
    for outer in children(os.getpid()):
        for pid in children(outer):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                    return True

async def serve(level, root, way):
    if way != "start":
        os.pipe2 = make_full_pipe
    backend = backend_for(Isolation(level))
    starting = asyncio.ensure_future(backend.start(SandboxSpec(Path(root), private_uid(root))))
    os.write(1, b"%d\\n" % os.getpid())
    while way != "start" and not bubblewrap_has_cloned():
        await asyncio.sleep(0)
        if starting.done():
            starting.result()  # it has failed, and this process ends with the reason
    if way == "cancel":
        starting.cancel()
    if way == "close":
        await backend.close()
    if way in ("cancel", "close"):
        await asyncio.wait([starting])
        os._exit(0)
    if way == "kill":
        os.kill(os.getpid(), 9)
    await asyncio.Event().wait()

for line in sys.stdin:
    if os.fork() == 0:
        asyncio.run(serve(*line.split()))
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    os.write(1, b"gone\\n")
"""


class Services:
    """Starts services that can be killed, and lists their remaining processes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVICES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._lines = self._process.stdin, self._process.stdout

    def start(self, level: str, root: Path, way: str = "start") -> int:
        """Start a service that starts a sandbox; return its process id."""
        self._requests.write(f"{level} {root} {way}\n".encode())
        return int(self.read_line())

    def read_line(self) -> str:
        """Return the next read_line, within a time limit."""
        ready, _, _ = select.select([self._lines], [], [], LIMIT)
        assert ready, f"left behind: {self.leftovers()}"
        return self._lines.readline().decode().strip()

    def leftovers(self) -> list[str]:
        """Describe every process below this one."""
        found = []
        for pid in sorted(descendants(self._process.pid)):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                found.append(f"{pid} {file.read().replace(bytes(1), b' ')!r}")
        return found

    def close(self) -> None:
        """End it, and the processes that a failed test has left."""
        for pid in descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def services() -> Iterator[Services]:
    """Return a process that forks services."""
    one = Services()
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("level", list(Isolation), ids=lambda level: str(level.value))
def test_service_killed_at_any_moment_of_a_start_leaves_no_process(
    request: pytest.FixtureRequest, services: Services, tmp_path: Path, level: Isolation
) -> None:
    """The moments cover the whole start and a little more."""
    if level is Isolation.NAMESPACES:
        request.getfixturevalue("isolating")
    if level is Isolation.LANDLOCK and not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    for step in range(ROUNDS):
        pid = services.start(level.value, tmp_path / "root")
        handle = os.pidfd_open(pid)
        select.select([handle], [], [], START_TAKES * step / ROUNDS)
        os.kill(pid, signal.SIGKILL)
        os.close(handle)
        assert services.read_line() == "gone"


@pytest.mark.parametrize("way", ["kill", "cancel", "close"])
def test_kill_before_bubblewrap_releases_its_child_leaves_no_process(
    isolating: None, services: Services, tmp_path: Path, way: str
) -> None:
    """The child waits for its parent without a limit.

    A full pipe keeps the parent from reporting its child, which it does before it lets it go.
    """
    services.start("namespaces", tmp_path / "root", way)
    assert services.read_line() == "gone"
