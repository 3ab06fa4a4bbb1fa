"""A live session: the interface of `Sandbox`, spoken to the agent inside.

The same class serves every level of isolation, because the same agent runs at every level.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from agentbay_local.sandbox import checks
from agentbay_local.sandbox.base import (
    OUTPUT_LIMIT,
    Completed,
    Consumption,
    Entry,
    Isolation,
    Mark,
    OpenMode,
    Sandbox,
)
from agentbay_local.sandbox.errors import SandboxGone, SandboxPaused
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.command_run import CommandRun
from agentbay_local.sandbox.host.port_dial import dialled
from agentbay_local.sandbox.host.spawned_process import SpawnedProcess, spawned
from agentbay_local.sandbox.host.terminal import Terminal, lent, opened
from agentbay_local.sandbox.host.timers import Timer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from agentbay_local.sandbox.host.agent_client import AgentClient, Reply
    from agentbay_local.sandbox.host.guard import Guard
    from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer

__all__ = ["AgentSandbox"]

_log = logging.getLogger(__name__)

QUICK = 30.0
"""Seconds an operation on one path may take."""

SLOW = 120.0
"""Seconds an operation on a whole tree may take."""

KILL_GRACE = 5.0
"""Seconds a killed command may take to be reported before the sandbox counts as broken."""


class AgentSandbox(Sandbox):
    """A session whose agent is at the other end of a channel.

    Args:
        isolation: The level the backend has given it.
        channel: The conversation with the agent, already ready.
        guard: The processes.
        watch: Keeps the session to its limits.
        on_end: Called once when the sandbox is gone, however that came.
    """

    def __init__(
        self,
        isolation: Isolation,
        channel: AgentClient,
        guard: Guard,
        watch: LimitEnforcer,
        on_end: Callable[[], None],
    ) -> None:
        self.isolation = isolation
        self.dead = asyncio.Event()
        self.excess = ""
        self._channel = channel
        self._guard = guard
        self._on_end = on_end
        self._paused = False
        self._changing = asyncio.Lock()
        self._timers: set[Timer] = set()
        self._commands: set[CommandRun] = set()
        self._watch = watch
        watch.on_excess = self._exceeded
        channel.on_broken = guard.doom
        guard.on_exit = self._ended
        if guard.exited.is_set():
            self._ended()

    async def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output_limit: int = OUTPUT_LIMIT,
    ) -> Completed:
        fields = _start_fields(command, cwd, env)
        seconds = checks.checked_timeout("timeout", timeout)
        limit = checks.checked_limit("output_limit", output_limit)
        self._usable()
        started = CommandRun(self._channel, fields, stdin, limit)
        self._commands.add(started)
        self._watch.wake()
        timer = Timer(seconds, lambda: self._expire(started, timer))
        self._timers.add(timer)
        try:
            return await started.completed()
        finally:
            timer.pause()
            self._timers.discard(timer)
            self._commands.discard(started)
            started.close()

    async def spawn(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
    ) -> SpawnedProcess:
        fields = _start_fields(command, cwd, env)
        given = checks.checked_descriptors(fds)
        self._usable()
        self._watch.wake()
        return await spawned(self._channel, fields, given, QUICK)

    async def terminal(
        self,
        command: str | Sequence[str] = ("/bin/sh",),
        *,
        columns: int = 80,
        rows: int = 24,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Terminal:
        fields = _start_fields(command, cwd, {"TERM": "xterm-256color", **(env or {})})
        size = checks.checked_size("columns", columns), checks.checked_size("rows", rows)
        self._usable()
        self._watch.wake()
        if self.isolation is Isolation.LANDLOCK:
            return await lent(self._channel, fields, size, QUICK)
        return await opened(self._channel, {**fields, "size": size}, QUICK)

    async def dial(self, port: int, *, timeout: float = 5.0) -> socket.socket:
        checked = checks.checked_port(port)
        within = checks.checked_timeout("timeout", timeout)
        self._usable()
        return await dialled(self._channel, checked, within)

    async def stat(self, path: str) -> Entry:
        reply = await self._ask("stat", QUICK, path=checks.checked_path("path", path))
        return replies.entry(reply.fields.get("entry"))

    async def list(self, path: str) -> Sequence[Entry]:
        reply = await self._ask("list", SLOW, path=checks.checked_path("path", path))
        return replies.entries(reply.fields)

    async def make_directory(self, path: str) -> None:
        await self._ask("make_directory", QUICK, path=checks.checked_path("path", path))

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        checked = checks.checked_path("path", path)
        await self._ask("remove", SLOW, path=checked, recursive=bool(recursive))

    async def move(self, source: str, destination: str) -> None:
        await self._ask(
            "move",
            SLOW,
            source=checks.checked_path("source", source),
            destination=checks.checked_path("destination", destination),
        )

    async def search(self, path: str, pattern: str, excludes: Sequence[str] = ()) -> Sequence[str]:
        reply = await self._ask(
            "search",
            SLOW,
            path=checks.checked_path("path", path),
            pattern=checks.checked_path("pattern", pattern),
            excludes=[checks.checked_path("excludes", one) for one in excludes],
        )
        return replies.paths(reply.fields)

    async def survey(self, path: str) -> Mapping[str, Mark]:
        reply = await self._ask("survey", SLOW, path=checks.checked_path("path", path))
        return replies.marks(reply.fields)

    async def consumption(self) -> Consumption:
        try:
            return await asyncio.to_thread(self._watch.consumption)
        except OSError:
            raise SandboxGone("the session has ended") from None

    async def open(self, path: str, mode: OpenMode = "r") -> int:
        fields = {"path": checks.checked_path("path", path), "mode": checks.checked_mode(mode)}
        self._usable()
        with self._channel.begin("open", fields) as call:
            return replies.regular_file(await call.answer(QUICK), writing=mode != "r")

    async def pause(self) -> None:
        async with self._changing:
            if self._paused:
                return
            await self._ask("pause", QUICK)
            self._paused = True
            # Last of all the agent itself, so that nothing inside is left that could act.
            self._guard.signal(signal.SIGSTOP)
            for timer in self._timers:
                timer.pause()

    async def resume(self) -> None:
        async with self._changing:
            if not self._paused:
                return
            self._guard.signal(signal.SIGCONT)
            self._paused = False
            for timer in self._timers:
                timer.resume()
            await self._ask("resume", QUICK)

    async def close(self) -> None:
        self._channel.end("the sandbox was closed")
        await self._guard.kill()

    def _usable(self) -> None:
        if self._paused and not self.dead.is_set():
            raise SandboxPaused("the session is paused; resume it first")

    async def _ask(self, operation: str, within: float, **fields: object) -> Reply:
        self._usable()
        reply = await self._channel.request(operation, fields, within=within)
        reply.close()
        return reply

    def _expire(self, started: CommandRun, timer: Timer) -> None:
        started.kill()
        timer.restart(KILL_GRACE, self._unresponsive)

    def _unresponsive(self) -> None:
        self._channel.end("the session's agent did not report the end of a killed command")
        self._guard.doom()

    def _exceeded(self, excess: str) -> None:
        _log.warning("%s", excess)
        self.excess = excess
        for command in self._commands:
            command.excess = excess

    def _ended(self) -> None:
        self._watch.stop()
        if not self.dead.is_set():
            self._channel.end("the session has ended")
            self.dead.set()
            self._on_end()


def _start_fields(
    command: str | Sequence[str], cwd: str | None, env: Mapping[str, str] | None
) -> dict[str, object]:
    """Check what every start of a program has in common; return the request's fields."""
    fields = checks.checked_command(command)
    fields["env"] = checks.checked_environment(env)
    fields["cwd"] = None if cwd is None else checks.checked_path("cwd", cwd)
    return fields
