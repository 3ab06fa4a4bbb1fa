"""Shell commands in a session: wait for them, or start them in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import CommandError, InvalidArgumentError
from agentbay_async.models.commands import CommandResult
from agentbay_async.models.results import returns_result
from agentbay_async.services._shell import ONE_REQUEST, run_shell, time_limit
from agentbay_async.services._tool_calls import check_one_request, get_access

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.services._pty.client import PtyClient
    from agentbay_async.services._streamed_run import TextCallback
    from agentbay_async.services.process import AsyncProcess
    from agentbay_async.session import AsyncSession

_DEFAULT_TIMEOUT = ONE_REQUEST
_DEFAULT_MS = 50_000
_CURE = "start longer commands with command.start(), and wait for them with wait()"
# The command of a process travels in a variable. Linux limits one to 128 KiB (MAX_ARG_STRLEN),
# with its name.
_MAX_STARTED = 128 * 1024 - 64


class AsyncCommand:
    """Run commands in one session. Calls run in parallel and do not share variables."""

    __slots__ = ("__weakref__", "_api", "_find_session", "_pty", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]
        self._pty: PtyClient | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    async def execute_command(
        self,
        command: str,
        timeout_ms: int | None = _DEFAULT_MS,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        *,
        timeout: float | timedelta | None = None,
        check: bool = False,
        user: str | None = None,
        on_stdout: Callable[[str], Awaitable[None] | None] | None = None,
        on_stderr: Callable[[str], Awaitable[None] | None] | None = None,
    ) -> CommandResult:
        """Run a shell command and wait for it to end.

        A command that ends with an exit code other than 0 gives a failed result, which still has
        its output. After its time limit, by default 50 seconds, the command is killed: the exit
        code is then 124, ``timed_out`` is true, and ``stderr`` ends with the reason. A stream of
        more than 16 MiB is cut, and ``truncated`` is true.

        With a callback, output comes while the command runs, if the session has a WebSocket. The
        result has it as well, up to the same limit. The command runs in the background of the
        session then, as with :meth:`start`, so its standard output is a terminal. In a session
        without ``mkfifo``, standard error comes with standard output. An exception in a callback
        ends the command.

        Args:
            command: A line for ``sh``.
            timeout_ms: Time limit in milliseconds, as in the official client. Default 50000.
            cwd: The working directory; by default the home directory.
            envs: Variables to add to its environment.
            timeout: Time limit in seconds or as a timedelta. Default 50 seconds.
            check: Raise if the exit code is not 0.
            user: ``None``, the user of the session: there is no other, and no root.
            on_stdout: Called with each chunk of standard output.
            on_stderr: Called with each chunk of standard error.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `command` is blank, a `user` or both timeouts are given, or the
                limit is above 50 seconds, there is no callback, and the session has no address of
                its own: the service ends a request after 60 seconds. :meth:`start` has no limit.
            CommandError: With `check`, the command failed.

        Example:
            ::

                result = await session.command.run("ls -l", cwd="/tmp")
                print(result.exit_code, result.stdout)
        """
        _check_user(user)
        given = None if timeout_ms == _DEFAULT_MS else timeout_ms
        limit = time_limit(given, timeout, _DEFAULT_TIMEOUT)
        line = _check.text(command, "command")
        directory = None if cwd is None else _check.text(cwd, "cwd")
        variables = _check.variables(envs or {})
        if on_stdout is None and on_stderr is None:
            running = self._execute(line, limit, directory, variables)
        else:
            callbacks = on_stdout, on_stderr
            running = self._stream(_short(line), limit, directory, variables, callbacks)
        telemetry = self._api.telemetry
        if telemetry is not None:
            running = telemetry.command(self._session_id, running, variables)
        result = await running
        if check:
            result.unwrap()
        return result

    async def start(
        self,
        command: str,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        *,
        user: str | None = None,
        on_stdout: Callable[[bytes], Awaitable[None] | None] | None = None,
        on_stderr: Callable[[bytes], Awaitable[None] | None] | None = None,
    ) -> AsyncProcess:
        """Start a shell command in the background, and return while it runs.

        It runs in a terminal, over the session's WebSocket; :class:`AsyncProcess` describes the
        consequences. Prefer :meth:`execute_command` for commands that end within minutes.

        Callbacks get bytes, as an iteration over the process does. An error of a callback is
        logged, and does not stop the output.

        Args:
            command: Lines for ``sh``, at most 128 KiB.
            cwd: The working directory; by default the home directory.
            envs: Variables to add to its environment.
            user: ``None``, the user of the session: there is no other, and no root.
            on_stdout: Called with each chunk of output. Without it, iterate over the process.
            on_stderr: Called with each chunk of standard error. Without it, and in a session
                without ``mkfifo``, standard error comes with standard output, in the order of
                writing.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `command` is blank or too long, or a `user` is given.
            AgentBayError: The session did not start it.

        Example:
            ::

                server = await session.command.start("python3 -m http.server 30100")
                await server.kill()
        """
        # Imported here and below, so that programs without processes do not load terminals.
        from agentbay_async.services.process import start_process

        _check_user(user)
        line = _short(_check.text(command, "command"))
        directory = None if cwd is None else _check.text(cwd, "cwd")
        variables = _check.variables(envs or {})
        if self._api.telemetry is not None:
            self._api.telemetry.add_context(variables)
        return await start_process(
            self._pty_client(),
            line,
            directory,
            variables,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
        )

    async def attach(self, process_id: str) -> AsyncProcess:
        """Attach to a process that :meth:`start` started, here or in another program.

        Its earlier output comes first, as far as the session has kept it.

        Args:
            process_id: Its :attr:`~AsyncProcess.process_id`.
        """
        from agentbay_async.services.process import attach_process

        name = _check.identifier(process_id, "process_id")
        return await attach_process(self._pty_client(), name)

    def _pty_client(self) -> PtyClient:
        if self._pty is None:
            from agentbay_async.services._pty.client import PtyClient

            self._pty = PtyClient(self._api, self._session_id)
        return self._pty

    @returns_result(CommandResult)
    async def _execute(
        self, command: str, limit: float, cwd: str | None, envs: dict[str, str]
    ) -> CommandResult:
        await check_one_request(self._api, self._session_id, "shell", limit, ONE_REQUEST, _CURE)
        output, request_id = await run_shell(
            self._api, self._session_id, command, limit, cwd=cwd, envs=envs
        )
        return CommandResult.ok(output, request_id)

    @returns_result(CommandResult)
    async def _stream(
        self,
        command: str,
        limit: float,
        cwd: str | None,
        envs: dict[str, str],
        callbacks: tuple[TextCallback, TextCallback],
    ) -> CommandResult:
        from agentbay_async.services._streamed_run import call_with_text, run_streamed

        access = await get_access(self._api, self._session_id)
        if access.ws_url and access.token:
            output = await run_streamed(
                self._pty_client(), self._session_id, command, limit, cwd, envs, callbacks
            )
            return CommandResult.ok(output, "")
        result = await self._execute(command, limit, cwd, envs)
        if result.success or (isinstance(result.error, CommandError) and result.error.ran):
            for callback, text in zip(callbacks, (result.stdout, result.stderr), strict=True):
                await call_with_text(callback, text)
        return result

    # Names of the official client, from scripts/official_names.toml.
    run = execute_command
    exec = execute_command


def _check_user(user: object) -> None:
    """Refuse a user, which many sandboxes take; the reasons are in decision 101."""
    if user is not None:
        raise InvalidArgumentError(
            f"user must be None, not {user!r:.100}: a session has one user, and no root",
            hint="What needs root, such as installing packages, belongs into an image",
        )


def _short(command: str) -> str:
    """Check the length of a command that runs in the background."""
    if len(command.encode()) > _MAX_STARTED:
        raise InvalidArgumentError("command must be at most 128 KiB; put it into a file")
    return command
