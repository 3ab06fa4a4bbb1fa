"""Sandboxes without isolation: plain processes that start in a private directory.

For machines where nothing better works, and only if the user asks for it explicitly. Operations on
files map the session's "/" to its directory; a command sees the host as it is, runs as the user of
the service, and can read and kill everything that this user can.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.agent_sandbox import AgentSandbox
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.host import rootfs
from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer, SharedCost
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.programs import Interpreter
from agentbay_local.sandbox.host.startup import (
    Launch,
    agent_settings,
    join_and_wait,
    reject_namespace_features,
    wait_for_process,
)

if TYPE_CHECKING:
    import subprocess

    from agentbay_local.sandbox.cgroups.detection import Cgroups

__all__ = ["PlainBackend"]


class PlainBackend(Backend):
    """Starts sandboxes of the level `Isolation.NONE`; `uid` of a spec is not used.

    Args:
        cgroups: Makes control groups; None finds out what the machine allows.
    """

    isolation = Isolation.NONE

    def __init__(self, cgroups: Cgroups | None = None) -> None:
        self._cgroups = cgroups
        self._mounts = Mounts()
        self._shared_cost = SharedCost()

    def prepare_root(self, spec: SandboxSpec) -> None:
        rootfs.prepare_session_directories(spec)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        reject_namespace_features(spec)
        with Launch(self._cgroups, spec.limits) as launch:
            process = await wait_for_process(
                self._mounts.run(lambda: self._spawn(launch, spec)), launch
            )
            visible = {inside: str(path) for inside, path in spec.read_only.items()}
            settings = agent_settings(spec, self.isolation, launch.cgroup, visible)
            channel = await join_and_wait(launch, process, settings)
            enforcer = LimitEnforcer(process.pid, spec, self._shared_cost, launch.cgroup)
            own = attrs.evolve(spec, uid=None)
            return AgentSandbox(
                self.isolation, own, channel, process, enforcer, lambda: None, visible
            )

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._mounts.close)
        await loop.run_in_executor(None, self._shared_cost.close)

    def _spawn(self, launch: Launch, spec: SandboxSpec) -> subprocess.Popen[bytes]:
        launch.make_cgroup()
        self.prepare_root(spec)
        return launch.popen(launch.add_agent(Interpreter(Path(sys.executable))))
