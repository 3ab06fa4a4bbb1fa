"""Start a sandbox: the parts that every level of isolation shares."""

from __future__ import annotations

import asyncio
import functools
import grp
import os
import pwd
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_local.sandbox.cgroups import detection
from agentbay_local.sandbox.cgroups.cgroup import Cgroup
from agentbay_local.sandbox.errors import InvalidRequest, SandboxError, SandboxGone
from agentbay_local.sandbox.host.agent_client import AgentClient
from agentbay_local.sandbox.host.bundle import AGENT, build_bundle, interpreter_arguments
from agentbay_local.sandbox.host.off_loop import finish, run_off_loop
from agentbay_local.sandbox.host.process_handle import ProcessHandle
from agentbay_local.sandbox.host.rootfs import visible_path
from agentbay_local.sandbox.inside.wire import memory_file
from agentbay_local.sandbox.values import HOME, Isolation, Python, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentbay_local.sandbox.cgroups.detection import Cgroups
    from agentbay_local.sandbox.host.programs import Interpreter
    from agentbay_local.sandbox.values import Limits

__all__ = [
    "START_WITHIN",
    "Launch",
    "agent_settings",
    "join_and_wait",
    "path_settings",
    "reject_namespace_features",
    "wait_for_process",
    "wait_for_report",
    "wait_until_ready",
]

T = TypeVar("T")

START_WITHIN = 10.0
"""Seconds from the start of the first process to the first message of the agent."""

USERS = {"0": "root", "1000": "wuying", "65534": "nobody"}
GROUPS = {"0": "root", "1000": "wuying", "65534": "nogroup"}
ENVIRONMENT = "/opt/agentbay/python"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STDERR_BYTES = 2000

MESSAGE_QUEUES = 819_200
"""Bytes of POSIX message queues of a session; the usual default of systems."""


DIE_WITH_LAUNCH = '(read -r word <&1 || kill -s KILL 0) & exec "$0" "$@" >/dev/null'
"""A shell script that becomes a program, and kills its process group if the launch is given up.

bubblewrap needs it. Its child first waits until the parent has reported it, and asks to die with
the parent only later. If the parent is killed in between, the child waits for ever: it holds the
event descriptor that it waits for, so no end of file comes. The signal that the kernel sends at the
death of a parent (PR_SET_PDEATHSIG) is not inherited by children, so another process has to look.
It reads standard output, because a shell replaces the standard input of what it runs in the
background, and ends when the sandbox is up. Killing the group is atomic: no fork can slip past it.
"""


class Lifeline:
    """A pipe whose end of file tells `DIE_WITH_LAUNCH` that the launch or the service has ended.

    Attributes:
        read_end: Standard output of the started program.
    """

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe2(os.O_CLOEXEC)

    def release(self) -> None:
        """Say that the launch has succeeded."""
        os.write(self._write_end, b"\n")

    def close(self) -> None:
        """Close both ends. Repeatable."""
        for fd in (self.read_end, self._write_end):
            if fd >= 0:
                os.close(fd)
        self.read_end = self._write_end = -1


