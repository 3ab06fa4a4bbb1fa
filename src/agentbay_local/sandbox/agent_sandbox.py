"""`Sandbox` implemented by requests to the agent inside the session.

One class serves every level of isolation, because the same agent runs at every level.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_local.sandbox import checks
from agentbay_local.sandbox.base import (
    OUTPUT_LIMIT,
    Consumption,
    Entry,
    Isolation,
    Mark,
    OpenMode,
    RunningProcess,
    Sandbox,
)
from agentbay_local.sandbox.errors import (
    MalformedReply,
    SandboxGone,
    SandboxOSError,
    SandboxPaused,
)
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.command_run import CommandRun, CompletedCommand, PausableTimer
from agentbay_local.sandbox.host.file_systems import kinds_of_session
from agentbay_local.sandbox.host.port_dial import dial_port
from agentbay_local.sandbox.host.spawned_process import SpawnedProcess, spawn_process
from agentbay_local.sandbox.host.terminal import Terminal, open_host_terminal, open_terminal

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from agentbay_local.sandbox.host.agent_client import AgentClient, Reply
    from agentbay_local.sandbox.host.limit_enforcer import LimitEnforcer
    from agentbay_local.sandbox.host.process_handle import ProcessHandle
    from agentbay_local.sandbox.values import SandboxSpec

__all__ = ["AgentSandbox"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

QUICK = 30.0
"""Timeout of an operation on one path, in seconds."""

SLOW = 120.0
"""Timeout of an operation on a directory tree, in seconds."""

TOO_MANY = "it has too many entries for one answer; list them with a command, such as find"

UNREPORTED = "the session's agent did not report the end of a killed command"

KILL_GRACE = 5.0
"""Seconds to wait for the agent to report a killed command; then the sandbox is ended."""


class AgentSandbox(Sandbox):
    """A sandbox whose agent answers on a channel.

    Args:
        isolation: The level of isolation that the backend provides.
        spec: The session's directory and user.
        channel: The client of the agent, after its handshake.
        process: The process of the agent.
        enforcer: Enforces the limits of the session.
        on_end: Called once when the sandbox has ended, for any reason.
        read_only: The value of `Sandbox.read_only`.

    Attributes:
        on_spawn: Called with each command that is spawned, or None.
    """

    def __init__(
        self,
        isolation: Isolation,
        spec: SandboxSpec,
        channel: AgentClient,
        process: ProcessHandle,
        enforcer: LimitEnforcer,
        on_end: Callable[[], None],
        read_only: Mapping[str, str],
    ) -> None:
        self.isolation = isolation
        self.offline = isolation is not Isolation.NONE and not spec.outbound
        self.uid = spec.uid
        self.read_only = read_only
        self.dead = asyncio.Event()
        self.excess = ""
        self._spec = spec
        self._channel = channel
        self._process = process
        self._on_end = on_end
        self.on_spawn: Callable[[str | Sequence[str]], None] | None = None
        self._paused = False
        self._pause_lock = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._timers: set[PausableTimer] = set()
        self._commands: set[CommandRun] = set()
        self._enforcer = enforcer
        enforcer.on_excess = self._record_excess
        enforcer.is_in_use = lambda: bool(self._commands)
        channel.on_disconnect = process.request_end
        process.on_exit = self._handle_exit
        if process.exited.is_set():
            self._handle_exit()

    async def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output_limit: int = OUTPUT_LIMIT,
        output_size: Callable[[bytes], int] = len,
    ) -> CompletedCommand:
        fields = checks.check_program(command, cwd, env)
        seconds = checks.check_timeout("timeout", timeout)
        limit = checks.check_limit("output_limit", output_limit)
        if self._enforcer.killing.is_set():
            await self._enforcer.wait_for_kill()
        if self._paused:
            self._check_not_paused()
        started = CommandRun(self._channel, fields, stdin, limit, output_size)
        self._commands.add(started)
        self._enforcer.wake()
        timer = PausableTimer(seconds, lambda: self._expire(started, timer))
        self._timers.add(timer)
        try:
            done = await started.wait()
            # The kernel may have killed it a moment ago.
            self._enforcer.report()
            return attrs.evolve(done, excess=started.excess) if started.excess else done
        except SandboxGone as gone:
            self._enforcer.report()
            if started.excess:
                raise SandboxGone(f"{gone}; {started.excess}") from None
            raise
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
        fields = checks.check_program(command, cwd, env)
        given = checks.check_descriptors(fds)
        if self.on_spawn is not None:
            self.on_spawn(command)
        async with self._starting():
            return await spawn_process(self._channel, fields, given, QUICK)

    async def terminal(
        self,
        command: str | Sequence[str] = ("/bin/sh",),
        *,
        columns: int = 80,
        rows: int = 24,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Terminal:
        fields = checks.check_program(command, cwd, {"TERM": "xterm-256color", **(env or {})})
        size = checks.check_size("columns", columns), checks.check_size("rows", rows)
        async with self._starting():
            if self.isolation is Isolation.LANDLOCK:
                return await open_host_terminal(self._channel, fields, size, QUICK)
            return await open_terminal(self._channel, {**fields, "size": size}, QUICK)

    @contextlib.asynccontextmanager
    async def _starting(self) -> AsyncIterator[None]:
        """Surround the start of a program, which the enforcer then sees."""
        await self._enforcer.wait_for_kill()
        self._check_not_paused()
        try:
            yield
        finally:
            # Not earlier: a check that finds no process is the last one. Even a start that fails
            # may have started something.
            self._enforcer.wake()

    async def dial(self, port: int, *, timeout: float = 5.0) -> socket.socket:
        checked = checks.check_port(port)
        within = checks.check_timeout("timeout", timeout)
        self._check_not_paused()
        return await dial_port(self._channel, checked, within)

    async def stat(self, path: str) -> Entry:
        reply = await self._request("stat", QUICK, path=checks.check_path("path", path))
        return replies.parse_entry(reply.fields.get("entry"))

    async def list(self, path: str) -> Sequence[Entry]:
        fields = {"path": checks.check_path("path", path)}
        return await self._request_records("list", replies.parse_entry, fields)

    async def make_directory(self, path: str) -> None:
        await self._request("make_directory", QUICK, path=checks.check_path("path", path))

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        checked = checks.check_path("path", path)
        await self._request("remove", SLOW, path=checked, recursive=bool(recursive))

    async def move(self, source: str, destination: str) -> None:
        await self._request(
            "move",
            SLOW,
            source=checks.check_path("source", source),
            destination=checks.check_path("destination", destination),
        )

    async def search(self, path: str, pattern: str, excludes: Sequence[str] = ()) -> Sequence[str]:
        fields = {
            "path": checks.check_path("path", path),
            "pattern": checks.check_path("pattern", pattern),
            "excludes": [checks.check_path("excludes", one) for one in excludes],
        }
        return await self._request_records("search", replies.parse_path, fields)

    async def survey(self, path: str) -> Mapping[str, Mark]:
        fields = {"path": checks.check_path("path", path)}
        return dict(await self._request_records("survey", replies.parse_mark, fields))

    async def consumption(self) -> Consumption:
        try:
            return await self._enforcer.consumption()
        except OSError:
            raise SandboxGone("the session has ended") from None

    async def processes(self) -> Sequence[RunningProcess]:
        return await asyncio.to_thread(self._enforcer.running_processes)

    async def open(self, path: str, mode: OpenMode = "r") -> int:
        fields = {"path": checks.check_path("path", path), "mode": checks.check_mode(mode)}
        self._check_not_paused()
        with self._channel.begin("open", fields) as call:
            return replies.take_regular_file(
                await call.wait(QUICK), path, writing=mode != "r", kinds=self._kinds
            )

    @cached_property
    def _kinds(self) -> frozenset[int]:
        return kinds_of_session(self._spec)

    async def pause(self) -> None:
        async with self._pause_lock:
            if self._paused:
                return
            await self._request("pause", QUICK)
            self._paused = True
            # The agent stops last, because it stops the other processes.
            self._process.signal(signal.SIGSTOP)
            self._channel.interrupt(SandboxPaused("the session was paused; resume it first"))
            for timer in self._timers:
                timer.pause()

    async def resume(self) -> None:
        async with self._pause_lock:
            if not self._paused:
                return
            self._process.signal(signal.SIGCONT)
            self._paused = False
            for timer in self._timers:
                timer.resume()
            await self._request("resume", QUICK)

    async def close(self) -> None:
        self._channel.close("the sandbox was closed")
        await self._process.kill()

    def _check_not_paused(self) -> None:
        if self._paused and not self.dead.is_set():
            raise SandboxPaused("the session is paused; resume it first")

    async def _request(self, operation: str, within: float, **fields: object) -> Reply:
        reply = await self._ask(operation, within, fields)
        reply.close()
        return reply

    async def _request_records(
        self, operation: str, parse: Callable[[object], T], fields: Mapping[str, object]
    ) -> Sequence[T]:
        reply = await self._ask(operation, SLOW, fields)
        try:
            # One at a time: together, many long answers would get more than their share.
            async with self._reading:
                return await replies.read_records(reply, parse)
        except MalformedReply as error:
            self._end_distrusted(str(error))
            raise SandboxGone(str(error)) from error
        finally:
            reply.close()

    async def _ask(self, operation: str, within: float, fields: Mapping[str, object]) -> Reply:
        self._check_not_paused()
        try:
            return await self._channel.request(operation, fields, within=within)
        except SandboxOSError as error:
            if error.errno == errno.EOVERFLOW:
                path = str(fields.get("path", error.path))
                raise SandboxOSError(error.errno, path, TOO_MANY) from None
            raise

    def _expire(self, started: CommandRun, timer: PausableTimer) -> None:
        started.kill()
        timer.restart(KILL_GRACE, lambda: self._end_distrusted(UNREPORTED))

    def _end_distrusted(self, reason: str) -> None:
        self._channel.close(reason)
        self._process.request_end()

    def _record_excess(self, excess: str) -> None:
        _log.warning("%s", excess)
        self.excess = excess
        for command in self._commands:
            command.excess = excess

    def _handle_exit(self) -> None:
        self._enforcer.report()
        self._enforcer.stop()
        if not self.dead.is_set():
            self._channel.close("the session has ended")
            self.dead.set()
            self._on_end()
