"""Pydantic AI: sessions as the workspaces of agents.

Example:
    ::

        async with AgentBayWorkspace() as workspace:
            agent = Agent("anthropic:claude-opus-5-5", capabilities=[workspace])
            result = await agent.run("Which file here is the largest?")
"""

from __future__ import annotations

import math
import posixpath
import shlex
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.tools import AgentDepsT
from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    SupportsCommands,
    SupportsFilesystem,
    SupportsRealpath,
    WorkspaceBackend,
    WorkspaceOutputLimitError,
    WorkspaceRef,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from agentbay_async import AgentBayError, AsyncAgentBay, SessionNotFoundError
from agentbay_async.errors import (
    FileError,
    RemoteFileExistsError,
    RemoteNotADirectoryError,
    UsageError,
)
from agentbay_integrations._commands import run_command
from agentbay_integrations._sessions import SessionOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType

    from pydantic_ai import RunContext
    from pydantic_ai.workspaces import WorkspaceCommand

    from agentbay_async import AsyncSession, CreateSessionParams
    from agentbay_integrations._commands import FinishedCommand

__all__ = ["AgentBayBackend", "AgentBayWorkspace"]

S = TypeVar("S")

_PROVIDER = "agentbay"
_FRAMEWORK = "pydantic-ai"
# Characters of both streams of a command, as in the framework's own backend, and of those that an
# error shows.
_OUTPUT_LIMIT = 10 * 1024 * 1024
_PREVIEW = 64 * 1024
# The exit code of a command that a signal ended is above this. So ends one whose session ends.
_SIGNALS = 128
_ENDED = ("DELETING", "DELETED", "FINISH")
# What is at the end of the links of a path: a directory, a file of a size, or something else.
_STAT = """\
if [ -d "$P" ]; then echo d; elif [ -f "$P" ]; then stat -Lc %s -- "$P"; elif [ -e "$P" ]; then
echo o; fi"""
_LINKED_DIRECTORIES = r"""
find "$P/" -mindepth 1 -maxdepth 1 -type l -xtype d -printf '%f\0'"""


