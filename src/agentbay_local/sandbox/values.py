"""The values that describe a session's sandbox and what happened in it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path  # noqa: TC003 - attrs resolves it at run time
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import attrs

from agentbay_local.sandbox.outbound import NO_HOSTS, AllowedHosts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HOME",
    "OUTPUT_LIMIT",
    "CompletedCommand",
    "Consumption",
    "Entry",
    "Isolation",
    "Limits",
    "Mark",
    "OpenMode",
    "SandboxSpec",
]

HOME = "/home/wuying"
"""The home directory of the session's user; relative paths start here."""

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes kept of each output stream of a command unless the caller says otherwise."""

OpenMode = Literal["r", "w", "a", "r+"]


class Isolation(str, Enum):
    """How much a session is kept apart from the host and from other sessions."""

    NAMESPACES = "namespaces"
    """Own process, mount, network, ipc, uts, cgroup and user namespaces."""

    LANDLOCK = "landlock"
    """The host's own namespaces, with the kernel's Landlock and a filter of system calls."""

    NONE = "none"
    """Plain processes in a private directory. Not isolated at all."""


@attrs.frozen
class Limits:
    """Resource limits of a session.

    Those of single processes are the system's and hard. `memory_bytes` and `disk_bytes` are of the
    whole session and watched from outside, some times a second: a session can pass them for a
    moment before processes of it are killed.

    Attributes:
        processes: Processes and threads at once in the whole session. Hard where the session has
            a user namespace or a private user; elsewhere watched.
        open_files: Open files of one process.
        file_bytes: Size of the largest file a process may write, in bytes. None means no limit
            but `disk_bytes`, beyond which no file can grow.
        shared_memory_bytes: Size of /dev/shm, in bytes.
        memory_bytes: Memory of all processes together; the largest is killed beyond it. None
            means no limit.
        disk_bytes: Disk space of the session's files; all its processes are killed when they
            write beyond it. None means no limit.
        cpu_seconds: Processor time of one process; it is killed beyond it. None means no limit.
    """

    processes: int = 256
    open_files: int = 4096
    file_bytes: int | None = None
    shared_memory_bytes: int = 64 * 1024 * 1024
    memory_bytes: int | None = 4 * 1024**3
    disk_bytes: int | None = 10 * 1024**3
    cpu_seconds: int | None = None


@attrs.frozen
class SandboxSpec:
    """What a sandbox is made of.

    Attributes:
        root: The host directory that is the session's "/". It is created when missing.
        uid: The private user id the session runs under when the service is root; see
            `agentbay_local.sandbox.host.uids.private_uid`. None when the service is an
            ordinary user.
        limits: Resource limits.
        hostname: The host name seen inside.
        outbound: Which hosts the session may reach, through a proxy that its programs find in
            their variables. Everything else stays closed. Only levels with a network namespace
            can hold a session to it.
        read_only: Directories of the host that the session may read: where each is seen, as an
            absolute path inside, and which it is. The session's private user can read them even
            below a directory that only root may enter. Levels without namespaces cannot move a
            directory: there it is found at its own path, by whoever may go there.
    """

    root: Path
    uid: int | None = None
    limits: Limits = Limits()
    hostname: str = "agentbay"
    outbound: AllowedHosts = NO_HOSTS
    read_only: Mapping[str, Path] = MappingProxyType({})


@attrs.frozen
class CompletedCommand:
    """A command that has ended.

    Attributes:
        exit_code: What it returned; 128 + n when signal n ended it.
        stdout: What it wrote, up to the output limit.
        stderr: What it wrote to standard error, up to the output limit.
        timed_out: It was killed because its time was over.
        truncated: At least one stream was longer than the limit; the rest was thrown away.
        excess: What limit the session passed while the command ran, and what was done about it,
            as a sentence. Empty when it kept to its limits.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False
    excess: str = ""


@attrs.frozen
class Entry:
    """A file or directory as the session sees it.

    `is_dir`, `is_file`, `size`, `mode` and the times describe what the path leads to, so a link
    to a directory is a directory; a dangling link describes itself and is neither.

    Attributes:
        path: Absolute path inside the session.
        name: Last component; bytes that are not UTF-8 are kept by surrogate escapes.
        size: Bytes.
        mode: Permission bits and file type, as in `os.stat_result.st_mode`.
        modified: Seconds since the epoch.
        accessed: Seconds since the epoch.
        changed: Seconds since the epoch of the last change of the inode.
        is_dir: It leads to a directory.
        is_file: It leads to a regular file.
        is_symlink: The path itself is a symbolic link.
        owner: User name inside the session.
        group: Group name inside the session.
    """

    path: str
    name: str
    size: int
    mode: int
    modified: float
    accessed: float
    changed: float
    is_dir: bool
    is_file: bool
    is_symlink: bool
    owner: str
    group: str


class Mark(NamedTuple):
    """What shows whether a file or directory has changed.

    Attributes:
        is_dir: It is a directory.
        size: Bytes.
        modified: Nanoseconds since the epoch.
        inode: Its number on its file system.
    """

    is_dir: bool
    size: int
    modified: int
    inode: int


@attrs.frozen
class Consumption:
    """What a session takes.

    Attributes:
        memory_bytes: Memory of all its processes, what they share counted once.
        memory_most: What it may have of that: its limit, or what the machine has if that is less.
        disk_bytes: Disk space of its files.
        disk_most: What it may have of that: its limit, or what is there if that is less.
        cpu_seconds: Processor time of its processes since it started; those that ended without
            being waited for are left out.
        received_bytes: What came over its network since that was made, its loopback left out.
        sent_bytes: What went out over it.
    """

    memory_bytes: int
    memory_most: int
    disk_bytes: int
    disk_most: int
    cpu_seconds: float
    received_bytes: int
    sent_bytes: int
