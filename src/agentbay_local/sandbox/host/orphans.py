"""Sessions that outlived a killed service: written down while they live, ended at the next start.

Normally nothing is left: the kernel ends a sandbox with its service. This is the net below. A pid
alone could belong to someone else by now, so a record holds the boot and the start time too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path

import attrs

__all__ = ["Orphans", "Record"]

END_WITHIN_MS = 5000


@attrs.frozen
class Record:
    """One process, named so that it cannot be mistaken for a later one.

    Attributes:
        boot: Id of the boot it runs in.
        pid: Its number.
        start: When it started, in clock ticks since the boot.
    """

    boot: str
    pid: int
    start: int

    @property
    def name(self) -> str:
        """The record as a file name."""
        return f"{self.boot}.{self.pid}.{self.start}"

    @classmethod
    def of(cls, pid: int) -> Record:
        """Describe a live process.

        Raises:
            OSError: There is no such process.
        """
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return cls(boot, pid, int(fields[19]))


class Orphans:
    """The live processes of a service, as empty files in a directory of its own.

    Args:
        directory: Created when missing.

    Example:
        >>> import tempfile
        >>> Orphans(Path(tempfile.mkdtemp())).sweep()
        0
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, pid: int) -> Record:
        """Write a live process down."""
        record = Record.of(pid)
        (self._directory / record.name).touch(mode=0o600)
        return record

    def discard(self, record: Record) -> None:
        """Strike a process out. Repeatable."""
        (self._directory / record.name).unlink(missing_ok=True)

    def sweep(self) -> int:
        """End every recorded process that still lives, and strike all out; call before any `add`.

        Returns:
            How many were still alive.
        """
        ended = 0
        for path in self._directory.iterdir():
            boot, pid, start = path.name.rsplit(".", 2)
            ended += _kill(Record(boot, int(pid), int(start)))
            path.unlink(missing_ok=True)
        return ended


def _kill(record: Record) -> bool:
    """Kill a process if it is the recorded one, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        handle = os.pidfd_open(record.pid)
        try:
            # Compared after opening: from here on the handle means this process and no other.
            if Record.of(record.pid) == record and not _has_ended(handle, 0):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return _has_ended(handle, END_WITHIN_MS)
        finally:
            os.close(handle)
    return False


def _has_ended(handle: int, within_ms: int) -> bool:
    """Wait for the end of a process; one that nobody has collected yet has ended too."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(within_ms))
