"""The interface of sandboxes, which every level of isolation implements.

A `Backend` starts sandboxes at one level of `Isolation`. A `Sandbox` is one live session, with its
commands and files as they are seen from inside. The rest of the service uses nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from agentbay_local.sandbox.values import (
    HOME,
    OUTPUT_LIMIT,
    Consumption,
    Entry,
    Isolation,
    Limits,
    Mark,
    OpenMode,
    Python,
    RunningProcess,
    SandboxSpec,
)

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from agentbay_local.sandbox.host.command_run import CompletedCommand
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess
    from agentbay_local.sandbox.host.terminal import Terminal

__all__ = [
    "HOME",
    "OUTPUT_LIMIT",
    "Backend",
    "Consumption",
    "Entry",
    "Isolation",
    "Limits",
    "Mark",
    "OpenMode",
    "Python",
    "RunningProcess",
    "Sandbox",
    "SandboxSpec",
]


class Sandbox(ABC):
    """One live session.

    Every path is a path inside the session; a relative one starts at the session's home. All
    methods raise `SandboxOSError` if the session's system refuses, `SandboxGone` if the sandbox has
    ended, `SandboxPaused` between `pause` and `resume`, `SandboxTimeout` if no answer comes, and
    `InvalidRequest` for an argument that is invalid in itself.

    Attributes:
        isolation: The level of this session.
        offline: Whether it reaches no host.
        uid: Its private user, with whose rights the service works on its files; None for the
            service's own.
        read_only: Paths at which the session sees the directories of `SandboxSpec.read_only`, by
            their keys; those that its user cannot read are missing.
        dead: Set when the sandbox has ended, by `close` or by itself.
        excess: The limit that the session exceeded last, and the consequence, as a sentence; empty
            if there was none.
    """

    isolation: Isolation
    offline: bool
    uid: int | None
    read_only: Mapping[str, str]
    dead: asyncio.Event
    excess: str

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
        output_size: Callable[[bytes], int] = len,
    ) -> CompletedCommand:
        """Run a command and wait for it.

        Args:
            command: A line for `/bin/sh -c`, or a program and its arguments.
            timeout: Seconds until its process group is killed; its output until then is returned
                with `timed_out`. Time spent paused does not count.
            cwd: Working directory; the session's home by default.
            env: Variables added to the session's own.
            stdin: The content of its standard input.
            output_limit: What is kept of each stream, as `output_size` measures it.
            output_size: Measures a piece of output; its bytes by default. An empty piece is 0.

        Returns:
            The exit code and the output. A background process that keeps the streams open does not
            delay the return: it runs on, and its later output is thrown away.
        """

    @abstractmethod
    async def spawn(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
    ) -> SpawnedProcess:
        """Start a program and return it while it runs, with pipes to its three streams.

        Args:
            command: A line for `/bin/sh -c`, or a program and its arguments.
            cwd: Working directory; the session's home by default.
            env: Variables added to the session's own.
            fds: Up to four descriptors of this process that the program gets as 3, 4, ...; the
                caller keeps its own copies, and closes them.

        Returns:
            The program. Use it in an `async with` block, which kills it at the end.
        """

    @abstractmethod
    async def terminal(
        self,
        command: str | Sequence[str] = ("/bin/sh",),
        *,
        columns: int = 80,
        rows: int = 24,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Terminal:
        """Start a program on a new terminal of the session.

        Args:
            command: A line for `/bin/sh -c`, or a program and its arguments.
            columns: Width in characters, 1 to 500.
            rows: Height in lines, 1 to 500.
            cwd: Working directory; the session's home by default.
            env: Variables added to the session's own and `TERM=xterm-256color`.

        Returns:
            The terminal. Use it in an `async with` block, which kills the program at the end.
        """

    @abstractmethod
    async def dial(self, port: int, *, timeout: float = 5.0) -> socket.socket:
        """Connect to a TCP port that a process of the session listens on, at 127.0.0.1 or ::1.

        Args:
            port: 1 to 65535.
            timeout: Seconds to wait for each of the two addresses.

        Returns:
            A connected, non-blocking socket that the caller closes.

        Raises:
            SandboxOSError: Nothing listens there (ECONNREFUSED), or it does not answer (ETIMEDOUT).
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
        """Find the files and directories below a directory whose name matches a pattern.

        Args:
            path: Where to start.
            pattern: `*` and `?` are wildcards; everything else stands for itself.
            excludes: Patterns of names to leave out, with all that is below them.

        Returns:
            Absolute paths, sorted.
        """

    @abstractmethod
    async def survey(self, path: str) -> Mapping[str, Mark]:
        """Return the marks of a path and of everything below it; a changed file has a new mark.

        Links below the path are not followed. Unreadable directories are left out. The result is
        empty if the path does not exist.
        """

    @abstractmethod
    async def consumption(self) -> Consumption:
        """Measure the resources that the session takes now."""

    @abstractmethod
    async def processes(self) -> Sequence[RunningProcess]:
        """Return the processes of the session, without those of the service itself."""

    @abstractmethod
    async def open(self, path: str, mode: OpenMode = "r") -> int:
        """Open a regular file and return a file descriptor that the caller closes.

        `w` truncates or creates, `a` appends or creates, both make missing parents; `r` and `r+`
        need the file to exist. The descriptor is non-blocking and close-on-exec. A file of the
        kernel, below /proc for example, is refused: it would lend the session the service's rights.
        """

    @abstractmethod
    async def pause(self) -> None:
        """Stop every process of the session; pausing twice is fine."""

    @abstractmethod
    async def resume(self) -> None:
        """Continue the stopped processes, except jobs that were stopped before the pause."""

    @abstractmethod
    async def close(self) -> None:
        """Kill every process of the session and wait until none is left. Repeatable."""


class Backend(ABC):
    """A way to start sandboxes at one level of isolation.

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
        """End the backend, and with it every sandbox that still runs."""
