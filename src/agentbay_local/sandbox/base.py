"""What a session's sandbox is: the values that describe it and the interface every level offers.

A `Backend` knows one way to isolate (see `Isolation`) and starts sandboxes; a `Sandbox` is one live
session: commands and files, always seen from inside. The rest of the service knows nothing more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from pathlib import Path  # noqa: TC003 - attrs resolves it at run time
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

__all__ = [
    "HOME",
    "OUTPUT_LIMIT",
    "Backend",
    "Completed",
    "Entry",
    "Isolation",
    "Limits",
    "OpenMode",
    "Sandbox",
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

    NONE = "none"
    """Plain processes in a private directory. Not isolated at all."""


@attrs.frozen
class Limits:
    """Resource limits of each process in a session, set inside the session.

    Attributes:
        processes: Processes and threads at once in the whole session.
        open_files: Open files of one process.
        file_bytes: Size of the largest file a process may write, in bytes. None means no limit.
        shared_memory_bytes: Size of /dev/shm, in bytes.
    """

    processes: int = 256
    open_files: int = 4096
    file_bytes: int | None = None
    shared_memory_bytes: int = 64 * 1024 * 1024


@attrs.frozen
class SandboxSpec:
    """What a sandbox is made of.

    Attributes:
        root: The host directory that is the session's "/". It is created when missing.
        uid: The private user id the session runs under when the service is root; see
            `agentbay_local.sandbox.uids.private_uid`. None when the service is an ordinary user.
        limits: Resource limits.
        hostname: The host name seen inside.
    """

    root: Path
    uid: int | None = None
    limits: Limits = Limits()
    hostname: str = "agentbay"


@attrs.frozen
class Completed:
    """A command that has ended.

    Attributes:
        exit_code: What it returned; 128 + n when signal n ended it.
        stdout: What it wrote, up to the output limit.
        stderr: What it wrote to standard error, up to the output limit.
        timed_out: It was killed because its time was over.
        truncated: At least one stream was longer than the limit; the rest was thrown away.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False


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


class Sandbox(ABC):
    """One live session.

    Every path is a path inside the session; a relative one starts at the session's home. All
    methods raise `FileProblem` when the session's system refuses, `SandboxGone` when the sandbox
    is dead, `SandboxPaused` between `pause` and `resume`, `SandboxTimeout` when no answer comes and
    `InvalidRequest` for arguments that can be refused at once.

    Attributes:
        isolation: The level this session really has.
        dead: Set once the sandbox is gone, by `close` or by itself.
    """

    isolation: Isolation
    dead: asyncio.Event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @abstractmethod
    async def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output_limit: int = OUTPUT_LIMIT,
    ) -> Completed:
        """Run a command and wait for it.

        Args:
            command: A line for `/bin/sh -c`, or a program and its arguments.
            timeout: Seconds until its process group is killed; what was written until then is
                returned with `timed_out`. Time spent paused does not count.
            cwd: Working directory; the session's home by default.
            env: Variables added to the session's own.
            stdin: What the command reads.
            output_limit: Bytes kept of each stream.

        Returns:
            The exit code and the output. A background process that holds the streams open does not
            delay the return: it lives on, and what it writes later is thrown away.
        """

    @abstractmethod
    async def stat(self, path: str) -> Entry:
        """Describe one path."""

    @abstractmethod
    async def list(self, path: str) -> Sequence[Entry]:
        """Describe the entries of a directory, sorted by name."""

    @abstractmethod
    async def make_directory(self, path: str) -> None:
        """Create a directory and its parents; an existing directory is fine."""

    @abstractmethod
    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, a link, or an empty directory; with `recursive`, a whole tree."""

    @abstractmethod
    async def move(self, source: str, destination: str) -> None:
        """Rename, also across mount points; an existing destination file is replaced."""

    @abstractmethod
    async def search(self, path: str, pattern: str, excludes: Sequence[str] = ()) -> Sequence[str]:
        """Find what has a name matching `pattern` anywhere below a directory.

        Args:
            path: Where to start.
            pattern: `*` and `?` are wildcards; everything else stands for itself.
            excludes: Patterns of names to leave out, with all that is below them.

        Returns:
            Absolute paths, sorted.
        """

    @abstractmethod
    async def open(self, path: str, mode: OpenMode = "r") -> int:
        """Open a regular file and return a file descriptor that the caller closes.

        `w` truncates or creates, `a` appends or creates, both make missing parents; `r` and `r+`
        need the file to exist. The descriptor is non-blocking and close-on-exec.
        """

    @abstractmethod
    async def pause(self) -> None:
        """Stop every process of the session; pausing twice is fine."""

    @abstractmethod
    async def resume(self) -> None:
        """Continue what `pause` stopped, except jobs that were already stopped before."""

    @abstractmethod
    async def close(self) -> None:
        """Kill every process of the session and wait until none is left. Repeatable, bounded."""


class Backend(ABC):
    """One way of keeping sessions apart.

    Attributes:
        isolation: The level of every sandbox it starts.
    """

    isolation: Isolation

    @abstractmethod
    def prepare_root(self, spec: SandboxSpec) -> None:
        """Create or repair the directories a session starts with. Blocking, short."""

    @abstractmethod
    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start a sandbox; `prepare_root` is part of it.

        Raises:
            IsolationUnavailable: The machine does not allow it.
            SandboxError: It did not come up within ten seconds.
        """

    @abstractmethod
    async def close(self) -> None:
        """Give up what the backend holds; sandboxes still running die with it."""
