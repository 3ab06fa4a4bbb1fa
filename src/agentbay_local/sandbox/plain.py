"""Sessions without isolation: plain processes that start in a private directory.

For machines where nothing better works and the user has asked for it in so many words. The file
operations map the session's "/" to its directory; a command sees the host as it is, runs as the
service's own user, and can read and kill whatever that user can.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from agentbay_local.sandbox.agent_sandbox import AgentSandbox
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.host import rootfs
from agentbay_local.sandbox.host.bundle import interpreter_arguments
from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer, SharedCost
from agentbay_local.sandbox.host.mounts import Mounts
from agentbay_local.sandbox.host.startup import (
    Launch,
    guarded,
    insist,
    ready,
    refuse_outbound,
    settings,
)

if TYPE_CHECKING:
    import subprocess

__all__ = ["PlainBackend"]


class PlainBackend(Backend):
    """Starts sandboxes of the level `Isolation.NONE`; `uid` of a spec is not used."""

    isolation = Isolation.NONE

    def __init__(self) -> None:
        self._places = Mounts()
        self._crowd = SharedCost()

    def prepare_root(self, spec: SandboxSpec) -> None:
        rootfs.prepare_places(spec)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        refuse_outbound(spec)
        with Launch() as launch:
            guard = await guarded(self._places.call(lambda: self._spawn(launch, spec)), launch)
            channel = launch.channel(settings(spec, self.isolation))
            try:
                await ready(channel, guard, launch)
            except BaseException:
                channel.end("the sandbox did not start")
                await insist(guard.kill())
                raise
            watch = LimitEnforcer(guard.pid, spec, self._crowd)
            return AgentSandbox(self.isolation, channel, guard, watch, lambda: None)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._places.close)

    def _spawn(self, launch: Launch, spec: SandboxSpec) -> subprocess.Popen[bytes]:
        self.prepare_root(spec)
        inside = interpreter_arguments(launch.agent_end, launch.program)
        return launch.popen([sys.executable, *inside])
