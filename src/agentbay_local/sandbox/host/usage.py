"""Measure the resources that a session takes: files, memory, processor time and traffic.

The session may nest its directories to any depth, take its own permission to read them, and change
them during the walk.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host import process_tree
from agentbay_local.sandbox.host.open_files import find_open_files
from agentbay_local.sandbox.values import HOME, Consumption, RunningProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agentbay_local.sandbox.cgroups.cgroup import Cgroup
    from agentbay_local.sandbox.host.open_files import OpenFiles
    from agentbay_local.sandbox.host.process_tree import Process, Tree
    from agentbay_local.sandbox.values import Limits, SandboxSpec

__all__ = [
    "DiskUsage",
    "HeldMemory",
    "deleted_files",
    "describe_processes",
    "free_space",
    "held_memory",
    "measure_consumption",
    "memory_in_use",
    "used_space",
]


ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OWNER_MAY_READ = 0o500
BLOCK = 512
UNLIMITED = 2**63

COMMAND_SHOWN = 300

INODE_BYTES = 1024
"""Memory of the kernel for each file in /dev/shm, of any size."""

FREE_SOCKETS = 500
SOCKET_BYTES = 212_992
"""Sockets beyond the first ones count with the usual size of a full buffer: what is in it cannot be
seen from outside."""


@attrs.frozen
class DiskUsage:
    """An amount of disk space and a number of files, links and directories.

    Attributes:
        bytes: Disk space.
        files: Names; a file with two names counts twice, because each takes space.
    """

    bytes: int = UNLIMITED
    files: int = UNLIMITED

    @classmethod
    def most(cls, limits: Limits) -> DiskUsage:
        """Return the limits of a session."""
        return cls(limits.disk_bytes or UNLIMITED, limits.files or UNLIMITED)

    def is_unlimited(self) -> bool:
        """Return whether nothing exceeds this."""
        return self.bytes == self.files == UNLIMITED

    def exceeds(self, most: DiskUsage) -> bool:
        """Return whether this is more in one respect."""
        return self.bytes > most.bytes or self.files > most.files

    def plus(self, other: DiskUsage) -> DiskUsage:
        """Return the sum."""
        return DiskUsage(self.bytes + other.bytes, self.files + other.files)

    def least(self, other: DiskUsage) -> DiskUsage:
        """Return the lesser number in each respect."""
        return DiskUsage(min(self.bytes, other.bytes), min(self.files, other.files))

    def largest(self, other: DiskUsage) -> DiskUsage:
        """Return the larger number in each respect."""
        return DiskUsage(max(self.bytes, other.bytes), max(self.files, other.files))


def free_space(root: Path) -> DiskUsage:
    """Return what is free on the disk that holds a directory, by one cheap call."""
    facts = os.statvfs(root)
    return DiskUsage(facts.f_bavail * facts.f_frsize, facts.f_ffree)


def used_space(root: Path, enough: DiskUsage | None, stop: Callable[[], bool]) -> DiskUsage:
    """Return the disk space of everything below a directory, each file counted once.

    Args:
        root: The directory; other file systems below it are left out.
        enough: Stop when this is exceeded; None counts all.
        stop: Called before each file; counting stops when it returns True.
    """
    return _DiskWalk(enough or DiskUsage(), stop).total(root)


def deleted_files(tree: Tree, root: Path, stop: Callable[[], bool]) -> DiskUsage:
    """Return the disk space of deleted files that the session's processes hold open."""
    device = os.stat(root).st_dev
    sizes = find_open_files(_all_pids(tree), stop).sizes
    held = [size for (where, _), size in sizes.items() if where == device]
    return DiskUsage(sum(held), len(held))


def _all_pids(tree: Tree) -> list[int]:
    return [tree.agent, *(member.pid for member in tree.list_descendants())]


@attrs.frozen
class _Level:
    """A directory that the walk is in.

    Attributes:
        inode: Its inode.
        inner: The names of its directories that are still to be visited.
        mode: The mode to restore when the walk leaves it; None if it was not changed.
    """

    inode: int
    inner: list[str]
    mode: int | None


class _DiskWalk:
    """Add up disk space with one open descriptor at any depth of directories."""

    def __init__(self, enough: DiskUsage, stop: Callable[[], bool]) -> None:
        self._enough = enough
        self._stop = stop
        self._device = 0
        self._seen: set[int] = set()
        self._used = 0
        self._files = 0

    def total(self, root: Path) -> DiskUsage:
        directory, mode = _open_directory(str(root), None)
        self._device = os.fstat(directory).st_dev
        levels = [self._enter(directory, mode)]
        try:
            while levels and not self._over():
                directory = self._step(directory, levels)
            while levels:
                directory = self._up(directory, levels)
        finally:
            os.close(directory)
        return DiskUsage(self._used, self._files)

    def _over(self) -> bool:
        used = self._used > self._enough.bytes or self._files > self._enough.files
        return used or self._stop()

    def _step(self, directory: int, levels: list[_Level]) -> int:
        """Go down into the next directory, or up; return its descriptor."""
        if levels[-1].inner:
            return self._down(directory, levels)
        return self._up(directory, levels)

    def _up(self, directory: int, levels: list[_Level]) -> int:
        left = levels.pop()
        if not levels:
            _restore_mode(directory, left.mode)
            return directory
        try:
            outer, mode = _open_directory("..", directory)
        except OSError:  # the session has taken the permission away; the next measurement counts it
            levels.clear()
            return directory
        _restore_mode(directory, left.mode)
        os.close(directory)
        if mode is not None:
            levels[-1] = attrs.evolve(levels[-1], mode=mode)
        if os.fstat(outer).st_ino != levels[-1].inode:
            levels.clear()  # moved during the walk; the next measurement counts it
        return outer

    def _down(self, directory: int, levels: list[_Level]) -> int:
        try:
            inner, mode = _open_directory(levels[-1].inner.pop(), directory)
        except OSError:  # removed during the walk
            return directory
        os.close(directory)
        levels.append(self._enter(inner, mode))
        return inner

    def _enter(self, directory: int, mode: int | None) -> _Level:
        return _Level(os.fstat(directory).st_ino, self._count_entries(directory), mode)

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
        self._files += 1
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
            if facts.st_ino in self._seen:
                return
            self._seen.add(facts.st_ino)
        self._used += facts.st_blocks * BLOCK


def _open_directory(name: str, parent: int | None) -> tuple[int, int | None]:
    """Open a directory to list it, also one whose owner has no permission to read or enter it.

    A service that is an ordinary user has the user id of its sessions, so it needs that permission.
    It takes it until the walk has left the directory, because the files in it, and the way up, need
    it too.

    Returns:
        The descriptor, and the mode to restore; None if it was not changed.
    """
    try:
        directory = os.open(name, ENTER, dir_fd=parent)
    except PermissionError:
        directory = os.open(name, os.O_PATH | ENTER, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        if mode & OWNER_MAY_READ == OWNER_MAY_READ or os.geteuid() == 0:
            return os.dup(directory), None
        # By its path, because a descriptor that only names it cannot be used to change it.
        os.chmod(f"/proc/self/fd/{directory}", mode | OWNER_MAY_READ)
        return os.open(".", ENTER, dir_fd=directory), mode
    finally:
        os.close(directory)


def _restore_mode(directory: int, mode: int | None) -> None:
    """Restore the mode of a directory, unless the session has changed it meanwhile."""
    if mode is None:
        return
    if stat.S_IMODE(os.fstat(directory).st_mode) == mode | OWNER_MAY_READ:
        os.fchmod(directory, mode)


@attrs.frozen
class HeldMemory:
    """Memory that a session holds and that is no process's own.

    Attributes:
        files: Bytes of memory files, of /dev/shm and of shared memory.
        sockets: Bytes of the buffers of sockets, estimated.
        by_pid: Bytes of `files` that a process holds.
    """

    files: int
    sockets: int
    by_pid: Mapping[int, int]

    @property
    def total(self) -> int:
        """All bytes."""
        return self.files + self.sockets


def held_memory(tree: Tree, members: Sequence[Process], stop: Callable[[], bool]) -> HeldMemory:
    """Measure the memory of a session that is in no process; for machines without control groups.

    Args:
        tree: The processes of the session.
        members: Those below its agent.
        stop: Says whether to stop and return what was found until then.
    """
    found = find_open_files([tree.agent, *(one.pid for one in members)], stop, mappings=True)
    device, in_shm = _shared_memory(tree.agent)
    disks = {device, *_disk_devices(tree.agent)}
    sizes = {one: size for one, size in found.sizes.items() if one[0] not in disks}
    by_pid: dict[int, int] = {}
    for inode, size in (*sizes.items(), *found.mapped.items()):
        by_pid[found.holders[inode]] = by_pid.get(found.holders[inode], 0) + size
    return HeldMemory(in_shm + sum(by_pid.values()), _socket_buffers(found), by_pid)


def memory_in_use(members: Sequence[Process], held: HeldMemory) -> int:
    """Return the memory of a session.

    Memory files that are mapped belong to processes as well; nothing says which these are. So the
    larger number counts, which is at least half of the truth.
    """
    plain, mapped = process_tree.proportional_memory(members)
    return plain + max(mapped, held.files) + held.sockets


def _shared_memory(agent: int) -> tuple[int, int]:
    """Return the device of the session's own /dev/shm, and the memory that its files take."""
    with contextlib.suppress(OSError):
        place = f"/proc/{agent}/root/dev/shm"
        device = os.stat(place).st_dev
        if device != os.stat("/dev/shm").st_dev:  # noqa: S108 - the host's, which does not count
            facts = os.statvfs(place)
            blocks = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
            return device, blocks + (facts.f_files - facts.f_ffree) * INODE_BYTES
    return -1, 0


def _disk_devices(agent: int) -> Iterator[int]:
    """Yield the devices whose deleted files are on a disk, and not in memory."""
    for path in (f"/proc/{agent}/root", f"/proc/{agent}/root{HOME}", "/", "/usr"):
        with contextlib.suppress(OSError):
            yield os.stat(path).st_dev


def _socket_buffers(found: OpenFiles) -> int:
    return max(len(found.sockets) - FREE_SOCKETS, 0) * SOCKET_BYTES


TICKS = os.sysconf("SC_CLK_TCK")


def measure_consumption(
    tree: Tree, spec: SandboxSpec, cgroup: Cgroup, stop: Callable[[], bool]
) -> Consumption:
    """Measure what a session takes now.

    Args:
        tree: The processes of the session.
        spec: The session's directory and limits.
        cgroup: The control group of the session.
        stop: Called before each file; counting files stops when it returns True.

    Raises:
        OSError: The session has ended.
    """
    members, limits = tree.list_descendants(), spec.limits
    disk = used_space(spec.root, None, stop).plus(deleted_files(tree, spec.root, stop))
    machine = os.sysconf("SC_PHYS_PAGES") * process_tree.PAGE
    free = free_space(spec.root)
    received, sent = _traffic(tree.agent)
    memory = cgroup.memory_bytes()
    if memory is None:
        memory = memory_in_use(members, held_memory(tree, members, stop))
    return Consumption(
        memory_bytes=memory,
        memory_most=min(machine, limits.memory_bytes or machine),
        disk_bytes=disk.bytes,
        disk_most=min(disk.bytes + free.bytes, limits.disk_bytes or UNLIMITED),
        files=disk.files,
        files_most=min(disk.files + free.files, limits.files or UNLIMITED),
        cpu_seconds=sum(_processor_time(pid) for pid in _all_pids(tree)),
        received_bytes=received,
        sent_bytes=sent,
        enforced=cgroup.enforces,
    )


def describe_processes(tree: Tree) -> list[RunningProcess]:
    """Return the processes of a session as a person wants to see them, the oldest first."""
    return [
        RunningProcess(
            _pid_inside(member.pid),
            _command_line(member.pid),
            member.tasks,
            member.memory,
            _processor_time(member.pid),
        )
        for member in sorted(tree.list_descendants(), key=lambda member: member.start)
    ]


def _pid_inside(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):  # the process has ended
        for line in process_tree.read_proc_file(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return pid


def _command_line(pid: int) -> str:
    """Return the beginning of a command line; a process can write its own to any length."""
    for name in ("cmdline", "comm"):  # a zombie has no command line
        with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
            if words := file.read(COMMAND_SHOWN).replace(b"\0", b" ").strip():
                return words.decode(errors="replace")
    return ""


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
