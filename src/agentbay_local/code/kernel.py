"""One worker: a running shell of one language, doing one piece of code at a time.

Its end, whether by its own doing, by a kill or with its session, is always noticed, and whoever
waits for it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING, Any

from agentbay_local.code.events import Printed
from agentbay_local.code.frames import (
    ACKNOWLEDGEMENT,
    Frames,
    count_in,
    failed_in,
    packed,
    shown_in,
)
from agentbay_local.code.stream_reader import StreamReader
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import MalformedReply, SandboxError, SandboxPaused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local.code.execution import Execution
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess

__all__ = ["Kernel"]

START_WITHIN = 30.0
"""Seconds a shell may take until it can run code."""

INTERRUPT_GRACE = 5.0
"""Seconds an interrupted piece of code may take to end before its shell is killed."""

_CHUNK = 256 * 1024
_SLICE = 1.0
_LARGEST_BETWEEN = 256 * 1024
_COMPLAINT = 2000


class Kernel:
    """A live shell in a session; make it with `start`.

    Args:
        sandbox: Where it runs.
        program: Its process.
        control: The service's end of the conversation; the worker closes it.

    Attributes:
        gone: Set when it has ended, however that came.
    """

    def __init__(self, sandbox: Sandbox, program: SpawnedProcess, control: socket.socket) -> None:
        control.setblocking(False)
        self._sandbox = sandbox
        self._program = program
        self._control = control
        self._frames = Frames()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[bool] = self._loop.create_future()
        self._cell: Execution | None = None
        self._between: list[Printed] = []
        self._room = _LARGEST_BETWEEN
        self._taps = (
            StreamReader(
                program.stdout.fileno(), lambda text: self._printed(Printed("stdout", text))
            ),
            StreamReader(
                program.stderr.fileno(), lambda text: self._printed(Printed("stderr", text))
            ),
        )
        self.gone = asyncio.Event()
        self._status: int | None = None
        self._loop.add_reader(control.fileno(), self._readable)
        self._watch = asyncio.create_task(self._watched())

    @classmethod
    async def start(cls, sandbox: Sandbox, command: Sequence[str]) -> Kernel:
        """Start a shell and wait until it can run code.

        Raises:
            ToolFailure: It does not start; the text says what it complained about.
            SandboxError: The session is gone or paused.
        """
        ours, theirs = socket.socketpair()
        try:
            program = await sandbox.spawn(command, fds=[theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        program.stdin.close()
        worker = cls(sandbox, program, ours)
        try:
            await worker._started()
        except BaseException:
            await worker.close()
            raise
        return worker

    async def run(self, cell: Execution) -> None:
        """Run a piece of code to its end; when it must not go on, interrupt it, then kill it."""
        for printed in self._between:
            cell.printed(printed)
        self._between, self._room = [], _LARGEST_BETWEEN
        cell.begin()
        self._cell = cell
        if self.gone.is_set():
            self._lost()
        sending = asyncio.create_task(self._send(cell))
        try:
            if not await self._within(cell, cell.seconds, cell.abandoned):
                await self._stop(cell)
        finally:
            sending.cancel()
            self._cell = None

    async def _stop(self, cell: Execution) -> None:
        """Interrupt code, twice if need be, because a child may have taken the first; then kill."""
        cell.interrupted = True
        for _ in range(2):
            self._program.signal(signal.SIGINT)
            if await self._within(cell, INTERRUPT_GRACE / 2):
                return
        cell.killed = True
        await self.close()

    def serves(self, sandbox: Sandbox) -> bool:
        """Say whether it is alive, and in this sandbox."""
        return self._sandbox is sandbox and not self.gone.is_set()

    async def close(self) -> None:
        """Kill it and whatever it has started, and free everything. Repeatable."""
        self._broken()
        await self._program.close()
        self._watch.cancel()

    async def _started(self) -> None:
        await asyncio.wait([self._ready], timeout=START_WITHIN)
        if not (self._ready.done() and self._ready.result()):
            self._drain()
            said = "".join(printed.text for printed in self._between)[-_COMPLAINT:].strip()
            raise ToolError(f"The worker for this language does not start: {said or 'no reason'}")

    async def _send(self, cell: Execution) -> None:
        request = packed({"code": cell.code, "env": dict(cell.env)})
        with contextlib.suppress(OSError):  # its end is noticed elsewhere
            await self._loop.sock_sendall(self._control, request)

    async def _within(
        self, cell: Execution, seconds: float, abandoned: asyncio.Future[None] | None = None
    ) -> bool:
        """Wait for the end of a piece of code; time in which the session is paused is free."""
        waits: list[asyncio.Future[Any]] = [cell.over, *([abandoned] if abandoned else [])]
        while seconds > 0 and not any(wait.done() for wait in waits):
            began = self._loop.time()
            await asyncio.wait(
                waits, timeout=min(seconds, _SLICE), return_when=asyncio.FIRST_COMPLETED
            )
            if cell.over.done() or not await self._paused():
                seconds -= self._loop.time() - began
        return cell.over.done()

    async def _paused(self) -> bool:
        try:
            await self._sandbox.stat("/")
        except SandboxPaused:
            return True
        except SandboxError:
            return False
        return False

    async def _watched(self) -> None:
        status: int | None = None
        with contextlib.suppress(SandboxError):
            status = await self._program.wait()
        self._broken(status)
        await self._program.close()

    def _readable(self) -> None:
        try:
            data = self._control.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # Its own end tells why, and comes with its exit code; no more is to be heard here.
            self._loop.remove_reader(self._control.fileno())
            self._program.kill()
            return
        try:
            for message in self._frames.feed(data):
                self._heard(message)
        except MalformedReply:
            self._broken()

    def _heard(self, message: dict[str, Any]) -> None:
        cell = self._cell
        if "ready" in message and not self._ready.done():
            self._ready.set_result(True)
        elif cell is None or cell.over.done():
            raise MalformedReply("a code worker spoke when nothing was to be said")
        elif "result" in message:
            shown = shown_in(message)
            self._drain()
            cell.shown(shown)
            self._acknowledge()
        elif "error" in message:
            failed = failed_in(message)
            self._drain()
            cell.failed(failed)
        else:
            count = count_in(message)
            for tap in self._taps:
                tap.flush()
            cell.done(
                count,
                failed=message.get("failed") is True,
                interrupted=message.get("interrupted") is True,
            )

    def _acknowledge(self) -> None:
        try:
            self._control.send(ACKNOWLEDGEMENT)
        except OSError as error:  # full or closed, which an honest worker cannot bring about
            raise MalformedReply("a code worker does not listen") from error

    def _printed(self, printed: Printed) -> None:
        if self._cell is not None:
            self._cell.printed(printed)
        elif self._room >= len(printed.text):
            self._room -= len(printed.text)
            self._between.append(printed)

    def _drain(self) -> None:
        for tap in self._taps:
            tap.drain()

    def _broken(self, status: int | None = None) -> None:
        self._program.kill()
        if self.gone.is_set():
            return
        self.gone.set()
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._control.close()
        for tap in self._taps:
            tap.flush()
            tap.close()
        if not self._ready.done():
            self._ready.set_result(False)
        self._status = status
        self._lost()

    def _lost(self) -> None:
        if self._cell is not None:
            self._cell.lost(self._status)
