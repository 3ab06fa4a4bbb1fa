"""Kernels are forked from a process that has loaded them, and are as those that are started."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local import code
from agentbay_local.code import kernel, python_kernel, session_python
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.fork_server import ForkServer
from agentbay_local.sandbox.outbound import AllowedHosts
from agentbay_local.sandbox.values import Preload

from .conftest import is_forked, load_kernel, loaded, spec_of, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from .code_runner import CodeRunner

    Starting = Callable[..., AbstractAsyncContextManager[CodeRunner]]

pytestmark = [
    pytest.mark.usefixtures("isolating"),
    pytest.mark.skipif(
        importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
    ),
]

FACTS = """
import gc, json, os, resource, signal, sys, sysconfig, threading
signals = [signal.getsignal(n) for n in range(1, 65) if n not in (32, 33)]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
names = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd", "CapAmb", "CapInh",
         "CapPrm", "SigBlk", "SigCgt", "NSpid", "Umask", "TracerPid", "Threads",
         "PPid", "Name")
print(json.dumps({
    **{name: status[name].strip() for name in names},
    "flags": str(sys.flags),
    "paths": [sys.path, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.executable],
    "arguments": [sys.argv, sys.orig_argv, open("/proc/self/cmdline").read()],
    "configuration": sysconfig.get_paths(),
    "variables": dict(os.environ),
    "directory": os.getcwd(),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "inherited": [n for n in range(64) if os.path.exists(f"/proc/self/fd/{n}")
                  and os.get_inheritable(n)],
    "signals": [str(one).split(" at ")[0] for one in signals],
    "limits": [resource.getrlimit(n) for n in range(16)],
    "score": open("/proc/self/oom_score_adj").read(),
    "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "owner": os.stat("/proc/self/status").st_uid,
    "streams": [[s.encoding, s.errors, s.write_through, s.line_buffering, s.isatty()]
                for s in (sys.stdout, sys.stderr)],
    "input": [sys.stdin.encoding, sys.stdin.errors, sys.stdin.seekable(), sys.stdin.read()],
    "output": sys.stdout.seekable(),
    "collector": [gc.isenabled(), gc.get_threshold()],
    "agent": [name for name in sys.modules if name.split(".")[0] == "inside"],
    "shell": str(type(get_ipython())),
    "threads": threading.active_count(),
    "wakeup": signal.set_wakeup_fd(-1),
    "bytecode": sys.dont_write_bytecode,
    "warnings": sys.warnoptions,
    "module": sys.modules["__main__"].__dict__ is globals(),
    # The C library keeps two signals for itself.
    "SigIgn": int(status["SigIgn"], 16) & ~(3 << 31),
}))
"""
MODULES = "import sys; print(*sys.modules)"


@pytest.fixture
async def backend() -> AsyncIterator[BubblewrapBackend]:
    """Give a backend that forks sandboxes."""
    backend = BubblewrapBackend()
    yield backend
    await backend.close()


@pytest.fixture
async def start(backend: BubblewrapBackend, tmp_path: Path) -> Starting:
    """Return a function that starts sessions whose kernels are forked."""
    await load_kernel(backend, tmp_path)

    def starting(name: str, **changes: Any) -> AbstractAsyncContextManager[CodeRunner]:
        return started(backend, spec_of(tmp_path / name, **changes))

    return starting


async def test_kernels_of_later_sessions_are_forked(start: Starting) -> None:
    """Two sessions that run code are enough to load the kernel for all that follow."""
    async with start("third") as coder:
        assert await is_forked(coder)
        assert await coder.value("6 * 7") == "42"


async def test_a_forked_kernel_is_as_one_that_is_started(
    backend: BubblewrapBackend, tmp_path: Path
) -> None:
    """Fact by fact, but for the modules that the agent needs too."""
    async with started(backend, spec_of(tmp_path / "first")) as coder:
        await coder.sandbox.run("true", timeout=60)
        expected = json.loads((await coder.python(FACTS)).stdout)
        modules = set((await coder.python(MODULES)).stdout.split())
    async with started(backend, spec_of(tmp_path / "second")) as coder:
        assert not await is_forked(coder)
        await loaded()
    async with started(backend, spec_of(tmp_path / "third")) as coder:
        # Now the agent is in the root directory, and not in the home of the session any more.
        await coder.sandbox.run("true", timeout=60)
        assert await is_forked(coder)
        found = json.loads((await coder.python(FACTS)).stdout)
        more = set((await coder.python(MODULES)).stdout.split()) - modules

    assert found == expected
    assert {name.partition(".")[0] for name in more} <= {"_ctypes", "ctypes", "fcntl"}


async def test_a_kernel_does_not_inherit_the_signals_that_the_service_blocks(
    backend: BubblewrapBackend, tmp_path: Path
) -> None:
    """Its first thread has them, and so has what it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        await load_kernel(backend, tmp_path)
        async with started(backend, spec_of(tmp_path / "third")) as coder:
            assert await is_forked(coder)
            blocked = await coder.value("import signal; signal.pthread_sigmask(0, ())")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert blocked == "set()"


