"""Measure the resources that a session takes: disk, memory, processor time and traffic.

The session may nest its directories to any depth, and may change them during the walk.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host import process_tree
from agentbay_local.sandbox.values import Consumption

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentbay_local.sandbox.values import SandboxSpec

__all__ = ["free_bytes", "measure_consumption", "used_bytes"]


ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BLOCK = 512


def free_bytes(root: Path) -> int:
    """Return the free bytes of the disk that holds a directory, by one cheap call."""
    facts = os.statvfs(root)
    return facts.f_bavail * facts.f_frsize


def used_bytes(root: Path, enough: int | None, stop: Callable[[], bool]) -> int:
    """Return the disk space of everything below a directory, each file counted once.

    Args:
        root: The directory; other file systems below it are left out.
        enough: Stop after this many bytes; None counts all.
        stop: Called before each file; counting stops when it returns True.
    """
    return _DiskWalk(enough, stop).total(root)


class _DiskWalk:
    """Add up disk space with one open descriptor at any depth of directories."""

    def __init__(self, enough: int | None, stop: Callable[[], bool]) -> None:
        self._enough = enough
        self._stop = stop
        self._device = 0
        self._seen: set[int] = set()
        self._used = 0

    def total(self, root: Path) -> int:
        directory = os.open(root, ENTER)
        facts = os.fstat(directory)
        self._device = facts.st_dev
        # For each level: the inode of the directory, and the names of directories still to be
        # visited.
        levels = [(facts.st_ino, self._count_entries(directory))]
        try:
            while levels and not self._over():
                directory = self._step(directory, levels)
        finally:
            os.close(directory)
        return self._used

    def _over(self) -> bool:
        return (self._enough is not None and self._used > self._enough) or self._stop()

    def _step(self, directory: int, levels: list[tuple[int, list[str]]]) -> int:
        """Go down into the next directory, or up; return its descriptor."""
        if levels[-1][1]:
            return self._down(directory, levels)
        levels.pop()
        if not levels:
            return directory
        outer = os.open("..", ENTER, dir_fd=directory)
        os.close(directory)
        if os.fstat(outer).st_ino != levels[-1][0]:
            levels.clear()  # moved during the walk; the next measurement counts it
        return outer

    def _down(self, directory: int, levels: list[tuple[int, list[str]]]) -> int:
        try:
            inner = os.open(levels[-1][1].pop(), ENTER, dir_fd=directory)
        except OSError:  # removed during the walk, or not readable
            return directory
        os.close(directory)
        levels.append((os.fstat(inner).st_ino, self._count_entries(inner)))
        return inner

    def _count_entries(self, directory: int) -> list[str]:
        """Count the content of a directory; return the names of its directories."""
        inner = []
        with os.scandir(directory) as entries:
            for entry in entries:
                if self._over():
                    break
                with contextlib.suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    if facts.st_dev == self._device:
                        self._add(facts)
                        inner += [entry.name] if stat.S_ISDIR(facts.st_mode) else []
        return inner

    def _add(self, facts: os.stat_result) -> None:
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
            if facts.st_ino in self._seen:
                return
            self._seen.add(facts.st_ino)
        self._used += facts.st_blocks * BLOCK


TICKS = os.sysconf("SC_CLK_TCK")


def measure_consumption(agent: int, spec: SandboxSpec, stop: Callable[[], bool]) -> Consumption:
    """Measure what a session takes now.

    Args:
        agent: The process id of the session's agent on the host.
        spec: The session's directory and limits.
        stop: Called before each file; counting files stops when it returns True.

    Raises:
        OSError: The session has ended.
    """
    members, limits = process_tree.list_descendants(agent), spec.limits
    disk = used_bytes(spec.root, None, stop)
    machine = os.sysconf("SC_PHYS_PAGES") * process_tree.PAGE
    room = disk + free_bytes(spec.root)
    processes = [agent, *(member.pid for member in members)]
    received, sent = _traffic(agent)
    return Consumption(
        memory_bytes=process_tree.proportional_memory(members),
        memory_most=min(machine, limits.memory_bytes or machine),
        disk_bytes=disk,
        disk_most=min(room, limits.disk_bytes or room),
        cpu_seconds=sum(_processor_time(pid) for pid in processes),
        received_bytes=received,
        sent_bytes=sent,
    )


def _processor_time(pid: int) -> float:
    """Return the processor time of a process and of the children it has waited for, in seconds."""
    with contextlib.suppress(OSError, ValueError, IndexError):  # the process has ended
        fields = process_tree.read_proc_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def _traffic(pid: int) -> tuple[int, int]:
    """Return the bytes received and sent over the network of a process, without its loopback."""
    received = sent = 0
    for line in process_tree.read_proc_file(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        fields = numbers.split()
        if name.strip() != b"lo" and len(fields) > 8:
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent
