"""Harbor: a session as the environment of each trial. It needs Python 3.12.

Example:
    ::

        harbor run -p tasks -a oracle -e agentbay_integrations.harbor:AgentBayEnvironment
"""

from __future__ import annotations

import shlex
import stat
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import (
    EnvironmentCapabilities,
    EnvironmentResourceCapabilities,
)
from harbor.environments.options import EnvironmentOptions
from pydantic import Field

from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    ContextSync,
    CreateSessionParams,
    SessionNotFoundError,
)
from agentbay_integrations._commands import run_command
from agentbay_integrations._sessions import session_params, uninterrupted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentbay_async import AsyncSession, Result

__all__ = ["AgentBayEnvironment", "AgentBayOptions"]

_FRAMEWORK = "harbor"
# Characters of a label's value.
_LABEL = 256
_ROOT = ("root", "0")


class AgentBayOptions(EnvironmentOptions):
    """The settings of an environment, given by ``--ek NAME=VALUE``.

    Attributes:
        image_id: The image of the session, with what the task's Dockerfile describes.
        labels: Labels of the session, besides ``framework``, ``run`` and ``task``.
        contexts: The ids of contexts, by their paths in the session. Their files outlive it.
        agentbay_session_id: One session of yours for all trials; it is never deleted here.
        root_is_user: Whether commands for root run as the session's user instead, who owns all
            files of a session of the local service; otherwise they are an error.
    """

    image_id: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    contexts: dict[str, str] = Field(default_factory=dict)
    agentbay_session_id: str | None = None
    root_is_user: bool = True


