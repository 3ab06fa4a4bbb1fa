"""Google ADK: a session as the environment of an agent's tools.

Example:
    ::

        environment = AgentBayEnvironment()
        toolset = EnvironmentToolset(environment=environment)
        agent = LlmAgent(name="worker", model="gemini-3.5-flash", tools=[toolset])
"""

from __future__ import annotations

import posixpath
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from google.adk.environment import BaseEnvironment, ExecutionResult

from agentbay_integrations._commands import run_command
from agentbay_integrations._sessions import SessionOwner

if TYPE_CHECKING:
    from agentbay_async import AsyncAgentBay, AsyncSession, CreateSessionParams

__all__ = ["AgentBayEnvironment"]

_FRAMEWORK = "google-adk"


class AgentBayEnvironment(BaseEnvironment):
    """A session as the environment of ``EnvironmentToolset``.

    Commands and relative paths are in the home directory of the session. ADK closes the environment
    with its runner; :meth:`close` deletes the session if it was made here, and :meth:`initialize`
    makes another one then.

    Args:
        session: A session of yours; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Its label ``framework`` is ``"google-adk"``.
        run: The value of its label ``run``. Default: a random id.

    Example:
        ::

            environment = AgentBayEnvironment(session=session)
            await environment.initialize()
            print((await environment.execute("uname")).stdout)
    """

    def __init__(
        self,
        *,
        session: AsyncSession | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
    ) -> None:
        self._owner = SessionOwner(_FRAMEWORK, session=session, bay=bay, params=params, run=run)
        self._home: PurePosixPath | None = None

    @property
    def working_dir(self) -> PurePosixPath:
        """The home directory of the session's user.

        Raises:
            RuntimeError: :meth:`initialize` was not called.
        """
        if self._home is None:
            raise RuntimeError("the environment has no session yet: call initialize() first")
        return self._home

    async def initialize(self) -> None:
        """Create the session, unless there is one.

        Raises:
            AgentBayError: It could not be created.
        """
        if self._home is None:
            session = await self._owner.get()
            home = (await run_command(session, "pwd -P")).stdout
            self._home = PurePosixPath(home.removesuffix("\n"))
            self.is_initialized = True

    async def close(self) -> None:
        """Delete the session, if it was made here; also if this is cancelled."""
        self._home = None
        self.is_initialized = False
        await self._owner.close()

    async def execute(self, command: str, *, timeout: float | None = None) -> ExecutionResult:
        """Run a line for ``sh``; a cancel ends it.

        Args:
            command: The line.
            timeout: Seconds after which it is killed; ``None`` is a day.

        Raises:
            AgentBayError: It could not be run.
        """
        session, home = await self._ready()
        done = await run_command(session, command, cwd=str(home), timeout=timeout)
        return ExecutionResult(done.exit_code, done.stdout, done.stderr, done.timed_out)

    async def read_file(self, path: PurePath | str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: There is no such file.
            AgentBayError: It could not be read.
        """
        session, home = await self._ready()
        result = await session.file_system.read_file(_place(home, path), format="bytes")
        content: bytes = result.unwrap()
        return content

    async def write_file(self, path: PurePath | str, content: str | bytes) -> None:
        """Write a file, and create missing directories.

        Raises:
            AgentBayError: It could not be written.
        """
        session, home = await self._ready()
        (await session.file_system.write_file(_place(home, path), content)).unwrap()

    async def _ready(self) -> tuple[AsyncSession, PurePosixPath]:
        return await self._owner.get(), self.working_dir


def _place(home: PurePosixPath, path: PurePath | str) -> str:
    text = path if isinstance(path, str) else path.as_posix()
    return posixpath.join(home, text)
