"""How much disk a session's directory takes, whatever the session has made of it."""

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
    """Return what is free on the disk that holds a directory: one cheap call."""
    facts = os.statvfs(root)
    return facts.f_bavail * facts.f_frsize


def used_bytes(root: Path, enough: int | None, stop: Callable[[], bool]) -> int:
    """Return the disk space of everything below a directory, each file counted once.

    Args:
        root: Where to start; other file systems below it are left out.
        enough: Stop counting beyond so many bytes; None counts them all.
        stop: Asked all the time whether to stop counting where it is.
    """
    return _DiskWalk(enough, stop).of(root)


class _DiskWalk:
    """A walk that holds few descriptors, however deep the directories are nested."""

    def __init__(self, enough: int | None, stop: Callable[[], bool]) -> None:
        self._enough = enough
        self._stop = stop
        self._device = 0
        self._seen: set[int] = set()
        self._used = 0

    def of(self, root: Path) -> int:
        place = os.open(root, ENTER)
        facts = os.fstat(place)
        self._device = facts.st_dev
        # For each level: which directory it is, and which of its directories are still to be seen.
        levels = [(facts.st_ino, self._counted(place))]
        try:
            while levels and not self._over():
                place = self._step(place, levels)
        finally:
            os.close(place)
        return self._used

    def _over(self) -> bool:
        return (self._enough is not None and self._used > self._enough) or self._stop()

    def _step(self, place: int, levels: list[tuple[int, list[str]]]) -> int:
        """Go down into the next directory, or up; return the descriptor of where that led."""
        if levels[-1][1]:
            return self._down(place, levels)
        levels.pop()
        if not levels:
            return place
        outer = os.open("..", ENTER, dir_fd=place)
        os.close(place)
        if os.fstat(outer).st_ino != levels[-1][0]:
            levels.clear()  # moved elsewhere while it was looked at; the next count sees it there
        return outer

    def _down(self, place: int, levels: list[tuple[int, list[str]]]) -> int:
        try:
            inner = os.open(levels[-1][1].pop(), ENTER, dir_fd=place)
        except OSError:  # gone, or closed to us
            return place
        os.close(place)
        levels.append((os.fstat(inner).st_ino, self._counted(inner)))
        return inner

    def _counted(self, place: int) -> list[str]:
        """Add what a directory holds; return the names of its directories."""
        inner = []
        with os.scandir(place) as entries:
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
    """Measure a session.

    Args:
        agent: The session's agent, as the host numbers it.
        spec: Its directory and limits.
        stop: Asked all the time whether to stop counting its files where it is.

    Raises:
        OSError: The session is gone.
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
    """Return the seconds a process and those it has waited for have computed."""
    with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
        fields = process_tree.read_proc_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def _traffic(pid: int) -> tuple[int, int]:
    """Return the bytes that came to and went from a process's network, its loopback left out."""
    received = sent = 0
    for line in process_tree.read_proc_file(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        fields = numbers.split()
        if name.strip() != b"lo" and len(fields) > 8:
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent
