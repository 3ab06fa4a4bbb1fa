"""Sandboxes restricted by the kernel's Landlock, for machines without user namespaces.

The agent restricts itself before it serves anything: to the files of the session and the system's
programs, without sockets, without signals to processes outside, without risky system calls. If the
service is root, each session has a private user as well.

It is weaker than namespaces. Nothing is mounted, so a command sees its files at their real path on
the host. It also sees the host's processes in /proc, but can neither inspect nor signal them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.agent_sandbox import AgentSandbox
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, IsolationUnavailable, SandboxError
from agentbay_local.sandbox.host import programs, rootfs
from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer, SharedCost
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.startup import (
    Launch,
    agent_settings,
    join_and_wait,
    reject_namespace_features,
    wait_for_process,
)
from agentbay_local.sandbox.inside import confinement

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from agentbay_local.sandbox.cgroups.detection import Cgroups

__all__ = ["LandlockBackend", "describe_level"]

SIGNALS_SINCE = 6
"""The first version of Landlock that keeps a session from signalling processes outside."""

# pip fails if the names of the system's release exist and cannot be read.
ETC = ("debian_version", "group", "lsb-release", "os-release", "passwd")
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")


def describe_level() -> str:
    """Describe the protection of this level on this machine, in one or two sentences."""
    version = confinement.abi()
    text = (
        f"Landlock version {version}: files, processes and sockets of the host are out of reach; "
        "sessions have no network, no ports and no private paths, and see the host's processes."
    )
    if version < SIGNALS_SINCE and os.geteuid() != 0:
        text += f" A session can end processes of this user (that needs version {SIGNALS_SINCE})."
    return text


class LandlockBackend(Backend):
    """Starts sandboxes of the level `Isolation.LANDLOCK`.

    Args:
        cgroups: Makes control groups; None finds out what the machine allows.
    """

    isolation = Isolation.LANDLOCK

    def __init__(self, cgroups: Cgroups | None = None) -> None:
        self._cgroups = cgroups
        self._mounts = Mounts()
        self._shared_cost = SharedCost()

    def prepare_root(self, spec: SandboxSpec) -> None:
        rootfs.prepare_session_directories(spec, spec.uid)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        _check(spec)
        with Launch(self._cgroups, spec.limits) as launch:
            moved, python = await self._mounts.run(lambda: self._prepare(spec))
            spawning = self._mounts.run(lambda: self._spawn(launch, spec, python))
            process = await wait_for_process(spawning, launch)
            visible = {inside: str(path) for inside, path in moved.read_only.items()}
            settings = {
                **agent_settings(
                    attrs.evolve(spec, root=moved.root), self.isolation, launch.cgroup, visible
                ),
                **_confinement(moved, python.directory),
            }
            channel = await join_and_wait(launch, process, settings)
            agent = channel.ready.result().integer("pid")
            enforcer = LimitEnforcer(agent, spec, self._shared_cost, launch.cgroup)
            return AgentSandbox(
                self.isolation,
                spec,
                channel,
                process,
                enforcer,
                lambda: self._release_mount(spec.root),
                visible,
            )

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._mounts.close)
        await loop.run_in_executor(None, self._shared_cost.close)

    def _prepare(self, spec: SandboxSpec) -> tuple[SandboxSpec, programs.Interpreter]:
        """Prepare the root; return the specification and a Python with paths the user can walk."""
        self.prepare_root(spec)
        root = self._reachable(spec, spec.root.resolve())
        moved = attrs.evolve(spec, root=root, read_only=self._readable(spec))
        python = programs.find_interpreter()
        if python.directory is None:
            return moved, python
        return moved, python.moved_to(self._reachable(spec, python.directory))

    def _readable(self, spec: SandboxSpec) -> dict[str, Path]:
        """Return the directories to read with paths that the session's user can walk.

        A directory that cannot be mounted elsewhere is left out: only code needs it, so commands
        and files still work.
        """
        readable = {}
        for inside, path in spec.read_only.items():
            with contextlib.suppress(IsolationUnavailable):
                walkable = self._reachable(spec, path)
                if walkable != path.resolve():
                    self._mounts.hide(walkable, rootfs.private_files(path))
                readable[inside] = walkable
        return readable

    def _reachable(self, spec: SandboxSpec, path: Path) -> Path:
        return path.resolve() if spec.uid is None else self._mounts.reachable(path)

    def _spawn(
        self, launch: Launch, spec: SandboxSpec, python: programs.Interpreter
    ) -> subprocess.Popen[bytes]:
        launch.make_cgroup()
        return launch.popen(launch.add_agent(python), spec.uid, variables=python.variables)

    def _release_mount(self, root: Path) -> None:
        """Unmount the root of a session that has ended."""
        with contextlib.suppress(RuntimeError):  # the thread has ended, and its mounts with it
            released = self._mounts.run(lambda: self._mounts.release(root))
            released.add_done_callback(lambda done: done.cancelled() or done.exception())


def _check(spec: SandboxSpec) -> None:
    reject_namespace_features(spec)
    if not confinement.abi():
        raise IsolationUnavailable(
            "this kernel has no Landlock, or Landlock is not enabled.",
            "use Linux 5.13 or newer, with landlock among the security modules (lsm=landlock,...).",
        )
    if seccomp.build_filter(Isolation.LANDLOCK) is None:
        raise IsolationUnavailable(
            f"there is no filter of system calls for {os.uname().machine}.",
            "run the service on x86_64 or aarch64, or use namespaces.",
        )
    if os.geteuid() == 0 and not spec.uid:
        raise InvalidRequest(
            "spec.uid", "a service that runs as root must give each session a private user id"
        )


def _confinement(spec: SandboxSpec, interpreter: Path | None) -> dict[str, Any]:
    """Return the settings with which the agent restricts itself."""
    filter_program = seccomp.build_filter(Isolation.LANDLOCK)
    if filter_program is None:
        raise SandboxError("there is no filter of system calls for this machine")
    return {
        "rules": [*_rules(spec, interpreter)],
        "filter": base64.b64encode(filter_program).decode(),
    }


def _rules(spec: SandboxSpec, interpreter: Path | None) -> list[tuple[str, str]]:
    """Return pairs of a right and the path beneath which the session has it."""
    readable = ["/usr", "/proc", *(f"/{name}" for name in rootfs.system_directories())]
    readable += [str(path) for path in rootfs.shared_etc()]
    readable += [f"/etc/{name}" for name in ETC]
    readable += [str(path) for path in spec.read_only.values()]
    readable += [] if interpreter is None else [str(interpreter)]
    return [
        ("all", str(spec.root)),
        *(("read", path) for path in readable),
        *(("device", f"/dev/{name}") for name in DEVICES),
    ]