class Launch:
    """The descriptors of a starting sandbox. Use it in a `with` block, which closes them.

    Args:
        cgroups: Makes the control group of the sandbox; None finds out what the machine allows.
        limits: The limits of the sandbox.

    Attributes:
        cgroup: The control group, after `make_cgroup`. It is removed if the launch fails.
        undo: Callbacks for the end of the block.
        agent_end: Number of the agent's end of the channel.
    """

    def __init__(self, cgroups: Cgroups | None, limits: Limits) -> None:
        self.undo = ExitStack()
        self._cgroups, self._limits = cgroups, limits
        self._succeeded = self._joins_by_itself = False
        self.cgroup = Cgroup({})
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.undo.callback(ours.close)
        self.undo.callback(theirs.close)
        self._ours = ours
        self._channel: AgentClient | None = None
        self._lifeline: Lifeline | None = None
        self._passed_fds: list[int] = [theirs.fileno()]
        self.agent_end = theirs.fileno()
        # A file and not a pipe: nobody has to read it, and no writer can block on it.
        self.stderr = self.add_file(b"")

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo.close()

    def make_cgroup(self) -> None:
        """Make the control group; blocking.

        Raises:
            InvalidRequest: There is a limit that nothing else can enforce.
            OSError: The kernel refuses.
        """
        cgroups = detection.detect() if self._cgroups is None else self._cgroups
        if self._limits.cpus is not None and "cpu" not in cgroups.parents:
            raise InvalidRequest(
                "spec.limits.cpus",
                "needs the controller cpu of control groups; `agentbay doctor` says what is there",
            )
        self.cgroup = cgroups.make(self._limits)
        self.undo.callback(self._remove_cgroup)

    def open_join_files(self) -> list[int]:
        """Return descriptors of the files by which the agent joins its control group by itself.

        See `Cgroup.join_files`. If there are none, `join_cgroup` moves the agent.
        """
        fds = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in self.cgroup.join_files]
        for fd in fds:
            self.undo.callback(os.close, fd)
        self._joins_by_itself = bool(fds)
        return fds

    async def join_cgroup(self, pid: int) -> None:
        """Move the agent into the control group, unless it joins by itself.

        Raises:
            SandboxError: It has ended.
        """
        if self._joins_by_itself:
            return
        try:
            # On a thread: the kernel waits for all processors of the machine, some milliseconds.
            await run_off_loop(lambda: self.cgroup.add(pid))
        except OSError as error:
            reason = f"{error.strerror}: {self.read_stderr()}"
            raise SandboxError(f"the sandbox did not start: {reason}") from error

    def add_file(self, content: bytes) -> int:
        """Return a descriptor from which the started program can read some content."""
        fd = memory_file(content)
        self._passed_fds.append(fd)
        self.undo.callback(os.close, fd)
        return fd

    def add_agent(self, python: Interpreter, program: str = AGENT) -> list[str]:
        """Return the command that runs the agent, or another program of its bundle.

        Args:
            python: Its interpreter, with the path that the started program sees.
            program: Its name in the bundle.
        """
        bundle = self.add_file(build_bundle(python))
        return [str(python.program), *interpreter_arguments(self.agent_end, bundle, program)]

    @property
    def ends(self) -> tuple[int, int]:
        """The descriptors of the agent: its end of the channel, and its errors."""
        return self.agent_end, self.stderr

    def pass_fd(self, fd: int) -> None:
        """Pass a descriptor to the started program; the caller goes on owning it."""
        self._passed_fds.append(fd)

    def popen(
        self,
        command: Sequence[str],
        uid: int | None = None,
        die_with_launch: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program with these variables and only the descriptors of this launch.

        Args:
            command: The program and its arguments.
            uid: The user and group to run as; the service's own by default.
            die_with_launch: Kill it, and all in its process group, if the launch fails.
            variables: Its whole environment; default none.
        """
        stdout = subprocess.DEVNULL
        if die_with_launch:
            command = ["/bin/sh", "-c", DIE_WITH_LAUNCH, *command]
            self._lifeline = Lifeline()
            self.undo.callback(self._lifeline.close)
            stdout = self._lifeline.read_end
        # Not with variables, which would apply to setpriv too, while it is root.
        setpriv = None if uid is None or variables else _find_setpriv()
        if setpriv is not None:
            command = [
                setpriv,
                f"--reuid={uid}",
                f"--regid={uid}",
                "--clear-groups",
                "--",
                *command,
            ]
            uid = None
        # The command comes from the service, and nothing of a session is in it.
        return subprocess.Popen(  # noqa: S603
            command,
            env=dict(variables or {}),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=self.stderr,
            pass_fds=self._passed_fds,
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else (),
        )

    def open_channel(self, first: dict[str, Any]) -> AgentClient:
        """Return a client of the agent, and send the first packet."""
        # Detached, because the agent finds its channel closed only when no copy of this end is
        # left.
        self._channel = AgentClient(socket.socket(fileno=self._ours.detach()))
        self._channel.notify("settings", first)
        return self._channel

    def succeed(self) -> None:
        """Let the started programs and their control group outlive this launch."""
        self._succeeded = True
        if self._lifeline is not None:
            self._lifeline.release()

    def _remove_cgroup(self) -> None:
        if not self._succeeded:
            self.cgroup.remove()

    def abort(self) -> None:
        """End the started programs at once; the agent ends too when its channel is closed."""
        if self._channel is not None:
            self._channel.close("the sandbox did not start")
        self._ours.close()
        if self._lifeline is not None:
            self._lifeline.close()

    def read_stderr(self) -> str:
        """Return the standard error of the started programs."""
        text = os.pread(self.stderr, STDERR_BYTES, 0).decode("utf-8", "replace").strip()
        return text or "it wrote no message"


@functools.cache
def _find_setpriv() -> str | None:
    """Return the program that becomes another user and then another program, if there is one.

    subprocess can do so too, but then it forks with a copy of the whole service's page tables,
    which takes three milliseconds; otherwise it uses vfork.
    """
    found = shutil.which("setpriv", path=SYSTEM_PATH)
    # That of busybox knows other options.
    return None if found is None or Path(found).resolve().name == "busybox" else found


async def wait_for_process(
    spawning: asyncio.Future[subprocess.Popen[bytes]], launch: Launch
) -> ProcessHandle:
    """Wait until a process is started and return a handle on it.

    A start takes milliseconds and cannot be interrupted, and its descriptors must stay open until
    then. If the caller is cancelled meanwhile, the process is killed.

    Raises:
        SandboxError: The program or a directory cannot be used.
    """
    try:
        await asyncio.wait([spawning])
    except asyncio.CancelledError:
        await finish(asyncio.wait([spawning]))
        if spawning.exception() is None:
            launch.abort()
            await finish(ProcessHandle.of_started(spawning.result()).kill())
        raise
    try:
        return ProcessHandle.of_started(spawning.result())
    except OSError as error:
        raise SandboxError(f"the sandbox cannot be started: {error}") from error


async def wait_for_report(fd: int, process: ProcessHandle, launch: Launch) -> bytes:
    """Return the JSON object that a started program writes in several parts.

    Raises:
        SandboxError: It did not report; the text has its messages.
    """
    loop, reported, report = asyncio.get_running_loop(), asyncio.Event(), bytearray()

    def read() -> None:
        part = os.read(fd, 4096)
        report.extend(part)
        if not part or report.rstrip().endswith(b"}"):
            loop.remove_reader(fd)
            reported.set()

    loop.add_reader(fd, read)
    waiting = [asyncio.ensure_future(one.wait()) for one in (reported, process.exited)]
    try:
        await asyncio.wait(waiting, timeout=START_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(fd)
        for one in waiting:
            one.cancel()
    if not reported.is_set():
        how = "did not start" if process.exited.is_set() else "was not started in time"
        raise SandboxError(
            f"the sandbox {how} (status {process.exit_status}): {launch.read_stderr()}"
        )
    return bytes(report)


async def wait_until_ready(channel: AgentClient, process: ProcessHandle, launch: Launch) -> None:
    """Wait for the first message of the agent.

    Raises:
        SandboxError: It did not come; the text has the messages of the started programs.
    """
    # Without this, a program that dies at once would be waited for until the deadline.
    process.on_exit = lambda: channel.close("ended")
    if process.exited.is_set():
        channel.close("ended")
    try:
        await asyncio.wait_for(asyncio.shield(channel.ready), START_WITHIN)
    except SandboxGone:
        await asyncio.wait_for(process.exited.wait(), START_WITHIN)
        raise SandboxError(
            f"the sandbox did not start (status {process.exit_status}): {launch.read_stderr()}"
        ) from None
    except asyncio.TimeoutError:
        raise SandboxError(
            f"the sandbox was not ready within {START_WITHIN:.0f} seconds: {launch.read_stderr()}"
        ) from None


async def join_and_wait(
    launch: Launch, process: ProcessHandle, settings: dict[str, Any]
) -> AgentClient:
    """Bring up an agent that is the started process itself, and return its client.

    Raises:
        SandboxError: It did not come up; it is killed.
    """
    try:
        await launch.join_cgroup(process.pid)
        channel = launch.open_channel(settings)
        await wait_until_ready(channel, process, launch)
    except BaseException:
        launch.abort()
        await finish(process.kill())
        raise
    launch.succeed()
    return channel


def reject_namespace_features(spec: SandboxSpec) -> None:
    """Reject what a level without namespaces cannot do.

    Raises:
        InvalidRequest: There is a list of hosts, which it cannot enforce, or there are layers.
    """
    if spec.layers:
        raise InvalidRequest(
            "spec.layers", "needs the level 'namespaces'; no other can lay them over the system"
        )
    if spec.outbound:
        raise InvalidRequest(
            "spec.outbound", "needs the level 'namespaces'; no other can hold a session to it"
        )


def agent_settings(
    spec: SandboxSpec, isolation: Isolation, cgroup: Cgroup, visible: Mapping[str, str]
) -> dict[str, Any]:
    """Return the agent's first packet.

    Args:
        spec: The specification, with the root as the agent sees it.
        isolation: The level.
        cgroup: The control group.
        visible: The value of `Sandbox.read_only`.
    """
    inside = isolation is Isolation.NAMESPACES
    private = inside or (isolation is Isolation.LANDLOCK and spec.uid is not None)
    limits = {"CORE": 0, "NOFILE": spec.limits.open_files, "MSGQUEUE": MESSAGE_QUEUES}
    file_limits = (spec.limits.file_bytes, spec.limits.disk_bytes)
    if any(limit is not None for limit in file_limits):
        limits["FSIZE"] = min(limit for limit in file_limits if limit is not None)
    if private:
        # Without a private user this would count every process of the service's user.
        # The group, where there is one, refuses first, because only it says that it did.
        limits["NPROC"] = spec.limits.processes + ("pids" in cgroup.enforces)
    return {
        **path_settings("" if inside else str(spec.root)),
        "python": _python(spec, visible),
        "limits": limits,
        "cpu": spec.limits.cpu_seconds,
        "users": USERS if inside else {str(os.geteuid()): _name(pwd.getpwuid, os.geteuid())},
        "groups": GROUPS if inside else {str(os.getegid()): _name(grp.getgrgid, os.getegid())},
    }


def path_settings(prefix: str = "") -> dict[str, str]:
    """Return the settings that name directories of a session.

    Args:
        prefix: The root of the session, as its programs see it.
    """
    return {
        "prefix": prefix,
        "home": HOME,
        "path": f"{prefix}{ENVIRONMENT}/bin:{prefix}{HOME}/.local/bin:{SYSTEM_PATH}",
        "environment": ENVIRONMENT,
    }


def _python(spec: SandboxSpec, visible: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the Python of the session, with the paths that it sees; None if it cannot read it."""
    if spec.python is None:
        return None
    return _python_inside(spec.python, tuple(visible.items()), tuple(spec.read_only.items()))


@functools.lru_cache(maxsize=16)
def _python_inside(
    python: Python, visible_items: tuple[tuple[str, str], ...], mounts: tuple[tuple[str, Path], ...]
) -> dict[str, Any] | None:
    visible, read_only = dict(visible_items), dict(mounts)
    program = visible_path(python.program, visible, read_only)
    if program is None:
        return None
    packages = [visible_path(path, visible, read_only) for path in python.packages]
    library = python.library and visible_path(python.library, visible, read_only)
    return {
        "program": program,
        "version": python.version,
        "packages": [path for path in packages if path is not None],
        "library": library,
    }


def _name(lookup: Callable[[int], tuple[Any, ...]], number: int) -> str:
    """Return the host's name for a user or group, or the number if it has none."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)