class AgentBayEnvironment(BaseEnvironment):
    """Runs a trial in a session.

    Harbor makes it, for ``-e agentbay_integrations.harbor:AgentBayEnvironment``. A session has no
    Docker: a task with a Dockerfile or an image of its own needs the option ``image_id``.

    Raises:
        ValueError: An option is invalid, or the task needs what a session does not have.
    """

    options_model = AgentBayOptions
    options: AgentBayOptions

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # those of the framework's class
        self._opened = AsyncExitStack()
        self._session: AsyncSession | None = None
        self._users: tuple[str, ...] = ()
        super().__init__(*args, **kwargs)

    @staticmethod
    def type() -> str:
        """Return the name of this kind of environment."""
        return "agentbay"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """None: the network and the devices of a session are those of its image."""
        return EnvironmentCapabilities()

    @classmethod
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities:
        """Return none: the resources of a session are those of its image."""
        return EnvironmentResourceCapabilities()

    def _validate_definition(self) -> None:
        if (self.environment_dir / "docker-compose.yaml").exists():
            raise ValueError("a session cannot run docker-compose.yaml; use another environment")
        builds = (self.environment_dir / "Dockerfile").exists()
        options = self.options
        named = options.image_id or options.agentbay_session_id
        if (builds or self.task_env_config.docker_image) and not named:
            raise ValueError(
                "a session cannot run the Docker image of this task; name an image of AgentBay "
                "that has the same, with --ek image_id=..."
            )

    @property
    def session(self) -> AsyncSession:
        """The session, for what an environment cannot do.

        Raises:
            RuntimeError: The environment is not started.
        """
        if self._session is None:
            raise RuntimeError("the environment is not started; call start() first")
        return self._session

    async def start(self, force_build: bool) -> None:
        """Create the session, with a client that has the settings of the environment.

        Args:
            force_build: Ignored: the image exists.

        Raises:
            RuntimeError: It could not be created.
        """
        try:
            async with _errors(), AsyncExitStack() as opened:
                bay = await opened.enter_async_context(AsyncAgentBay())
                self._session = await self._open(bay)
                self._opened = opened.pop_all()
            made = await self.ensure_dirs(self._mount_targets(writable_only=True))
            if made is not None and made.return_code != 0:
                raise RuntimeError(f"the directories of logs cannot be made: {made.stderr}")
            await self._upload_environment_dir_after_start()
        except BaseException:
            await self.stop(delete=True)
            raise

    async def _open(self, bay: AsyncAgentBay) -> AsyncSession:
        options = self.options
        if options.agentbay_session_id is not None:
            return (await bay.get(options.agentbay_session_id)).unwrap()
        params = CreateSessionParams(
            image_id=options.image_id,
            labels={"task": self.environment_name[:_LABEL], **options.labels},
            context_syncs=[ContextSync(it, path) for path, it in options.contexts.items()],
        )
        run = self.session_id[:_LABEL]
        return (await bay.create(session_params(_FRAMEWORK, params, run))).unwrap()

    async def stop(self, delete: bool) -> None:
        """End the session, unless it was named; a cancel waits for it.

        Args:
            delete: Delete it; otherwise it is paused.

        Raises:
            RuntimeError: It could not be ended.
        """
        async with _errors():
            await uninterrupted(self._stop(delete))

    async def _stop(self, delete: bool) -> None:
        session, self._session = self._session, None
        opened, self._opened = self._opened, AsyncExitStack()
        async with opened:
            if session is None or self.options.agentbay_session_id is not None:
                return
            if delete:
                # The files of contexts are saved first.
                result: Result[Any] = await session.delete(bool(self.options.contexts))
            else:
                result = await session.pause()
            if not isinstance(result.error, SessionNotFoundError):
                result.unwrap()

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a command for ``bash``; a cancel ends it.

        Args:
            command: The command.
            cwd: The working directory. Default: that of the task, or the home directory.
            env: Variables to add to its environment.
            timeout_sec: Seconds; none is a day.
            user: The session's own user, or root; see :class:`AgentBayOptions`.

        Raises:
            RuntimeError: Its time was over, or it could not be run.
            ValueError: `user` is another user.
        """
        await self._check_user(self._resolve_user(user))
        async with _errors():
            done = await run_command(
                self.session,
                shlex.join(["bash", "-c", command]),
                cwd=cwd or self.task_env_config.workdir,
                envs=self._merge_env(env),
                timeout=timeout_sec,
            )
        if done.timed_out:
            raise RuntimeError(f"Command timed out after {timeout_sec} seconds")
        return ExecResult(stdout=done.stdout, stderr=done.stderr, return_code=done.exit_code)

    async def _check_user(self, user: str | int | None) -> None:
        if user is None or (str(user) in _ROOT and self.options.root_is_user):
            return
        if not self._users:
            async with _errors():
                found = (await self.session.command.run("id -un; id -u")).unwrap()
            self._users = tuple(found.stdout.split())
        if str(user) not in self._users:
            raise ValueError(
                f"user must be {self._users[0]!r}, the only one of a session, not {user!r}"
            )

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Copy a file into the session, with its permissions.

        Raises:
            RuntimeError: It could not be copied.
        """
        mode = stat.S_IMODE((await anyio.Path(source_path).stat()).st_mode)
        async with _errors():
            files = self.session.file_system
            (await files.upload_file(source_path, target_path)).unwrap()
            line = shlex.join(["chmod", f"{mode:o}", target_path])
            (await self.session.command.run(line)).unwrap()

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Copy the content of a directory into one of the session.

        Raises:
            RuntimeError: It could not be copied.
        """
        async with _errors():
            files = self.session.file_system
            (await files.upload_directory(source_dir, target_dir)).unwrap()

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Copy a file of the session to this machine.

        Raises:
            RuntimeError: It could not be copied.
        """
        await anyio.Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        async with _errors():
            files = self.session.file_system
            (await files.download_file(source_path, target_path)).unwrap()

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Copy the content of a directory of the session into one of this machine.

        Raises:
            RuntimeError: It could not be copied.
        """
        await anyio.Path(target_dir).mkdir(parents=True, exist_ok=True)
        async with _errors():
            files = self.session.file_system
            (await files.download_directory(source_dir, target_dir)).unwrap()


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    """Raise the error of the framework's own environments instead of ours."""
    try:
        yield
    except AgentBayError as error:
        raise RuntimeError(str(error)) from error
