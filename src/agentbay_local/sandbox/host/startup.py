"""What starting a sandbox has in common at every level: the channel, the settings, the wait."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_local.sandbox.base import HOME, Isolation, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, SandboxError, SandboxGone
from agentbay_local.sandbox.host.agent_client import AgentClient
from agentbay_local.sandbox.host.bundle import bundle
from agentbay_local.sandbox.host.guard import Guard
from agentbay_local.sandbox.inside.wire import memory_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["START_WITHIN", "Launch", "guarded", "insist", "ready", "refuse_outbound", "settings"]

T = TypeVar("T")

START_WITHIN = 10.0
"""Seconds from the start of the first process to the agent's first word."""

USERS = {"0": "root", "1000": "wuying", "65534": "nobody"}
GROUPS = {"0": "root", "1000": "wuying", "65534": "nogroup"}
PATH = f"{HOME}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMPLAINT_BYTES = 2000


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
    """A pipe whose end tells `DIE_WITH_LAUNCH` that the launch has failed or the service is gone.

    Attributes:
        read_end: Standard output of the started program.
    """

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe2(os.O_CLOEXEC)

    def release(self) -> None:
        """Say that the launch has succeeded."""
        with contextlib.suppress(BrokenPipeError):  # nothing reads it at the other levels
            os.write(self._write_end, b"\n")

    def close(self) -> None:
        """Close both ends. Repeatable."""
        for fd in (self.read_end, self._write_end):
            if fd >= 0:
                os.close(fd)
        self.read_end = self._write_end = -1


class Launch:
    """What a starting sandbox is given. Use it in a `with` block, which closes it.

    Attributes:
        undo: What else shall happen when the block ends.
        agent_end: Number of the agent's end of the channel.
        program: Number of the descriptor that holds the agent's program.
    """

    def __init__(self) -> None:
        self.undo = ExitStack()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.undo.callback(ours.close)
        self.undo.callback(theirs.close)
        self._ours = ours
        self._lifeline = Lifeline()
        self.undo.callback(self._lifeline.close)
        self._given: list[int] = [theirs.fileno()]
        self.agent_end = theirs.fileno()
        self.program = self.file(bundle())
        # A file and not a pipe: nobody has to read it, and it cannot block who writes.
        self.complaints = self.file(b"")

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo.close()

    def file(self, content: bytes) -> int:
        """Return a descriptor from which the started program can read this content."""
        fd = memory_file(content)
        self._given.append(fd)
        self.undo.callback(os.close, fd)
        return fd

    def lend(self, fd: int) -> None:
        """Let the started program have a descriptor that stays the caller's."""
        self._given.append(fd)

    def popen(
        self, command: Sequence[str], uid: int | None = None, die_with_launch: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a program with an empty environment and only the descriptors of this launch.

        Args:
            command: The program and its arguments.
            uid: The user and group to run as; the service's own by default.
            die_with_launch: Kill it, and all in its process group, if the launch fails.
        """
        if die_with_launch:
            command = ["/bin/sh", "-c", DIE_WITH_LAUNCH, *command]
        # Nothing of a session is in the command: all of it is made by the service.
        return subprocess.Popen(  # noqa: S603
            command,
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=self._lifeline.read_end if die_with_launch else subprocess.DEVNULL,
            stderr=self.complaints,
            pass_fds=self._given,
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else (),
        )

    def channel(self, first: dict[str, Any]) -> AgentClient:
        """Return the conversation, its first packet sent."""
        # Detached, because the agent only notices the end when no copy of our end is left.
        channel = AgentClient(socket.socket(fileno=self._ours.detach()))
        channel.tell("settings", first)
        return channel

    def succeed(self) -> None:
        """Let the started programs outlive this launch."""
        self._lifeline.release()

    def give_up(self) -> None:
        """End the started programs at once; the agent ends too when its channel is closed."""
        self._ours.close()
        self._lifeline.close()

    def complaint(self) -> str:
        """Return what the started programs wrote to standard error."""
        said = os.pread(self.complaints, COMPLAINT_BYTES, 0).decode("utf-8", "replace").strip()
        return said or "it ended without a word"


async def insist(work: Awaitable[T]) -> T:
    """Wait for bounded work that must not be left half done, however often one is cancelled.

    The caller sees to it that a cancellation is not lost.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()


async def guarded(spawning: asyncio.Future[subprocess.Popen[bytes]], launch: Launch) -> Guard:
    """Wait for a process to be started and guard it.

    Starting takes milliseconds and cannot be interrupted, and its descriptors must stay open until
    it is over. A process started for somebody who was cancelled meanwhile is ended.

    Raises:
        SandboxError: The program or a directory cannot be used.
    """
    try:
        await asyncio.wait([spawning])
    except asyncio.CancelledError:
        await insist(asyncio.wait([spawning]))
        if spawning.exception() is None:
            launch.give_up()
            await insist(Guard(spawning.result()).kill())
        raise
    try:
        return Guard(spawning.result())
    except OSError as error:
        raise SandboxError(f"the sandbox cannot be started: {error}") from error


async def ready(channel: AgentClient, guard: Guard, launch: Launch) -> None:
    """Wait for the agent's first word.

    Raises:
        SandboxError: It did not come; the text holds what the programs complained about.
    """
    # Without this, a program that dies at once would be waited for until the deadline.
    guard.on_exit = lambda: channel.end("ended")
    if guard.exited.is_set():
        channel.end("ended")
    try:
        await asyncio.wait_for(asyncio.shield(channel.ready), START_WITHIN)
    except SandboxGone:
        await asyncio.wait_for(guard.exited.wait(), START_WITHIN)
        raise SandboxError(
            f"the sandbox did not start (status {guard.exit_status}): {launch.complaint()}"
        ) from None
    except asyncio.TimeoutError:
        raise SandboxError(
            f"the sandbox was not ready within {START_WITHIN:.0f} seconds: {launch.complaint()}"
        ) from None


def refuse_outbound(spec: SandboxSpec) -> None:
    """Do nothing unless hosts are listed, at a level without a network of the session's own.

    Raises:
        InvalidRequest: They are, and nothing would hold the session to the list.
    """
    if spec.outbound:
        raise InvalidRequest(
            "spec.outbound", "only sessions in namespaces can be held to a list of hosts"
        )


def settings(spec: SandboxSpec, isolation: Isolation) -> dict[str, Any]:
    """Return the agent's first packet."""
    inside = isolation is Isolation.NAMESPACES
    private = inside or (isolation is Isolation.LANDLOCK and spec.uid is not None)
    limits = {"CORE": 0, "NOFILE": spec.limits.open_files}
    file_limits = (spec.limits.file_bytes, spec.limits.disk_bytes)
    if any(limit is not None for limit in file_limits):
        limits["FSIZE"] = min(limit for limit in file_limits if limit is not None)
    if private:
        # Without a user of its own this would count every process of the service's user.
        limits["NPROC"] = spec.limits.processes
    return {
        "prefix": "" if inside else str(spec.root),
        "home": HOME,
        "path": PATH,
        "limits": limits,
        "cpu": spec.limits.cpu_seconds,
        "users": USERS if inside else {str(os.geteuid()): _name(pwd.getpwuid, os.geteuid())},
        "groups": GROUPS if inside else {str(os.getegid()): _name(grp.getgrgid, os.getegid())},
    }


def _name(lookup: Callable[[int], tuple[Any, ...]], number: int) -> str:
    """Return the host's name for a user or group; the number when it has none."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)
