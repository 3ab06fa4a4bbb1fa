"""Find what a session holds without a name: deleted files, memory files and sockets.

They have no path, so they are found through the descriptors and mappings of the processes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.process_tree import read_proc_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["OpenFiles", "find_open_files"]

BLOCK = 512
SHARED_MEMORY = (b"/dev/zero (deleted)", b"/memfd:", b"/SYSV")
"""The beginnings of the names of memory that several processes may share."""

Inode = tuple[int, int]


@attrs.define
class OpenFiles:
    """Files without a name that processes hold, each counted once.

    Attributes:
        sizes: Bytes of each deleted file and memory file, by device and inode.
        mapped: Bytes of memory that is mapped and has no descriptor. Only its length can be seen.
        holders: The process that was found first to hold each of them.
        sockets: The inodes of sockets.
    """

    sizes: dict[Inode, int] = attrs.field(factory=dict)
    mapped: dict[Inode, int] = attrs.field(factory=dict)
    holders: dict[Inode, int] = attrs.field(factory=dict)
    sockets: set[int] = attrs.field(factory=set)


def find_open_files(
    pids: Iterable[int], stop: Callable[[], bool], mappings: bool = False
) -> OpenFiles:
    """Look at every descriptor of some processes, and at their mappings if asked to.

    Args:
        pids: The processes; those that have ended are left out.
        stop: Called before each process and each thousand descriptors; True ends the search.
        mappings: Look for shared memory without a descriptor, too.
    """
    found = OpenFiles()
    for pid in pids:
        if stop():
            break
        with contextlib.suppress(OSError):
            _add_descriptors(found, pid, stop)
        if mappings:
            with contextlib.suppress(OSError):
                _add_mappings(found, pid)
    for inode in found.sizes:
        found.mapped.pop(inode, None)
    return found


def _add_descriptors(found: OpenFiles, pid: int, stop: Callable[[], bool]) -> None:
    place = f"/proc/{pid}/fd"
    for number, name in enumerate(os.listdir(place)):
        if number % 1000 == 999 and stop():
            break
        with contextlib.suppress(OSError):
            facts = os.stat(f"{place}/{name}")
            if stat.S_ISSOCK(facts.st_mode):
                found.sockets.add(facts.st_ino)
            elif stat.S_ISREG(facts.st_mode) and not facts.st_nlink:
                inode = (facts.st_dev, facts.st_ino)
                found.sizes[inode] = facts.st_blocks * BLOCK
                found.holders.setdefault(inode, pid)


def _add_mappings(found: OpenFiles, pid: int) -> None:
    for line in read_proc_file(f"/proc/{pid}/maps").splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[1][3:] == b"s" and fields[5].startswith(SHARED_MEMORY):
            begin, end = (int(part, 16) for part in fields[0].split(b"-"))
            major, minor = (int(part, 16) for part in fields[3].split(b":"))
            inode = (os.makedev(major, minor), int(fields[4]))
            size = end - begin + int(fields[2], 16)
            found.mapped[inode] = max(found.mapped.get(inode, 0), size)
            found.holders.setdefault(inode, pid)
