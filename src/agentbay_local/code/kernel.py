"""One kernel: the process that runs code of one language, one execution at a time.

A kernel can exit by itself, by a kill or with its session. Its exit always ends the execution that
runs in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from agentbay_local.code.events import StreamOutput
from agentbay_local.code.frames import (
    ACKNOWLEDGEMENT,
    Frame,
    FrameDecoder,
    encode_frame,
    parse_count,
    parse_display,
    parse_error,
)
from agentbay_local.code.stream_reader import StreamReader
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import MalformedReply, SandboxError, SandboxPaused
from agentbay_local.sandbox.host.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local.code.execution import Execution
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess

__all__ = ["Kernel"]

START_TIMEOUT = 30.0
"""Seconds a kernel may take until it can run code."""

INTERRUPT_GRACE = 5.0
"""Seconds an interrupted execution may take to end before its kernel is killed."""

_CHUNK = 64 * 1024
# How often a running execution is checked for a paused session.
_PAUSE_CHECK_INTERVAL = 1.0
_IDLE_OUTPUT_LIMIT = 256 * 1024
_START_ERROR_LENGTH = 2000


class Kernel:
    """A live kernel in a session. Make it with `start`.

    Args:
        sandbox: The session's sandbox.
        process: The kernel's process.
        control: The service's end of the control socket; the kernel object closes it.

    Attributes:
        exited: Set when the process has exited.
        used: Whether code has run in it.
    """

    def __init__(self, sandbox: Sandbox, process: SpawnedProcess, control: socket.socket) -> None:
        control.setblocking(False)
        self._sandbox = sandbox
        self._process = process
        self._control = control
        self._decoder = FrameDecoder()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[bool] = self._loop.create_future()
        self._execution: Execution | None = None
        self._idle_output: list[StreamOutput] = []
        self._idle_budget = _IDLE_OUTPUT_LIMIT
        self._readers = (
            StreamReader(process.stdout.fileno(), partial(self._add_output, "stdout")),
            StreamReader(process.stderr.fileno(), partial(self._add_output, "stderr")),
        )
        self.exited = asyncio.Event()
        self.used = False
        self._status: int | None = None
        self._reading = asyncio.create_task(self._read_frames())
        self._exit_watcher = asyncio.create_task(self._watch_exit())

    @classmethod
    async def start(cls, sandbox: Sandbox, command: Sequence[str]) -> Kernel:
        """Start a kernel and wait until it can run code.

        Raises:
            ToolError: It does not start; the text has what it wrote.
            SandboxError: The session has ended or is paused.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await sandbox.spawn(command, fds=[theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        process.stdin.close()
        kernel = cls(sandbox, process, ours)
        try:
            await kernel._wait_ready()
        except BaseException:
            await kernel.close()
            raise
        return kernel

    async def run(self, execution: Execution) -> None:
        """Run code to its end; on a timeout or when abandoned, interrupt it, then kill it."""
        for output in self._idle_output:
            execution.add_output(output)
        self._idle_output, self._idle_budget = [], _IDLE_OUTPUT_LIMIT
        execution.start_timer()
        self._execution, self.used = execution, True
        if self.exited.is_set():
            self._end_execution()
        sending = asyncio.create_task(self._send(execution))
        try:
            if not await self._wait_finished(execution, execution.seconds, execution.abandoned):
                await self._stop(execution)
        finally:
            sending.cancel()
            self._execution = None

    async def _stop(self, execution: Execution) -> None:
        """Interrupt an execution, then kill the kernel.

        The interrupt is sent twice, because a child process may have consumed the first.
        """
        execution.interrupted = True
        for _ in range(2):
            self._process.signal(signal.SIGINT)
            if await self._wait_finished(execution, INTERRUPT_GRACE / 2):
                return
        execution.killed = True
        await self.close()

    def is_alive_in(self, sandbox: Sandbox) -> bool:
        """Return whether the kernel is alive and runs in this sandbox."""
        return self._sandbox is sandbox and not self.exited.is_set()

    def fail(self, error: Exception) -> None:
        """End the running execution with an error."""
        if self._execution is not None and not self._execution.finished.done():
            self._execution.fail(error)

    async def close(self) -> None:
        """Kill the kernel and its children, and free everything. Idempotent."""
        self._shut_down()
        await self._process.close()
        self._exit_watcher.cancel()

    async def _wait_ready(self) -> None:
        await asyncio.wait([self._ready], timeout=START_TIMEOUT)
        if not (self._ready.done() and self._ready.result()):
            self._drain()
            written = "".join(output.text for output in self._idle_output)
            reason = written[-_START_ERROR_LENGTH:].strip() or "no reason given"
            raise ToolError(f"The kernel for this language does not start: {reason}")

    async def _send(self, execution: Execution) -> None:
        request = encode_frame({"code": execution.code, "env": dict(execution.env)})
        with contextlib.suppress(OSError):  # _watch_exit reports the exit
            await self._loop.sock_sendall(self._control, request)

    async def _wait_finished(
        self, execution: Execution, seconds: float, abandoned: asyncio.Future[None] | None = None
    ) -> bool:
        """Wait for the end of an execution; time while the session is paused does not count."""
        waits: list[asyncio.Future[Any]] = [execution.finished, *([abandoned] if abandoned else [])]
        while seconds > 0 and not any(wait.done() for wait in waits):
            slice_start = _now()
            await asyncio.wait(
                waits,
                timeout=min(seconds, _PAUSE_CHECK_INTERVAL),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if execution.finished.done() or not await self._is_paused():
                seconds -= _now() - slice_start
        return execution.finished.done()

    async def _is_paused(self) -> bool:
        try:
            await self._sandbox.stat("/")
        except SandboxPaused:
            return True
        except SandboxError:
            return False
        return False

    async def _watch_exit(self) -> None:
        status: int | None = None
        with contextlib.suppress(SandboxError):
            status = await self._process.wait()
        self._shut_down(status)
        await self._process.close()

    async def _read_frames(self) -> None:
        """Handle frames until the socket ends; many small ones take half of the loop at most."""
        turns = Turns()
        try:
            while data := await turns.wait_for(self._loop.sock_recv(self._control, _CHUNK)):
                for frame in self._decoder.feed(data):
                    self._handle_frame(frame)
                    await turns.rest_if_due()
        except MalformedReply:
            self._shut_down()
        except OSError:
            pass  # it is closed
        # Only the socket has ended. The exit code follows with the exit of the process, which is
        # killed here in case it closed the socket and lives on.
        self._process.kill()

    def _handle_frame(self, frame: Frame) -> None:
        execution = self._execution
        if "ready" in frame.head and not self._ready.done():
            self._ready.set_result(True)
        elif execution is None or execution.finished.done():
            raise MalformedReply("a code kernel sent a message while no code ran")
        elif "result" in frame.head:
            display = parse_display(frame)
            self._drain()
            execution.add_display(display, len(frame.content))
            self._acknowledge()
        elif "error" in frame.head:
            error = parse_error(frame)
            self._drain()
            execution.add_error(error)
        else:
            self._finish(execution, frame)

    def _finish(self, execution: Execution, frame: Frame) -> None:
        count = parse_count(frame)
        for reader in self._readers:
            reader.flush()
        execution.finish(
            count,
            failed=frame.head.get("failed") is True,
            interrupted=frame.head.get("interrupted") is True,
        )

    def _acknowledge(self) -> None:
        """Let the kernel go on after a display.

        Output and displays come by different channels; waiting here keeps what the code prints
        next from overtaking the display.
        """
        try:
            self._control.send(ACKNOWLEDGEMENT)
        except OSError as error:  # the buffer is full: only a kernel that never reads gets here
            raise MalformedReply("a code kernel does not read its socket") from error

    def _add_output(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Emit text; between executions, keep it for the next one."""
        output = StreamOutput(stream, text)
        # Text can come after the end was read but before `run` has noticed it. Nobody reads the
        # events after the end, so the text belongs to the next execution.
        if self._execution is not None and not self._execution.finished.done():
            self._execution.add_output(output)
        elif self._idle_budget >= len(text):
            self._idle_budget -= len(text)
            self._idle_output.append(output)

    def _drain(self) -> None:
        for reader in self._readers:
            reader.drain()

    def _shut_down(self, status: int | None = None) -> None:
        self._process.kill()
        if self.exited.is_set():
            return
        self.exited.set()
        self._reading.cancel()
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._control.close()
        for reader in self._readers:
            reader.flush()
            reader.close()
        if not self._ready.done():
            self._ready.set_result(False)
        self._status = status
        self._end_execution()

    def _end_execution(self) -> None:
        if self._execution is not None:
            self._execution.kernel_exited(self._status)


def _now() -> float:
    return asyncio.get_running_loop().time()
