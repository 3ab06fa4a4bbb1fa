"""Sandboxes in namespaces, by bubblewrap.

Two leaks shape the start. The first process inside is bubblewrap, whose environment and arguments
the session can read in /proc/1: so it gets an empty environment, and its arguments through a
descriptor. And a service that is root must not create the namespaces as root, because the session's
user would be root of the host: see `uids` and `mounts`.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentbay_local.sandbox import checks, seccomp
from agentbay_local.sandbox.agent_sandbox import AgentSandbox
from agentbay_local.sandbox.base import HOME, Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, SandboxError
from agentbay_local.sandbox.host import layers, programs, replies, rootfs
from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer, SharedCost
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.startup import (
    START_WITHIN,
    Launch,
    agent_settings,
    finish,
    wait_for_process,
    wait_for_report,
    wait_until_ready,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agentbay_local.sandbox.cgroups.detection import Cgroups
    from agentbay_local.sandbox.host.agent_client import AgentClient
    from agentbay_local.sandbox.host.orphans import Orphans
    from agentbay_local.sandbox.host.process_handle import ProcessHandle

__all__ = ["BubblewrapBackend"]

NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--disable-userns",
)
LIFETIME = ("--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL")


class BubblewrapBackend(Backend):
    """Starts sandboxes of the level `Isolation.NAMESPACES`.

    Args:
        orphans: The record of live processes, for the next start after a crash.
        cgroups: Makes control groups; None finds out what the machine allows.

    Example:
        >>> backend = BubblewrapBackend()
        >>> backend.isolation.value
        'namespaces'
    """

    isolation = Isolation.NAMESPACES

    def __init__(self, orphans: Orphans | None = None, cgroups: Cgroups | None = None) -> None:
        self._cgroups = cgroups
        self._mounts = Mounts()
        self._shared_cost = SharedCost()
        self._orphans = orphans

    def prepare_root(self, spec: SandboxSpec) -> None:
        rootfs.prepare_root(spec)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        _check(spec)
        with Launch(self._cgroups, spec.limits) as launch:
            info, for_bwrap = os.pipe2(os.O_CLOEXEC)
            launch.undo.callback(os.close, info)
            # The namespaces keep what they have mounted, so they do not need this mount any more.
            launch.undo.callback(self._mounts.run, lambda: self._mounts.release(spec.root))
            try:
                launch.pass_fd(for_bwrap)
                spawning = self._mounts.run(lambda: self._spawn(launch, spec, for_bwrap))
                process = await wait_for_process(spawning, launch)
            finally:
                os.close(for_bwrap)
            return await self._finish_start(launch, spec, process, info)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._mounts.close)
        await loop.run_in_executor(None, self._shared_cost.close)

    def _spawn(self, launch: Launch, spec: SandboxSpec, info: int) -> subprocess.Popen[bytes]:
        launch.make_cgroup()
        bwrap, python = _find_bubblewrap(spec), programs.find_interpreter()
        root, shared, laid = spec.root.resolve(), dict(spec.read_only), spec.layers
        if python.directory is not None:
            shared[str(programs.INTERPRETER)] = python.directory
            python = python.moved_to(programs.INTERPRETER)
        rootfs.prepare_root(spec, [*shared, *layers.mount_targets(laid)])
        if spec.uid is not None:
            bwrap, root = self._mounts.reachable(bwrap), self._mounts.reachable(root)
            shared = {inside: self._mounts.reachable(path) for inside, path in shared.items()}
            laid = tuple(self._mounts.reachable(path) for path in laid)
        arguments = [
            *_isolation_arguments(spec),
            *_mount_arguments(launch, spec, root, laid),
            "--info-fd",
            str(info),
        ]
        counted = "memory" in launch.cgroup.enforces
        filter_program = seccomp.build_filter(self.isolation, counted)
        if filter_program is not None:
            arguments += ["--seccomp", str(launch.add_file(filter_program))]
        for target, path in shared.items():
            arguments += ["--ro-bind", str(path), target]
            for private in rootfs.private_files(path):
                arguments += ["--ro-bind", "/dev/null", f"{target}/{private}"]
        for name, value in python.variables.items():
            arguments += ["--setenv", name, value]
        hidden = launch.add_file("\0".join(arguments).encode("utf-8", "surrogateescape"))
        command = [str(bwrap), "--args", str(hidden), "--", *launch.add_agent(python)]
        return launch.popen(command, spec.uid, die_with_launch=True)

    async def _finish_start(
        self, launch: Launch, spec: SandboxSpec, process: ProcessHandle, info: int
    ) -> Sandbox:
        end = ExitStack()
        try:
            first = _read_first_pid(await wait_for_report(info, process, launch))
            await launch.join_cgroup(first)
            visible = {inside: inside for inside in spec.read_only}
            settings = agent_settings(spec, self.isolation, launch.cgroup, visible)
            channel = launch.open_channel(settings)
            await wait_until_ready(channel, process, launch)
            process.set_first_process(first)
            end.callback(self._record(first))
            if spec.outbound:
                end.callback(await _start_proxy(channel, spec))
        except BaseException:
            launch.abort()
            await finish(process.kill())
            end.close()
            raise
        launch.succeed()
        enforcer = LimitEnforcer(first, spec, self._shared_cost, launch.cgroup)
        return AgentSandbox(self.isolation, spec, channel, process, enforcer, end.close, visible)

    def _record(self, pid: int) -> Callable[[], None]:
        """Record a live process; return a function that removes the record."""
        record = None if self._orphans is None else self._orphans.add(pid)

        def strike() -> None:
            if self._orphans is not None and record is not None:
                self._orphans.discard(record)

        return strike


async def _start_proxy(channel: AgentClient, spec: SandboxSpec) -> Callable[[], None]:
    """Start the proxy of a session, on a socket that its agent makes; return its `close`.

    From now on the agent names the proxy in the variables of every program of the session.
    """
    # h11 is an optional dependency, and the proxy is rarely used.
    from agentbay_local.sandbox.outbound.proxy import Proxy

    reply = await channel.request("proxy", {}, within=START_WITHIN)
    proxy = Proxy(spec.outbound, spec.root.name)
    proxy.serve(replies.take_listening_socket(reply))
    return proxy.close


def _check(spec: SandboxSpec) -> None:
    if os.geteuid() == 0 and not spec.uid:
        raise InvalidRequest(
            "spec.uid", "a service that runs as root must give each session a private user id"
        )
    layers.check_layers(spec.layers, spec.uid)
    for inside, path in spec.read_only.items():
        checks.check_mount_path("spec.read_only", inside)
        if not path.is_dir():
            raise InvalidRequest("spec.read_only", f"{path} is not a directory of this machine")


def _find_bubblewrap(spec: SandboxSpec) -> Path:
    return (
        programs.find_bubblewrap(programs.OVERLAYS_SINCE)
        if spec.layers
        else programs.find_bubblewrap()
    )


def _isolation_arguments(spec: SandboxSpec) -> list[str]:
    return [*NAMESPACES, *LIFETIME, "--uid", "1000", "--gid", "1000", "--hostname", spec.hostname]


def _mount_arguments(
    launch: Launch, spec: SandboxSpec, root: Path, laid: Sequence[Path]
) -> list[str]:
    """Return the mounts: the session's directory, and over it the host's system and the layers."""
    view = ["--bind", str(root), "/", *layers.usr_arguments(laid)]
    for target in layers.mount_targets(laid):
        view += layers.laid_over(target, laid)
    for name in rootfs.system_directories():
        view += ["--ro-bind", f"/{name}", f"/{name}"]
    view += ["--proc", "/proc", "--dev", "/dev"]
    shared_memory = str(spec.limits.shared_memory_bytes)
    view += ["--perms", "1777", "--size", shared_memory, "--tmpfs", "/dev/shm"]  # noqa: S108 - inside
    view += ["--tmpfs", "/etc"]
    view += layers.etc_arguments(laid)
    for name, content in rootfs.etc_files(spec.hostname).items():
        view += [
            "--perms",
            "0444",
            "--file",
            str(launch.add_file(content.encode())),
            f"/etc/{name}",
        ]
    # Without a limit for its size, the file system of /dev would be memory that nobody counts.
    return [*view, "--remount-ro", "/etc", "--remount-ro", "/dev", "--chdir", HOME]


def _read_first_pid(report: bytes) -> int:
    """Return the pid of the first process, which bubblewrap reports before it lets it run."""
    try:
        return int(json.loads(report)["child-pid"])
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxError("bubblewrap did not report the process that it started") from error
