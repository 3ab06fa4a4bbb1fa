"""Deep Agents: a session as the sandbox of an agent.

Example:
    ::

        with AgentBaySandbox() as sandbox:
            agent = create_deep_agent(model="anthropic:claude-opus-5-5", backend=sandbox)
            agent.invoke({"messages": [("user", "Write a script that counts lines")]})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepagents.backends.protocol import (
    FILE_NOT_FOUND,
    INVALID_PATH,
    IS_DIRECTORY,
    PERMISSION_DENIED,
    ExecuteResponse,
    FileDownloadResponse,
    FileUploadResponse,
)
from deepagents.backends.sandbox import BaseSandbox

from agentbay_async.errors import (
    FileError,
    InvalidArgumentError,
    RemoteFileExistsError,
    RemoteFileNotFoundError,
    RemoteIsADirectoryError,
    RemoteNotADirectoryError,
    RemotePermissionError,
)
from agentbay_integrations._blocking import BothWays
from agentbay_integrations._commands import run_command

if TYPE_CHECKING:
    from agentbay_async import AsyncAgentBay, AsyncSession, CreateSessionParams

__all__ = ["AgentBaySandbox"]

_FRAMEWORK = "deepagents"
# Seconds, as the framework's sandboxes in other clouds have.
_DEFAULT_TIMEOUT = 30 * 60
# The middleware of the framework moves long output to a file; this only protects the program.
_OUTPUT_LIMIT = 4 * 1024 * 1024
_INVALID_PATH: str = INVALID_PATH
# What a model can mend, in the framework's words.
_CODES: dict[type[Exception], str] = {
    RemoteFileNotFoundError: FILE_NOT_FOUND,
    RemotePermissionError: PERMISSION_DENIED,
    RemoteIsADirectoryError: IS_DIRECTORY,
    RemoteNotADirectoryError: INVALID_PATH,
    RemoteFileExistsError: INVALID_PATH,
    InvalidArgumentError: INVALID_PATH,
}


class AgentBaySandbox(BothWays, BaseSandbox):
    """A session as a backend of Deep Agents, blocking and async.

    The framework's own file operations run ``python3`` in the session. Use it as a context manager,
    ``with`` or ``async with``: at its end, a session that was made here is deleted.

    Args:
        session: A session of yours; it is never deleted here.
        session_id: The same by its id.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Its label ``framework`` is ``"deepagents"``.
        run: The value of its label ``run``. Default: a random id.
        timeout: Seconds for a command for which the agent gives none. Default: 30 minutes.

    Raises:
        ValueError: `timeout` is not above 0, or both `session` and `session_id` are given.
    """

    def __init__(
        self,
        session: AsyncSession | None = None,
        *,
        session_id: str | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        timeout: int = _DEFAULT_TIMEOUT,
    ) -> None:
        if timeout <= 0:
            raise ValueError(f"timeout must be above 0, not {timeout}")
        self._own(
            _FRAMEWORK, session=session, session_id=session_id, bay=bay, params=params, run=run
        )
        self._timeout = timeout

    @property
    def id(self) -> str:
        """The id of the session, which is made by that, if it does not exist yet."""
        session = self._owner.session
        return (session or self._thread.call(self._owner.get())).session_id

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Run a line for ``sh``, as :meth:`aexecute`."""
        return self._thread.call(self.aexecute(command, timeout=timeout))

    async def aexecute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Run a line for ``sh``; a cancel ends it.

        Standard output comes first in the output, then standard error. Of a stream of more than
        4 MiB the end is kept. A command whose time is over has the exit code 124.

        Args:
            command: The line. An empty one has the exit code 1, as in the framework.
            timeout: Seconds; 0 is no limit. Default: that of the sandbox.

        Raises:
            ValueError: `timeout` is negative.
            AgentBayError: The session is gone, or the command could not be run.
        """
        if not command.strip():
            return ExecuteResponse("Error: Command must be a non-empty string.", exit_code=1)
        if timeout is not None and timeout < 0:
            raise ValueError(f"timeout must not be negative, got {timeout}")
        limit = self._timeout if timeout is None else timeout
        session = await self._owner.get()
        done = await run_command(session, command, timeout=limit or None)
        longest = max(len(done.stdout), len(done.stderr))
        return ExecuteResponse(
            output=done.text(_OUTPUT_LIMIT),
            exit_code=done.exit_code,
            truncated=done.truncated or longest > _OUTPUT_LIMIT,
        )

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write files, as :meth:`aupload_files`."""
        return self._thread.call(self.aupload_files(files))

    async def aupload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write files and missing directories; one that fails does not stop the others.

        Args:
            files: Absolute paths and contents.
        """
        return [FileUploadResponse(path, await self._write(path, data)) for path, data in files]

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Read files, as :meth:`adownload_files`."""
        return self._thread.call(self.adownload_files(paths))

    async def adownload_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Read files of at most 256 MiB; one that fails does not stop the others.

        Args:
            paths: Absolute paths.
        """
        return [await self._read(path) for path in paths]

    async def _write(self, path: str, data: bytes) -> str | None:
        if not path.startswith("/"):
            return _INVALID_PATH
        files = (await self._owner.get()).file_system
        return _code((await files.write_file(path, data)).error)

    async def _read(self, path: str) -> FileDownloadResponse:
        if not path.startswith("/"):
            return FileDownloadResponse(path, error=INVALID_PATH)
        files = (await self._owner.get()).file_system
        result = await files.read_file(path, format="bytes")
        if result.error is not None:
            return FileDownloadResponse(path, error=_code(result.error))
        return FileDownloadResponse(path, content=result.content)


def _code(error: Exception | None) -> str | None:
    """Return the framework's word for the failure of a file, or the text.

    Raises:
        AgentBayError: It is not the file that is at fault.
    """
    if error is None:
        return None
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    if not isinstance(error, FileError):
        raise error
    return str(error)
