"""Sandboxes without isolation: plain processes that start in a private directory.

For machines where nothing better works, and only if the user asks for it explicitly. Operations on
files map the session's "/" to its directory; a command sees the host as it is, runs as the user of
the service, and can read and kill everything that this user can.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.agent_sandbox import AgentSandbox
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.host import rootfs
from agentbay_local.sandbox.host.bundle import interpreter_arguments
from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer, SharedCost
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.startup import (
    Launch,
    agent_settings,
    finish,
    reject_outbound,
    wait_for_process,
    wait_until_ready,
)

if TYPE_CHECKING:
    import subprocess

__all__ = ["PlainBackend"]


class PlainBackend(Backend):
    """Starts sandboxes of the level `Isolation.NONE`; `uid` of a spec is not used."""

    isolation = Isolation.NONE

    def __init__(self) -> None:
        self._mounts = Mounts()
        self._shared_cost = SharedCost()

    def prepare_root(self, spec: SandboxSpec) -> None:
        rootfs.prepare_session_directories(spec)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        reject_outbound(spec)
        with Launch() as launch:
            process = await wait_for_process(
                self._mounts.run(lambda: self._spawn(launch, spec)), launch
            )
            channel = launch.open_channel(agent_settings(spec, self.isolation))
            try:
                await wait_until_ready(channel, process, launch)
            except BaseException:
                channel.close("the sandbox did not start")
                await finish(process.kill())
                raise
            enforcer = LimitEnforcer(process.pid, spec, self._shared_cost)
            own = attrs.evolve(spec, uid=None)
            return AgentSandbox(self.isolation, own, channel, process, enforcer, lambda: None)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._mounts.close)

    def _spawn(self, launch: Launch, spec: SandboxSpec) -> subprocess.Popen[bytes]:
        self.prepare_root(spec)
        inside = interpreter_arguments(launch.agent_end, launch.program)
        return launch.popen([sys.executable, *inside])
