"""Sandboxes in namespaces, by bubblewrap.

bubblewrap shows a fork server what sessions see of the host, and the server forks a sandbox for
each session. Where the machine does not allow that, bubblewrap starts each sandbox itself, which
takes several times the processor time.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from agentbay_local.sandbox import checks, seccomp
from agentbay_local.sandbox.agent_sandbox import AgentSandbox
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, SandboxError
from agentbay_local.sandbox.host import layers, replies, rootfs
from agentbay_local.sandbox.host.fork_servers import ForkServers
from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer, SharedCost
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.off_loop import finish, run_off_loop
from agentbay_local.sandbox.host.single_start import read_first_pid, spawn_sandbox
from agentbay_local.sandbox.host.startup import (
    START_WITHIN,
    Launch,
    agent_settings,
    wait_for_process,
    wait_for_report,
    wait_until_ready,
)
from agentbay_local.sandbox.host.view import View

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path
    from typing import Any

    from agentbay_local.sandbox.cgroups.detection import Cgroups
    from agentbay_local.sandbox.host.agent_client import AgentClient
    from agentbay_local.sandbox.host.orphans import Orphans
    from agentbay_local.sandbox.host.process_handle import ProcessHandle
    from agentbay_local.sandbox.values import Preload

__all__ = ["BubblewrapBackend"]

_log = logging.getLogger(__name__)


class BubblewrapBackend(Backend):
    """Starts sandboxes of the level `Isolation.NAMESPACES`.

    Args:
        orphans: The record of live processes, for the next start after a crash.
        cgroups: Makes control groups; None finds out what the machine allows.
        forks: Fork sandboxes where the machine allows it; False lets bubblewrap start each one.

    Attributes:
        forks: Whether sandboxes are forked; False after it was tried and the machine refused.

    Example:
        >>> backend = BubblewrapBackend()
        >>> backend.isolation.value
        'namespaces'
    """

    isolation = Isolation.NAMESPACES

    def __init__(
        self,
        orphans: Orphans | None = None,
        cgroups: Cgroups | None = None,
        *,
        forks: bool = True,
    ) -> None:
        self.forks = forks
        self._cgroups = cgroups
        self._mounts = Mounts()
        self._servers = ForkServers(self._mounts, self._record)
        self._shared_cost = SharedCost()
        self._orphans = orphans
        self._has_forked = self._closed = False

    def prepare_root(self, spec: SandboxSpec) -> None:
        rootfs.prepare_root(spec)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        _check(spec)
        if not self.forks:
            return await self._start_alone(spec)
        try:
            sandbox = await self._start_by_fork(spec)
        except SandboxError as error:
            if self._has_forked or self._closed:
                raise
            return await self._start_instead(spec, error)
        self._has_forked = True
        return sandbox

    async def close(self) -> None:
        self._closed = True
        await self._servers.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._mounts.close)
        await loop.run_in_executor(None, self._shared_cost.close)

    async def _start_instead(self, spec: SandboxSpec, error: SandboxError) -> Sandbox:
        """Start a sandbox after the first fork failed; if that works, start all others so too."""
        sandbox = await self._start_alone(spec)
        if not self._has_forked:
            self.forks = False
            _log.info("sandboxes are not forked, because this machine refuses it: %s", error)
        return sandbox

    async def _start_by_fork(self, spec: SandboxSpec) -> Sandbox:
        with Launch(self._cgroups, spec.limits) as launch, ExitStack() as ending:
            view = await run_off_loop(lambda: self._prepare_fork(launch, spec))
            sessions, preload = spec.root.resolve().parent, _program_to_load(spec)
            server = await self._servers.get(view, sessions, preload)
            server.sessions += 1
            ending.callback(server.end_session)
            process = await server.fork(spec, [*launch.ends, *launch.open_join_files()])
            program = self._filter(launch)
            own = {} if program is None else {"filter": base64.b64encode(program).decode()}
            sandbox = await self._finish_start(launch, spec, process, process.pid, own, ending)
        if preload is not None:
            sandbox.on_spawn = partial(self._count_use, view, sessions, preload)
        return sandbox

    def _count_use(
        self, view: View, sessions: Path, preload: Preload, command: str | Sequence[str]
    ) -> None:
        if command == preload.command:
            self._servers.count_use(view, sessions, preload)

    def _prepare_fork(self, launch: Launch, spec: SandboxSpec) -> View:
        launch.make_cgroup()
        # The fork makes the rest, while the service moves it into its control group.
        rootfs.make_empty_root(spec)
        return View.of(spec)

    async def _start_alone(self, spec: SandboxSpec) -> Sandbox:
        with Launch(self._cgroups, spec.limits) as launch, ExitStack() as ending:
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
            first = await _read_first(launch, process, info)
            return await self._finish_start(launch, spec, process, first, {}, ending)

    def _spawn(self, launch: Launch, spec: SandboxSpec, info: int) -> subprocess.Popen[bytes]:
        launch.make_cgroup()
        view = View.of(spec)
        rootfs.prepare_root(spec, view.targets)
        return spawn_sandbox(launch, spec, view, self._mounts, self._filter(launch), info)

    def _filter(self, launch: Launch) -> bytes | None:
        counted = "memory" in launch.cgroup.enforces
        return seccomp.build_filter(self.isolation, counted)

    async def _finish_start(
        self,
        launch: Launch,
        spec: SandboxSpec,
        process: ProcessHandle,
        first: int,
        own_settings: dict[str, str],
        ending: ExitStack,
    ) -> AgentSandbox:
        """Bring up the agent.

        Args:
            launch: The launch.
            spec: The session.
            process: The process that was started.
            first: The first process of the session.
            own_settings: Settings that only this way to start needs.
            ending: What to do at the end of the sandbox; it is taken over if this succeeds.
        """
        visible = {inside: inside for inside in spec.read_only}
        try:
            settings = agent_settings(spec, self.isolation, launch.cgroup, visible)
            channel = launch.open_channel({**settings, **own_settings})
            await _join_and_wait(launch, first, wait_until_ready(channel, process, launch))
            if first != process.pid:  # otherwise the record of its fork server is enough
                ending.callback(self._record(first))
            if spec.outbound:
                ending.callback(await _start_proxy(channel, spec))
        except BaseException:
            launch.abort()
            await finish(process.kill())
            raise
        launch.succeed()
        enforcer = LimitEnforcer(first, spec, self._shared_cost, launch.cgroup)
        on_end = ending.pop_all().close
        return AgentSandbox(self.isolation, spec, channel, process, enforcer, on_end, visible)

    def _record(self, pid: int) -> Callable[[], None]:
        """Record a live process; return a function that removes the record."""
        record = None if self._orphans is None else self._orphans.add(pid)

        def strike() -> None:
            if self._orphans is not None and record is not None:
                self._orphans.discard(record)

        return strike


async def _read_first(launch: Launch, process: ProcessHandle, info: int) -> int:
    """Return the first process of a session, as bubblewrap reports it, and tell `process`."""
    try:
        first = read_first_pid(await wait_for_report(info, process, launch))
        process.set_first_process(first)
    except BaseException:
        launch.abort()
        await finish(process.kill())
        raise
    return first


async def _join_and_wait(launch: Launch, first: int, ready: Coroutine[Any, Any, None]) -> None:
    """Wait for the control group and for the agent, which starts no program before it is asked to.

    Raises:
        SandboxError: The agent does not come up, or has ended.
    """
    joining = asyncio.ensure_future(launch.join_cgroup(first))
    try:
        await ready
    except BaseException:
        await finish(asyncio.wait([joining]))
        joining.exception()  # retrieved, so that asyncio logs nothing; the agent's reason counts
        raise
    await joining


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


def _program_to_load(spec: SandboxSpec) -> Preload | None:
    """Return the program of a session that a fork server may load.

    The server has more power than a session, so it loads nothing of an image.
    """
    return None if spec.layers else spec.preload


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
