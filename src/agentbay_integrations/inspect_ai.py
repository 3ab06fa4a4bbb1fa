"""Inspect: a session as the sandbox of each sample.

Example:
    ::

        Task(dataset, solver=agent, scorer=scorer, sandbox="agentbay")
"""

from __future__ import annotations

import shlex
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import yaml
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxConnection,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from pydantic import BaseModel, ConfigDict, Field

from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    CommandError,
    ContextSync,
    CreateSessionParams,
    FileError,
    SessionStatus,
    UsageError,
)
from agentbay_integrations._commands import FinishedCommand, run_command
from agentbay_integrations._sessions import SessionOwner, uninterrupted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_async import AsyncSession

__all__ = ["AgentBaySandboxEnvironment", "AgentBaySandboxEnvironmentConfig"]

_FRAMEWORK = "inspect_ai"
# Characters of a label's value.
_LABEL = 256
_NOT_EXECUTABLE = 126
# Bytes of a line that need not travel as a file; Linux limits one argument to 128 KiB.
_LINE = 64 * 1024
# Bytes of a file that need not be streamed.
_SMALL = 1024 * 1024


class AgentBaySandboxEnvironmentConfig(BaseModel, frozen=True):
    """The settings of the sandboxes of a task, or the content of a file ``agentbay.yaml``.

    Attributes:
        image_id: The image of the sessions; ``None`` takes the service's default.
        labels: Labels of the sessions, besides ``framework``, ``run`` and ``task``.
        envs: Variables of everything that runs in the sessions.
        contexts: The ids of contexts, by their paths in the sessions. Their files outlive them.
        session_id: One session of yours for all samples; it is never deleted here.
    """

    model_config = ConfigDict(extra="forbid")

    image_id: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    contexts: dict[str, str] = Field(default_factory=dict)
    session_id: str | None = None

    def params(self, task_name: str) -> CreateSessionParams:
        """Return the parameters of the session of a sample."""
        syncs = [ContextSync(context, path) for path, context in self.contexts.items()]
        task = {"task": task_name[:_LABEL]} if task_name.strip() else {}
        return CreateSessionParams(
            image_id=self.image_id,
            labels={**task, **self.labels},
            envs=self.envs,
            context_syncs=syncs,
        )


@sandboxenv(name="agentbay")
class AgentBaySandboxEnvironment(SandboxEnvironment):
    """A session as a sandbox. Relative paths start at the home directory of its user.

    Args:
        session: A session; it is not deleted here.

    Example:
        ::

            async with AsyncAgentBay() as bay, bay.session() as session:
                sandbox = AgentBaySandboxEnvironment(session)
                print((await sandbox.exec(["uname"])).stdout)
    """

    def __init__(self, session: AsyncSession) -> None:
        super().__init__()
        self._session = session
        self._owner: SessionOwner | None = None
        self._users: tuple[str, ...] = ()

    @classmethod
    async def sample_init(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        metadata: dict[str, str],
    ) -> dict[str, SandboxEnvironment]:
        """Create the session of a sample, with a client that has the settings of the environment.

        Raises:
            TypeError: `config` is of another provider.
            ValueError: `config` is invalid.
            AgentBayError: The session could not be created.
        """
        settings = _read_config(config)
        owner = SessionOwner(
            _FRAMEWORK, session_id=settings.session_id, params=settings.params(task_name)
        )
        try:
            made = cls(await owner.get())
        except BaseException:
            await owner.close()
            raise
        made._owner = owner
        return {"default": made}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """Delete the sessions that were made for a sample, also after a cancel or an error.

        Raises:
            AgentBayError: A session could not be deleted.
        """
        async with AsyncExitStack() as stack:
            for environment in environments.values():
                owner = environment.as_type(cls)._owner
                if owner is not None:
                    stack.push_async_callback(owner.close)

    @classmethod
    async def cli_cleanup(cls, id: str | None) -> None:
        """Delete what ``--no-sandbox-cleanup`` has kept: one session, or all with our label.

        Raises:
            AgentBayError: A session could not be deleted.
        """
        async with AsyncAgentBay() as bay:
            found = bay.list({"framework": _FRAMEWORK})
            ids = [str(one.session_id) async for one in found] if id is None else [id]
            for session_id in ids:
                (await bay.delete(session_id)).unwrap()

    @classmethod
    def config_files(cls) -> list[str]:
        """Return the name of the file that is found beside a task."""
        return ["agentbay.yaml"]

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        """Return the settings that a log has kept."""
        return AgentBaySandboxEnvironmentConfig.model_validate(config)

    @property
    def session(self) -> AsyncSession:
        """The session, for what a sandbox cannot do."""
        return self._session

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a command; a cancel ends it.

        Args:
            cmd: The program and its arguments.
            input: Its standard input; without it, that is empty.
            cwd: The working directory.
            env: Variables to add to its environment.
            user: Only the session's own user can run commands.
            timeout: Seconds; none is a day.
            timeout_retry: Ignored: a command that runs out of time is not run again.
            concurrency: Ignored: the command does not run on this machine.

        Raises:
            TimeoutError: Its time was over; it was killed.
            PermissionError: The user may not execute it.
            OutputLimitExceededError: A stream is longer than the framework's limit.
            SandboxUserUnsupportedError: `user` is another user.
            SandboxUnavailableError: The session is gone, or could not be reached.
        """
        await self._check_user(user)
        async with self._files(shlex.join(cmd), input) as line:
            try:
                done = await run_command(self._session, line, cwd=cwd, envs=env, timeout=timeout)
            except CommandError as error:
                # It was not started, for example in a directory that does not exist.
                return ExecResult(False, _NOT_EXECUTABLE, "", str(error))
            except UsageError:
                raise
            except AgentBayError as error:
                raise SandboxUnavailableError(str(error)) from error
        return _result(done, cmd, timeout)

    async def _check_user(self, user: str | None) -> None:
        if user is None:
            return
        if not self._users:
            found = await self._session.command.run("id -un; id -u")
            if not found.success:
                raise SandboxUnavailableError(found.error_message) from found.error
            self._users = tuple(found.stdout.split())
        if user not in self._users:
            raise SandboxUserUnsupportedError(
                f"a session has only the user {self._users[0]!r}, and no {user!r}"
            )

    @asynccontextmanager
    async def _files(self, line: str, input: str | bytes | None) -> AsyncIterator[str]:
        """Yield a line that runs `line`; its input and a long line are files meanwhile."""
        contents = {} if input is None else {"in": _encode(input)}
        if len(line.encode()) > _LINE:
            contents["sh"] = line.encode()
        if not contents:
            yield line
            return
        prefix = f"/tmp/agentbay-{uuid.uuid4().hex}."  # noqa: S108  # in the session
        try:
            for name, content in contents.items():
                await self._write(prefix + name, content)
            short = f"sh {prefix}sh" if "sh" in contents else line
            yield f"{short} <{prefix}in" if "in" in contents else short
        finally:
            await uninterrupted(self._remove([prefix + name for name in contents]))

    async def _remove(self, paths: list[str]) -> None:
        result = await self._session.command.run(shlex.join(["rm", "-f", *paths]))
        if not result.success:
            raise SandboxUnavailableError(result.error_message) from result.error

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file, and create missing directories.

        Raises:
            PermissionError: The session's user may not.
            IsADirectoryError: `file` is a directory.
            OSError: It could not be written for another reason.
            SandboxUnavailableError: The session is gone, or could not be reached.
        """
        await self._write(file, _encode(contents))

    async def _write(self, path: str, content: bytes) -> None:
        async with _errors():
            files = self._session.file_system
            if len(content) <= _SMALL:
                (await files.write_file(path, content)).unwrap()
                return
            if (await files.exists(path)) and (await files.get_file_info(path)).is_directory:
                raise IsADirectoryError(f"is a directory: {path}")
            (await files.upload_file(content, path)).unwrap()

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Read a file, as UTF-8 text or as bytes.

        Raises:
            FileNotFoundError: There is no such file.
            PermissionError: The session's user may not.
            IsADirectoryError: `file` is a directory.
            UnicodeDecodeError: It is not UTF-8.
            OutputLimitExceededError: It is longer than the framework's limit.
            OSError: It could not be read for another reason.
            SandboxUnavailableError: The session is gone, or could not be reached.
        """
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        async with _errors():
            files = self._session.file_system
            if (await files.get_file_info(file)).unwrap().size > limit:
                name = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR
                raise OutputLimitExceededError(name, None)
            content = (await files.read_file(file, format="bytes", max_size=limit)).unwrap()
        return content.decode() if text else content

    async def connection(self, *, user: str | None = None) -> SandboxConnection:
        """Return how a person logs in.

        Args:
            user: Only the session's own user can log in.

        Raises:
            ConnectionError: The session does not run.
            SandboxUserUnsupportedError: `user` is another user.
        """
        result = await self._session.get_status()
        if not result.success or result.status != SessionStatus.RUNNING:
            raise ConnectionError(f"{self._session.session_id} does not run")
        await self._check_user(user)
        name = str(self._session.session_id)
        command = shlex.join(["agentbay", "shell", name])
        return SandboxConnection(type="agentbay", command=command, container=name)


def _read_config(config: SandboxEnvironmentConfigType | None) -> AgentBaySandboxEnvironmentConfig:
    if config is None:
        return AgentBaySandboxEnvironmentConfig()
    if isinstance(config, str):
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        return AgentBaySandboxEnvironmentConfig.model_validate(content or {})
    if not isinstance(config, AgentBaySandboxEnvironmentConfig):
        kind = type(config).__name__
        raise TypeError(f"config must be an AgentBaySandboxEnvironmentConfig, not {kind}")
    return config


def _encode(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _result(done: FinishedCommand, cmd: list[str], timeout: int | None) -> ExecResult[str]:
    if done.timed_out:
        raise TimeoutError(f"{shlex.join(cmd)[:200]} ran out of its {timeout} seconds")
    limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
    for stream in (done.stdout, done.stderr):
        if done.truncated or len(stream.encode(errors="replace")) > limit:
            name = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR
            raise OutputLimitExceededError(name, stream[:limit])
    denied = "permission denied" in done.stderr.lower()
    if done.exit_code == _NOT_EXECUTABLE and denied:
        raise PermissionError(done.stderr.strip())
    return ExecResult(done.exit_code == 0, done.exit_code, done.stdout, done.stderr)


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    """Raise the errors of the framework instead of ours."""
    try:
        yield
    except UsageError:
        raise
    except FileError as error:
        # Most are built-in errors too, as the framework wishes.
        if isinstance(error, OSError):
            raise
        raise OSError(str(error)) from error
    except AgentBayError as error:
        raise SandboxUnavailableError(str(error)) from error
