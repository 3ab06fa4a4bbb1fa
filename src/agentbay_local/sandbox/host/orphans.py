"""Records of running sandboxes, to kill at the next start those that outlived a killed service.

Normally there are none, because the kernel ends a sandbox with its service; this is a second safety
net. A process id alone could belong to another process by then, so a record has the boot and the
start time as well.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
from pathlib import Path

import attrs

__all__ = ["Orphans", "Record", "has_ended"]

END_WITHIN_MS = 5000


@attrs.frozen
class Record:
    """A process, identified so that it cannot be mistaken for a later one.

    Attributes:
        boot: Id of the boot of the machine.
        pid: Its process id.
        start: Its start, in clock ticks since the boot.
    """

    boot: str
    pid: int
    start: int

    @property
    def name(self) -> str:
        """The file name of the record."""
        return f"{self.boot}.{self.pid}.{self.start}"

    @classmethod
    def of(cls, pid: int) -> Record:
        """Describe a live process.

        Raises:
            OSError: No such process.
        """
        boot = _read_boot_id()
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return cls(boot, pid, int(fields[19]))


class Orphans:
    """The records of a service, as empty files in a directory.

    Args:
        directory: Created when missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     Orphans(Path(directory)).sweep()
        0
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, pid: int) -> Record:
        """Record a running process."""
        record = Record.of(pid)
        (self._directory / record.name).touch(mode=0o600)
        return record

    def discard(self, record: Record) -> None:
        """Remove a record. Repeatable."""
        (self._directory / record.name).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Kill every recorded process that still runs, and remove all records; call it first.

        Returns:
            The number of processes killed.
        """
        ended = 0
        for path in self._directory.iterdir():
            boot, pid, start = path.name.rsplit(".", 2)
            ended += _kill(Record(boot, int(pid), int(start)))
            path.unlink(missing_ok=True)
        return ended


@functools.cache
def _read_boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _kill(record: Record) -> bool:
    """Kill a process if it is the recorded one, and wait for its end."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        handle = os.pidfd_open(record.pid)
        try:
            # Compared after opening: from here on the handle refers to this process and no other.
            if Record.of(record.pid) == record and not has_ended(handle, 0):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return has_ended(handle, END_WITHIN_MS)
        finally:
            os.close(handle)
    return False


def has_ended(handle: int, within_ms: int) -> bool:
    """Wait for the end of the process of a pidfd; a zombie has ended too."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(within_ms))