class AgentBayBackend(WorkspaceBackend, SupportsCommands, SupportsFilesystem, SupportsRealpath):
    """A session as the environment of an agent's runs.

    It does nothing before its first operation, which creates the session, or attaches to that of
    `ref`. Pydantic AI ends no environment; :meth:`aclose` does, if the session was made here.

    Args:
        session: A session of yours; it is never deleted here.
        ref: A session by its reference, such as ``result.workspace.ref`` of an earlier run; it is
            never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Its label ``framework`` is ``"pydantic-ai"``.
        run: The value of its label ``run``. Default: a random id.

    Raises:
        ValueError: `ref` is of another provider, or given together with `session`.

    Example:
        ::

            backend = AgentBayBackend(session=session)
            await agent.run("Run the tests", workspace=backend)
    """

    def __init__(
        self,
        *,
        session: AsyncSession | None = None,
        ref: WorkspaceRef | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
    ) -> None:
        if ref is not None and (session is not None or ref.provider != _PROVIDER):
            raise ValueError(f"ref must be of the provider {_PROVIDER!r}, and without session")
        self._ref = ref
        self._owner = SessionOwner(
            _FRAMEWORK,
            session=session,
            session_id=None if ref is None else ref.id,
            bay=bay,
            params=params,
            run=run,
        )
        self._working_dir: str | None = None

    @property
    def ref(self) -> WorkspaceRef | None:
        """The reference of the session, with its id; ``None`` before a new one exists."""
        session = self._owner.session
        if self._ref is None and session is not None:
            # Kept after the session has ended: a reference never changes.
            self._ref = WorkspaceRef(provider=_PROVIDER, id=session.session_id)
        return self._ref

    async def session(self) -> AsyncSession:
        """Return the session, for what a workspace cannot do.

        Raises:
            WorkspaceUnavailableError: It is gone.
        """
        async with self._errors():
            return await self._owner.get()

    async def aclose(self) -> None:
        """Delete the session, if it was made here; also if this is cancelled."""
        await self._owner.close()

    async def working_dir(self) -> str:
        """Return the home directory of the session's user, without links.

        Raises:
            WorkspaceUnavailableError: The session is gone.
        """
        if self._working_dir is None:
            self._working_dir = (await self._script("pwd -P")).stdout.removesuffix("\n")
        return self._working_dir

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command; a cancel ends it.

        Args:
            command: A program and its arguments, or a line for ``sh`` with `shell`.
            shell: Whether `command` is a line.
            env: Variables to add to its environment.
            timeout: Seconds. Default: a day.

        Raises:
            TypeError: `command` and `shell` do not fit together.
            ValueError: `timeout` is not a positive number.
            WorkspaceTimeoutError: Its time was over.
            WorkspaceOutputLimitError: It wrote more than 10 MiB.
            WorkspaceUnavailableError: The session is gone.
        """
        line = _line(command, shell=shell)
        if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
            raise ValueError("timeout must be a positive finite number or None")
        done = await self._script(line, env, timeout)
        if done.timed_out:
            raise WorkspaceTimeoutError(
                f"command timed out after {timeout:g}s and was killed",
                stdout=done.stdout,
                stderr=done.stderr,
            )
        if done.truncated or len(done.stdout) + len(done.stderr) > _OUTPUT_LIMIT:
            raise WorkspaceOutputLimitError(
                "the command wrote more than 10 MiB; redirect its output to a file",
                limit=_OUTPUT_LIMIT,
                stdout=done.stdout[:_PREVIEW],
                stderr=done.stderr[:_PREVIEW],
            )
        return CommandResult(exit_code=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    async def read_bytes(self, path: str) -> bytes:
        """Read a file of at most 256 MiB."""
        target = _absolute(path)
        async with self._errors():
            files = (await self._owner.get()).file_system
            return (await files.read_file(target, format="bytes")).unwrap()

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file, through a link if `path` is one, and create missing directories."""
        target = await self.realpath(path)
        async with self._errors():
            files = (await self._owner.get()).file_system
            try:
                (await files.write_file(target, data)).unwrap()
            except RemoteFileExistsError as error:
                # It is a parent that exists: a file where a directory is needed.
                raise NotADirectoryError(str(error)) from error

    async def stat(self, path: str) -> FileEntry:
        """Return what is at a path, or what the link there leads to."""
        found = (await self._script(_STAT, {"P": _absolute(path)})).stdout.strip()
        if not found:
            # Its error says why: a missing file, or a file on the way to it.
            async with self._errors():
                (await (await self._owner.get()).file_system.get_file_info(path)).unwrap()
            raise FileNotFoundError(path)
        size = int(found) if found.isdigit() else None
        name = posixpath.basename(posixpath.normpath(path))
        return FileEntry(name=name, path=path, is_dir=found == "d", size=size)

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """List the entries of a directory; a link to a directory counts as one."""
        directory = _absolute(path)
        async with self._errors():
            files = (await self._owner.get()).file_system
            entries = (await files.list_directory(directory)).unwrap()
        linked: set[str] = set()
        if any(entry.is_symlink for entry in entries):
            found = await self._script(_LINKED_DIRECTORIES, {"P": path})
            linked = set(found.stdout.split("\0"))
        return [
            FileEntry(
                name=entry.name,
                path=posixpath.join(path, entry.name),
                is_dir=entry.is_directory or entry.name in linked,
                # The size of a link is not that of its target.
                size=None if entry.is_directory or entry.is_symlink else entry.size,
            )
            for entry in entries
        ]

    async def make_dir(self, path: str) -> None:
        """Create a directory and its parents; an existing one is fine."""
        directory = _absolute(path)
        async with self._errors():
            files = (await self._owner.get()).file_system
            (await files.create_directory(directory)).unwrap()

    async def remove(self, path: str) -> None:
        """Remove a file, a link, or a directory and its content.

        Raises:
            ValueError: `path` is the working directory, or one above it.
        """
        above = await self.realpath(posixpath.dirname(_absolute(path).rstrip("/")) or "/")
        root = await self.working_dir()
        target = posixpath.normpath(posixpath.join(above, posixpath.basename(path.rstrip("/"))))
        if f"{root}/".startswith(f"{target.rstrip('/')}/"):
            raise ValueError("cannot remove the working directory, or one above it")
        async with self._errors():
            files = (await self._owner.get()).file_system
            try:
                (await files.delete_directory(target, recursive=True)).unwrap()
            except RemoteNotADirectoryError:
                (await files.delete_file(target)).unwrap()

    async def exists(self, path: str) -> bool:
        """Return whether something is at a path, or at the end of the link there."""
        return bool((await self._script(_STAT, {"P": _absolute(path)})).stdout)

    async def realpath(self, path: str) -> str:
        """Return a path without links; parts that do not exist stay."""
        done = await self._script('realpath -m -- "$P"', {"P": _absolute(path)})
        if done.exit_code != 0:
            raise OSError(done.stderr.strip())
        return done.stdout.removesuffix("\n")

    async def _script(
        self, line: str, env: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> FinishedCommand:
        async with self._errors():
            session = await self._owner.get()
            done = await run_command(session, line, envs=env, timeout=timeout)
            if done.exit_code > _SIGNALS and await self._is_gone(session):
                raise WorkspaceUnavailableError(f"{session.session_id} ended during the command")
            return done

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        """Raise the errors of the framework instead of ours."""
        try:
            yield
        except SessionNotFoundError as error:
            raise WorkspaceUnavailableError(str(error)) from error
        except (UsageError, OSError):
            # These are built-in errors too, as the framework wishes.
            raise
        except FileError as error:
            raise OSError(str(error)) from error
        except AgentBayError as error:
            session = self._owner.session
            if session is not None and await self._is_gone(session):
                raise WorkspaceUnavailableError(str(error)) from error
            raise

    async def _is_gone(self, session: AsyncSession) -> bool:
        result = await session.get_status()
        if isinstance(result.error, SessionNotFoundError):
            return True
        return result.success and result.status in _ENDED


class AgentBayWorkspace(AbstractCapability[AgentDepsT]):
    """A capability that gives agents sessions to work in.

    Each conversation has a session of its own, which later runs find by the message history. Use it
    as a context manager: at its end the sessions that it made are deleted.

    Args:
        session: One session of yours, for all runs; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of new sessions. Their label ``framework`` is ``"pydantic-ai"``, and
            ``run`` is the id of the agent's run that made it.
        id: Another id, to keep two of them in one agent.

    Example:
        ::

            async with AgentBayWorkspace(params=CreateSessionParams(image_id="code_latest")) as it:
                agent = Agent("anthropic:claude-opus-5-5", capabilities=[it])
                await agent.run("Plot a sine curve")
    """

    def __init__(
        self,
        session: AsyncSession | None = None,
        *,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        id: str | None = "agentbay_workspace",
    ) -> None:
        self.id = id
        self._session = session
        self._bay = bay
        self._params = params
        self._own_bay: AsyncAgentBay | None = None
        self._backends: list[AgentBayBackend] = []

    def get_workspace(
        self, ctx: RunContext[AgentDepsT], *, ref: WorkspaceRef | None
    ) -> WorkspaceBackend | None:
        """Return the backend of a run; ``None`` for a reference to something else."""
        if ref is not None and ref.provider != _PROVIDER:
            return None
        if self._session is not None:
            backend = AgentBayBackend(session=self._session)
            # A message history must not lead to another session than the one handed in.
            return backend if ref in (None, backend.ref) else None
        bay = self._bay or self._own_bay
        if bay is None:
            # One for all runs: a server has many.
            bay = self._own_bay = AsyncAgentBay()
        backend = AgentBayBackend(ref=ref, bay=bay, params=self._params, run=ctx.run_id)
        if ref is None:
            self._backends.append(backend)
        return backend

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Delete the sessions that were made for runs; also if this is cancelled.

        Raises:
            AgentBayError: A session could not be deleted.
        """
        bay, self._own_bay = self._own_bay, None
        async with AsyncExitStack() as stack:
            if bay is not None:
                stack.push_async_callback(bay.aclose)
            while self._backends:
                stack.push_async_callback(self._backends.pop().aclose)


def _line(command: WorkspaceCommand, *, shell: bool) -> str:
    if isinstance(command, str) != shell:
        raise TypeError("a string needs shell=True, and a sequence of arguments shell=False")
    return command if isinstance(command, str) else shlex.join(command)


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"path must be absolute, got {path!r:.200}")
    return path
