"""List a session's processes from outside, measure their memory, and kill them.

All of them descend from the session's agent, also those whose parents have ended, because the agent
adopts them. Nothing here relies on what the session itself reports.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Process",
    "Tree",
    "has_children",
    "kill",
    "list_descendants",
    "proportional_memory",
    "read_proc_file",
]

PAGE = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class Process:
    """One process of a session.

    Attributes:
        pid: Its process id on the host.
        start: Its start, in clock ticks since the boot; together with the pid it is unique.
        tasks: The number of its threads.
        memory: Its resident bytes; shared memory counts for each process.
    """

    pid: int
    start: int
    tasks: int
    memory: int


class Tree:
    """The processes of one session, as long as its agent is the same process.

    Args:
        agent: The process id of the agent.
    """

    def __init__(self, agent: int) -> None:
        self.agent = agent
        self._start = _start(agent)

    def list_descendants(self) -> list[Process]:
        """Return every process below the agent; none if it has ended."""
        found = list_descendants(self.agent)
        # Compared after listing: the process id was not reused before.
        return found if self.is_alive() else []

    def has_descendants(self) -> bool:
        """Return whether the agent has children, by one cheap look."""
        return has_children(self.agent) and self.is_alive()

    def is_alive(self) -> bool:
        """Return whether the agent still runs."""
        return self._start is not None and _start(self.agent) == self._start


def _start(pid: int) -> int | None:
    try:
        return _describe(pid).start
    except (OSError, ValueError, IndexError):
        return None


def has_children(pid: int) -> bool:
    """Return whether a process has children."""
    return next(_list_children(pid), None) is not None


def list_descendants(ancestor: int) -> list[Process]:
    """Return every process below one."""
    found = []
    waiting = list(_list_children(ancestor))
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
            found.append(_describe(pid))
        waiting += _list_children(pid)
    return found


def proportional_memory(members: Iterable[Process]) -> tuple[int, int]:
    """Return the resident bytes, shared pages counted once; slower than `Process.memory`.

    Returns:
        The bytes without memory files, and those of memory files.
    """
    plain = files = 0
    for member in members:
        whole, shared = _proportional_memory(member)
        plain, files = plain + whole - shared, files + shared
    return plain, files


def kill(members: Iterable[Process]) -> int:
    """Kill these processes and no others; return how many still ran."""
    ended = 0
    for member in members:
        with contextlib.suppress(OSError, ValueError, IndexError):
            handle = os.pidfd_open(member.pid)
            try:
                # Compared after opening: from here on the handle refers to this process.
                if _describe(member.pid).start == member.start:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    ended += 1
            finally:
                os.close(handle)
    return ended


def _list_children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, read_proc_file(f"/proc/{pid}/task/{task}/children").split())


def _describe(pid: int) -> Process:
    fields = read_proc_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return Process(pid, int(fields[19]), int(fields[17]), int(fields[21]) * PAGE)


def _proportional_memory(member: Process) -> tuple[int, int]:
    """Return the resident bytes of a process, and how many of them belong to memory files."""
    sizes = {}
    with contextlib.suppress(OSError):
        for line in read_proc_file(f"/proc/{member.pid}/smaps_rollup").splitlines():
            if line.startswith((b"Pss:", b"Pss_Shmem:")):
                name, size, *_ = line.split()
                sizes[name] = int(size) * 1024
    return sizes.get(b"Pss:", member.memory), sizes.get(b"Pss_Shmem:", 0)


def read_proc_file(path: str) -> bytes:
    """Read a file of /proc, whose length is not known before."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