AGENT = """
import os
from agentbay_local.sandbox.inside import files, preload

def take_over(*_):
    sum(range(1_000_000))
    os.write(order, b"copy ")

program = object.__new__(preload.Program)
preload.take_over = take_over
reader, order = os.pipe()
settings = {"home": "/", "prefix": "", "users": {}, "groups": {}}
try:
    program.fork({}, [], files.View(settings))
except preload.Become:
    os._exit(0)
os.write(order, b"agent")
print(os.read(reader, 100))
"""


def test_the_agent_goes_on_when_its_copy_has_left() -> None:
    """Before, the copy could not be killed by its session, and would have the channel."""
    done = subprocess.run([sys.executable, "-c", AGENT], capture_output=True, text=True, check=True)

    assert done.stdout == "b'copy agent'\n"


async def test_forked_kernels_share_no_random_numbers(start: Starting) -> None:
    """Each copy is seeded anew, and those of one service do not know each other's numbers."""
    numbers = []
    for name in ("third", "fourth"):
        async with start(name) as coder:
            assert await is_forked(coder)
            numbers.append(await coder.value("import random; random.random()"))

    assert numbers[0] != numbers[1]


async def change_environment(coder: CodeRunner, change: str) -> None:
    """Run a command in the virtual environment of a session."""
    packages = f"lib/python{session_python().version}/site-packages"
    command = change.replace("{packages}", packages)
    done = await coder.sandbox.run(command, cwd="/opt/agentbay/python", timeout=60)
    assert done.exit_code == 0, done


@pytest.mark.parametrize(
    "change",
    [
        "echo 'six = None' > {packages}/six.py",
        "echo /tmp >> {packages}/agentbay.pth",
        "echo include-system-site-packages = true >> pyvenv.cfg",
        "rm bin/python3; cp bin/python bin/python3",
    ],
    ids=["package", "paths", "configuration", "interpreter"],
)
async def test_a_kernel_is_started_where_the_session_has_changed_its_environment(
    start: Starting, change: str
) -> None:
    """It loads what the session has put there, which the other process has not seen."""
    async with start("third") as coder:
        await change_environment(coder, change)

        assert not await is_forked(coder)


async def test_an_environment_that_cannot_be_read_does_not_keep_the_agent(
    start: Starting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python waits for a writer of the pipe; the agent goes on."""
    monkeypatch.setattr(kernel, "START_TIMEOUT", 1.0)
    async with start("third") as coder:
        await change_environment(
            coder, "rm {packages}/agentbay.pth; mkfifo {packages}/agentbay.pth"
        )

        with pytest.raises(ToolError, match="does not start"):
            await coder.python("1")
        assert (await coder.sandbox.run("echo on", timeout=60)).stdout == b"on\n"


@pytest.mark.parametrize("how", [{"cwd": "/tmp"}, {"env": {"MINE": "1"}}])
async def test_the_same_program_is_started_if_more_is_asked_for(
    start: Starting, how: dict[str, Any]
) -> None:
    """In a directory or with variables, which a kernel never asks for."""
    ours, theirs = socket.socketpair()
    async with start("third") as coder:
        with ours, theirs:
            command = python_kernel().command
            process = await coder.sandbox.spawn(command, fds=[theirs.fileno()], **how)
            facts = f"cd /proc/{process.pid}; readlink cwd; tr '\\0' '\\n' < environ"
            found = (await coder.sandbox.run(facts, timeout=60)).stdout.decode().split()
            await process.close()

    assert how == {"cwd": found[0]} or "MINE=1" in found


def test_what_a_first_execution_loads_is_loaded_before() -> None:
    """By a try in a copy, which leaves no shell behind."""
    program = Path(code.__file__).with_name("inside") / "python_kernel.py"
    text = f"""{Preload.LOAD}
import os
from IPython import get_ipython
program.preload()
reader, writer = os.pipe()
if not os.fork():
    program.write_modules_of_first_code(writer)
os.close(writer)
print(set(open(reader).read().split()) - set(sys.modules), get_ipython())
"""
    done = subprocess.run(
        [sys.executable, "-c", text, program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set() None\n"


async def test_a_package_of_the_session_is_loaded_by_its_first_code(start: Starting) -> None:
    """Also another version of one that the kernel itself uses."""
    own = (
        "cp -r $(python3 -c 'import os, traitlets; print(os.path.dirname(traitlets.__file__))') ."
        "; echo 'own = True' >> traitlets/__init__.py"
    )
    async with start("third") as coder:
        directory = f"/opt/agentbay/python/lib/python{session_python().version}/site-packages"
        assert (await coder.sandbox.run(own, cwd=directory, timeout=60)).exit_code == 0

        assert await coder.value("import traitlets; traitlets.own") == "True"


async def test_a_session_with_a_proxy_forks_its_kernel_too(start: Starting) -> None:
    """The variables of the proxy are set in the copy."""
    async with start("third", outbound=AllowedHosts.parse(["localhost:1"])) as coder:
        assert await is_forked(coder)
        assert "http://127.0.0.1:" in await coder.value("import os; os.environ['https_proxy']")


async def test_a_forked_kernel_is_interrupted_killed_and_replaced(start: Starting) -> None:
    """By its session's number, its time limit and its own end, as any other."""
    async with start("third") as coder:
        assert await is_forked(coder)
        # The interrupt ends the sleep, which is the session's and not the test's.
        slow = await coder.python("import time\ntime.sleep(100)", timeout=0.5)
        assert slow.end.error
        assert await coder.value("1 + 1") == "2"
        gone = await coder.python("import os; os._exit(7)")
        assert "7" in gone.end.error.value
        assert await is_forked(coder)


async def test_the_agent_stays_out_of_reach_of_its_copy(start: Starting) -> None:
    """The kernel has no descriptor of the agent, and cannot look into it."""
    tries = """
import os
def attempt(action):
    try:
        return repr(action())
    except OSError as error:
        return type(error).__name__
[attempt(lambda: os.listdir("/proc/1/fd")), attempt(lambda: open("/proc/1/mem", "rb")),
 os.getppid(), [os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in (0, 1, 2, 3)]]
"""
    async with start("third") as coder:
        assert await is_forked(coder)
        found = await coder.value(tries)

    refused = "['PermissionError', 'PermissionError', 1, "
    assert found == f"{refused}['pipe', 'pipe', 'pipe', 'socket']]"


async def test_nothing_of_an_image_is_loaded_by_a_fork_server(
    backend: BubblewrapBackend, tmp_path: Path
) -> None:
    """It has more power than a session, and an image can hold anything."""
    layer = tmp_path / "layer"
    (layer / "usr").mkdir(parents=True)
    for name in ("first", "second", "third"):
        spec = spec_of(tmp_path / name, layers=(layer,))
        async with started(backend, spec) as coder:
            assert not await is_forked(coder)
            assert not [t for t in asyncio.all_tasks() if t.get_name() == "load a program"]


async def test_kernels_are_started_where_none_can_be_loaded(
    backend: BubblewrapBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is tried once, and the log says why it is not done."""
    start, tries = ForkServer.start, []

    async def refuse(*arguments: Any) -> ForkServer:
        if arguments[-1] is None:
            return await start(*arguments)
        tries.append(1)
        raise SandboxError("no memory for it")

    monkeypatch.setattr(ForkServer, "start", refuse)
    caplog.set_level(logging.INFO, "agentbay_local")
    for name in ("first", "second", "third", "fourth"):
        async with started(backend, spec_of(tmp_path / name)) as coder:
            assert not await is_forked(coder)
            await loaded()

    assert tries == [1]
    assert "no memory for it" in caplog.text


async def test_a_killed_server_is_loaded_again(
    backend: BubblewrapBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then, kernels are started."""
    start, servers = ForkServer.start, []

    async def note(*arguments: Any) -> ForkServer:
        servers.append(await start(*arguments))
        return servers[-1]

    monkeypatch.setattr(ForkServer, "start", note)
    forked = []
    for name in ("first", "second", "third", "fourth", "fifth"):
        async with started(backend, spec_of(tmp_path / name)) as coder:
            forked.append(await is_forked(coder))
            await loaded()
            if name == "third":
                os.kill(servers[-1].pid, signal.SIGKILL)
                await asyncio.wait_for(coder.sandbox.dead.wait(), 60)

    assert forked == [False, False, True, False, True]


async def test_a_backend_can_be_closed_while_a_program_is_loaded(
    backend: BubblewrapBackend, tmp_path: Path
) -> None:
    """The server that loads it ends too."""
    for name in ("first", "second"):
        async with started(backend, spec_of(tmp_path / name)) as coder:
            assert not await is_forked(coder)
    await backend.close()

    assert not [t for t in asyncio.all_tasks() if t.get_name() == "load a program"]
