"""The control group of one session."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.values import Limits

__all__ = [
    "CONTROLLERS",
    "Cgroup",
    "Events",
    "make_directory",
    "read_file",
    "read_numbers",
    "remove_group",
    "write_file",
]

CONTROLLERS = ("memory", "pids", "cpu")
PERIOD = 100_000
"""Microseconds over which the processor time of a session is limited; the kernel's default."""

REMOVE_WITHIN = 5.0


@attrs.frozen
class Events:
    """What the limits of a group have stopped since it was made.

    Attributes:
        oom_kills: Processes that the kernel killed because the memory was exhausted.
        refused_forks: Processes and threads that were not started, because there were too many.
        throttled: Periods in which the processes had to wait for processor time.
    """

    oom_kills: int = 0
    refused_forks: int = 0
    throttled: int = 0


class Cgroup:
    """A control group. Without directories, as here, it is the fallback that enforces nothing.

    Args:
        directories: The directory of the group for each controller that enforces a limit.

    Attributes:
        version: "v1" or "v2"; empty for the fallback.

    Example:
        >>> sorted(Cgroup({}).enforces), Cgroup({}).memory_bytes()
        ([], None)
    """

    version: ClassVar[str] = ""
    # The file of each controller that changes when its limit has stopped something.
    EVENT_FILES: ClassVar[Mapping[str, str]] = {}

    def __init__(self, directories: Mapping[str, Path]) -> None:
        self._directories = dict(directories)
        self._event_files = [
            directories[controller] / name
            for controller, name in self.EVENT_FILES.items()
            if controller in directories
        ]
        self._seen: list[str] = []

    @property
    def enforces(self) -> frozenset[str]:
        """The controllers, of `CONTROLLERS`, that enforce the limits of this group."""
        return frozenset(self._directories)

    @property
    def join_files(self) -> list[Path]:
        """The files to which a process with one thread writes "0" to move itself into the group.

        Empty if that takes as long as `add`, for which the kernel waits until no process of the
        machine starts or ends another.
        """
        return []

    def make(self, limits: Limits) -> None:
        """Make the group on the machine.

        Raises:
            OSError: The kernel refuses; nothing is left then.
        """
        try:
            for directory in self._paths():
                make_directory(directory)
            self._set_limits(limits)
            self.has_new_events()  # there are none, which spares the first command a look
        except BaseException:
            self.remove()
            raise

    def add(self, pid: int) -> None:
        """Move a process into the group; what it starts from now on belongs to the group too.

        Raises:
            OSError: It has ended.
        """
        for directory in self._paths():
            write_file(directory / "cgroup.procs", str(pid))

    def remove(self) -> None:
        """Kill the processes that are left, and remove the group. Blocking; repeatable.

        Raises:
            OSError: A process cannot be killed.
        """
        for directory in self._paths():
            remove_group(directory)

    def has_new_events(self) -> bool:
        """Say whether `events` may return more than at the last call of this function.

        After most commands it does not. To compare the files is cheaper than to parse them.
        """
        seen, self._seen = self._seen, [read_file(path) for path in self._event_files]
        return seen != self._seen

    def events(self) -> Events:
        """Return what the limits have stopped; nothing if the group has been removed."""
        return Events()

    def memory_bytes(self) -> int | None:
        """Return the memory in use, without the cache of files that the kernel can drop.

        None means that the group does not count memory, or has been removed.
        """
        return None

    def uncounted_socket_bytes(self) -> int:
        """Return the memory of TCP sockets that the limit of memory does not count."""
        return 0

    def _set_limits(self, limits: Limits) -> None:
        """Write the limits to the files of the group."""

    def _paths(self) -> list[Path]:
        # Version 2 has one directory for all controllers.
        return list(dict.fromkeys(self._directories.values()))


def make_directory(path: Path) -> None:
    """Make the directory of a group; the kernel puts its files into it."""
    path.mkdir(mode=0o755)


def write_file(path: Path, text: str) -> None:
    """Write to a file that the kernel has made."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read_file(path: Path) -> str:
    """Return the content of a file; empty if there is none, or if the group has been removed."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return ""
        raise


def read_numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file whose lines are a name and a number."""
    pairs = (line.split() for line in read_file(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def remove_group(directory: Path) -> None:
    """Kill the processes that are left in a group, and remove it. Blocking; repeatable.

    Raises:
        OSError: A process cannot be killed.
    """
    until = time.monotonic() + REMOVE_WITHIN
    while not _try_remove(directory, last=time.monotonic() > until):
        _kill_members(directory)
        # The kernel tells nobody when a process has left a group of version 1.
        time.sleep(0.002)


def _try_remove(directory: Path, last: bool) -> bool:
    """Remove a group if it has no processes; the last try raises if it has some."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY or last:
            raise
        return False
    return True


def _kill_members(directory: Path) -> None:
    for pid in map(int, read_file(directory / "cgroup.procs").split()):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                # Compared after opening: from here on the handle refers to this process.
                if _is_member(pid, directory.name):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _is_member(pid: int, group: str) -> bool:
    lines = read_file(Path(f"/proc/{pid}/cgroup")).splitlines()
    return any(line.rpartition("/")[2] == group for line in lines)
