"""The host's handle on the processes of a sandbox: noticing their end, and ending them for sure.

Pids are never signalled by number: a pidfd names one process for ever, so a number that the system
has given to someone else cannot be hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = ["ProcessHandle"]

KILL_WITHIN = 5.0


class ProcessHandle:
    """Watches the process the service started, and perhaps the session's first process below it.

    Args:
        process: What was started; the guard waits for it, nobody else may.

    Attributes:
        exited: Set when it has ended.
        on_exit: Called once when it has ended.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.on_exit: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._outer = _open_pidfd(process)
        self._inner: int | None = None
        self.exited = asyncio.Event()
        self._loop.add_reader(self._outer, self._handle_exit)

    @property
    def pid(self) -> int:
        """The process the service started."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended; None while it lives."""
        return self._process.returncode

    def set_first_process(self, pid: int) -> None:
        """Name the session's first process, whose end ends the whole session.

        Raises:
            SandboxError: It is gone already.
        """
        try:
            self._inner = os.pidfd_open(pid)
        except OSError as error:
            raise SandboxError(f"a session ended at once: {error.strerror}") from error

    def signal(self, number: int) -> None:
        """Signal the session's first process if it is still there."""
        target = self._outer if self._inner is None else self._inner
        if not self.exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(target, number)

    def request_end(self) -> None:
        """Make sure that the session ends soon; its channel must be closed already."""
        # Without a first process to kill, the agent ends the session when it sees its channel
        # closed. That is so where there is no pid namespace, and during a start: bubblewrap must
        # not be killed before its child has asked to die with it.
        self.signal(signal.SIGCONT if self._inner is None else signal.SIGKILL)

    async def kill(self) -> None:
        """End the session and wait until it is gone; its channel must be closed. Repeatable.

        Raises:
            SandboxError: It is still there after five seconds, which only the kernel can explain.
        """
        self.request_end()
        if not await self._wait_until_exited(KILL_WITHIN) and not self.exited.is_set():
            self._kill_with_children()
            if not await self._wait_until_exited(KILL_WITHIN):
                raise SandboxError(f"process {self.pid} of a session does not end")

    def _kill_with_children(self) -> None:
        """Kill the started process and its children, stopped first so that it makes no more."""
        signal.pidfd_send_signal(self._outer, signal.SIGSTOP)
        with contextlib.suppress(OSError):  # a kernel that does not list them
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        signal.pidfd_send_signal(self._outer, signal.SIGKILL)

    async def _wait_until_exited(self, within: float) -> bool:
        try:
            await asyncio.wait_for(self.exited.wait(), within)
        except asyncio.TimeoutError:
            return False
        return True

    def _handle_exit(self) -> None:
        self._loop.remove_reader(self._outer)
        self._process.wait()
        os.close(self._outer)
        if self._inner is not None:
            os.close(self._inner)
        self.exited.set()
        self.on_exit()


def _open_pidfd(process: subprocess.Popen[bytes]) -> int:
    """Open a handle on a started process, or end it when that cannot be done."""
    try:
        return os.pidfd_open(process.pid)
    except OSError as error:
        process.kill()
        process.wait()
        raise SandboxError(f"a started process cannot be watched: {error.strerror}") from error
