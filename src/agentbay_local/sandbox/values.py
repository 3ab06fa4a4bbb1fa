"""Values that describe a sandbox: its specification, limits, files and consumption."""

from __future__ import annotations

from enum import Enum
from pathlib import Path  # noqa: TC003 - attrs resolves it at run time
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import attrs

from agentbay_async.models.local import Limits
from agentbay_local.sandbox.outbound import NO_HOSTS, AllowedHosts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HOME",
    "OUTPUT_LIMIT",
    "Consumption",
    "Entry",
    "Isolation",
    "Limits",
    "Mark",
    "OpenMode",
    "Preload",
    "Python",
    "RunningProcess",
    "SandboxSpec",
]

HOME = "/home/wuying"
"""The home directory of the session's user; relative paths start here."""

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes kept of each output stream of a command, by default."""

OpenMode = Literal["r", "w", "a", "r+"]


class Isolation(str, Enum):
    """The level at which a session is isolated from the host and from other sessions."""

    NAMESPACES = "namespaces"
    """Own process, mount, network, ipc, uts, cgroup and user namespaces."""

    LANDLOCK = "landlock"
    """The namespaces of the host, restricted by Landlock and a filter of system calls."""

    NONE = "none"
    """Plain processes in a private directory. Not isolated at all."""


@attrs.frozen
class Python:
    """The Python of a session: an interpreter and packages of the host.

    The paths are those of `SandboxSpec.read_only`, or below /usr.

    Attributes:
        program: The executable.
        version: Its version, such as "3.11".
        packages: Directories of packages, in the order of their search.
        library: The shared library of the interpreter, if it would not find that itself.
    """

    program: str
    version: str
    packages: tuple[str, ...] = ()
    library: str | None = None


@attrs.frozen
class Preload:
    """A program of a session's Python, which may be loaded once for many sandboxes.

    Attributes:
        python: The Python.
        options: Its options.
        script: The file of the program, by its path inside. It defines `preload`, which loads what
            the program needs later, and `main`, which runs it.
    """

    python: Python
    options: tuple[str, ...]
    script: str

    LOAD: ClassVar[str] = (
        # Looking for garbage while modules are loaded takes a fifth of the time. The program is not
        # `__main__`, which is the module of the user's code, and nobody can import it.
        "import gc, sys, types; gc.disable(); program = types.ModuleType('program'); "
        "exec(compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec'), vars(program))"
    )
    """Source that loads the script that is the first argument, as `program`."""

    @property
    def command(self) -> list[str]:
        """The command that starts the program."""
        return ["python3", *self.options, "-c", f"{self.LOAD}; program.main()", self.script]


@attrs.frozen
class SandboxSpec:
    """The specification of a sandbox.

    Attributes:
        root: The host directory that is the session's "/". It is created when missing.
        uid: The private user id the session runs under when the service is root; see
            `agentbay_local.sandbox.host.uids.private_uid`. None when the service is an
            ordinary user.
        limits: Resource limits.
        hostname: The host name seen inside.
        outbound: The hosts that the session may reach, through a proxy that its programs find in
            their environment. Everything else stays closed. Only `Isolation.NAMESPACES` can
            enforce it.
        read_only: Directories of the host that the session may read, by their absolute path
            inside. The session's private user can read them even below a directory that only root
            may enter. `Sandbox.read_only` has the paths that the session sees: without namespaces
            a directory stays at its own path, or is mounted elsewhere for a private user.
        python: The Python that the session's programs find as `python` and `python3`, in a virtual
            environment of the session; packages that the session installs go there. None leaves
            them the system's.
        preload: A program that is often spawned. A backend can fork it from a process that has
            loaded it, instead of starting it, if it is the same for the session.
        layers: Directories whose ``usr``, ``etc``, ``opt`` and ``var`` the session sees over the
            system of the host, the lowest first. It cannot write to them. Only
            `Isolation.NAMESPACES` has them.
    """

    root: Path
    uid: int | None = None
    limits: Limits = attrs.field(factory=Limits)
    hostname: str = "agentbay"
    outbound: AllowedHosts = NO_HOSTS
    read_only: Mapping[str, Path] = MappingProxyType({})
    python: Python | None = None
    preload: Preload | None = None
    layers: tuple[Path, ...] = ()


@attrs.frozen
class Entry:
    """A file or directory as the session sees it.

    `is_dir`, `is_file`, `size`, `mode` and the times describe the target of a link, so a link to a
    directory is a directory. A dangling link describes itself and is neither.

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
    """The properties of a file or directory that change when it is written to.

    Attributes:
        is_dir: It is a directory.
        size: Bytes.
        modified: Nanoseconds since the epoch.
        inode: Its inode number.
    """

    is_dir: bool
    size: int
    modified: int
    inode: int


@attrs.frozen
class RunningProcess:
    """A process of a session, as its page shows it.

    Attributes:
        pid: Its process id inside the session.
        command: The beginning of its command line, or its name; the session may say anything here.
        threads: The number of its threads.
        memory_bytes: Its resident memory; shared memory counts for each process.
        cpu_seconds: Its processor time, with that of the children it has waited for.
    """

    pid: int
    command: str
    threads: int
    memory_bytes: int
    cpu_seconds: float


@attrs.frozen
class Consumption:
    """The resources that a session takes.

    Attributes:
        memory_bytes: Memory of all its processes, with shared memory and memory files, each counted
            once.
        memory_most: Its limit of memory, or the memory of the machine if that is less.
        disk_bytes: Disk space of its files, also of deleted ones that are still open.
        disk_most: Its limit of disk space, or the space on the disk if that is less.
        cpu_seconds: Processor time of its processes since it started, without those that ended
            and were never waited for.
        received_bytes: Bytes received over its network, without its loopback.
        sent_bytes: Bytes sent over its network, without its loopback.
        files: Its files, directories and links.
        files_most: Its limit of files, or the number that the disk can hold if that is less.
        enforced: The limits of the whole session that the kernel enforces: "memory", "pids" and
            "cpu". Others are checked from outside.
    """

    memory_bytes: int
    memory_most: int
    disk_bytes: int
    disk_most: int
    cpu_seconds: float
    received_bytes: int
    sent_bytes: int
    files: int = 0
    files_most: int = 0
    enforced: frozenset[str] = frozenset()
