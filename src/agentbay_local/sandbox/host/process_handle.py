"""A handle on the processes of a sandbox: signal them, kill them, notice their end.

Processes are signalled by pidfd and not by number: a pidfd refers to one process for ever, while
the system gives the number of an ended process to another one.
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
    """The process that was started for a session, and the session's first process, if another.

    Args:
        pid: The id of the started process.
        pidfd: A descriptor of it, which this object closes.
        wait: Returns its exit status when it has ended; None where another process is its parent.

    Attributes:
        pid: The id of the started process.
        exit_status: Its exit status; None while it runs, and if only another process gets it.
        exited: Set when the started process has ended.
        on_exit: Called once at that time.
    """

    def __init__(self, pid: int, pidfd: int, wait: Callable[[], int] | None = None) -> None:
        self.pid = pid
        self.exit_status: int | None = None
        self.on_exit: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._outer = pidfd
        self._wait = wait
        self._inner: int | None = None
        self.exited = asyncio.Event()
        self._loop.add_reader(self._outer, self._handle_exit)

    @classmethod
    def of_started(cls, process: subprocess.Popen[bytes]) -> ProcessHandle:
        """Return a handle on a process that this service started; nobody else may wait for it."""
        return cls(process.pid, _open_pidfd(process), process.wait)

    @classmethod
    def of_first(cls, pidfd: int) -> ProcessHandle:
        """Return a handle on the first process of a session, which another process has started.

        Args:
            pidfd: A descriptor of it; this method takes it over.

        Raises:
            SandboxError: It has ended already.
        """
        pid = _pid_of(pidfd)
        if pid is None:
            os.close(pidfd)
            raise SandboxError("the sandbox did not start: its first process has ended")
        handle = cls(pid, pidfd)
        handle._inner = pidfd
        return handle

    def set_first_process(self, pid: int) -> None:
        """Set the session's first process, whose end ends the whole session.

        Raises:
            SandboxError: It has ended already.
        """
        try:
            self._inner = os.pidfd_open(pid)
        except OSError as error:
            raise SandboxError(f"the sandbox did not start: {error.strerror}") from error

    def signal(self, number: int) -> None:
        """Signal the session's first process; do nothing if it has ended."""
        target = self._outer if self._inner is None else self._inner
        if not self.exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(target, number)

    def request_end(self) -> None:
        """End the session without waiting for it; its channel must be closed already."""
        # Without a first process to kill, the agent ends the session when it finds its channel
        # closed, unless it is stopped. That is the case where there is no pid namespace, and during
        # a start: killing bubblewrap alone would leave a child that has not asked to die with it.
        self.signal(signal.SIGCONT if self._inner is None else signal.SIGKILL)

    async def kill(self) -> None:
        """End the session and wait for its end; its channel must be closed. Repeatable.

        Raises:
            SandboxError: It still runs after all that, because the kernel holds a process.
        """
        self.request_end()
        if not await self._wait_until_exited(KILL_WITHIN) and not self.exited.is_set():
            self._kill_with_children()
            if not await self._wait_until_exited(KILL_WITHIN):
                raise SandboxError(f"process {self.pid} of a session cannot be killed")

    def _kill_with_children(self) -> None:
        """Kill the started process and its children; stop it first, so that it cannot fork."""
        signal.pidfd_send_signal(self._outer, signal.SIGSTOP)
        with contextlib.suppress(OSError):  # the kernel was built without this file
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
        if self._wait is not None:
            self.exit_status = self._wait()
        os.close(self._outer)
        if self._inner is not None and self._inner != self._outer:
            os.close(self._inner)
        self.exited.set()
        self.on_exit()


def _pid_of(pidfd: int) -> int | None:
    """Return the id of the process of a pidfd; None if it has ended and is waited for."""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as lines:
        pid = next(int(line.split()[1]) for line in lines if line.startswith(b"Pid:"))
    return pid if pid > 0 else None


def _open_pidfd(process: subprocess.Popen[bytes]) -> int:
    """Open a pidfd for a started process; kill the process if that fails."""
    try:
        return os.pidfd_open(process.pid)
    except OSError as error:
        process.kill()
        process.wait()
        raise SandboxError(f"a started process cannot be watched: {error.strerror}") from error
