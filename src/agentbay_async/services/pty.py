"""Terminals of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.models._later import Later, nothing
from agentbay_async.services._pty.client import PtyClient
from agentbay_async.services._pty.delivery import Delivery

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.models.pty import PtySession
    from agentbay_async.services._pty.terminal import Terminal
    from agentbay_async.session import AsyncSession

_MAX_SIZE = 500
_DEFAULT_ENVS = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}
# Seconds until a terminal is open.
_OPEN_TIMEOUT = 30.0


class AsyncPty:
    """Open terminals in one session, over its WebSocket.

    The methods return plain values and raise errors, because an open terminal is not a result that
    could be checked later.

    A terminal outlives this program and its connection: :meth:`connect` attaches to it again. It
    ends with its process, by :meth:`kill`, or with the session.
    """

    __slots__ = ("__weakref__", "_client", "_find_session")

    def __init__(self, api: Api, session_id: str) -> None:
        self._find_session: Callable[[], AsyncSession]
        self._client = PtyClient(api, session_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._client.session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    async def create(
        self,
        cols: int = 80,
        rows: int = 24,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        shell: str | None = None,
        on_data: Callable[[bytes], Awaitable[None] | None] | None = None,
        timeout_s: float | timedelta | None = None,
    ) -> AsyncPtyHandle:
        r"""Open a terminal that runs a shell.

        Args:
            cols: Width in characters, 1 to 500.
            rows: Height in lines, 1 to 500.
            cwd: The working directory; by default the home directory.
            envs: Variables to add to its environment, or to replace the default ``TERM`` and
                ``LANG``.
            shell: The program to run; by default the image's shell.
            on_data: Called with each chunk of output. Without it, iterate over the handle.
            timeout_s: Seconds (or a timedelta) to wait until it is open. Default 30.

        Raises:
            InvalidArgumentError: A size is out of range, or a variable is invalid.
            AgentBayError: The session could not open it.

        Example:
            ::

                pty = await session.pty.create()
                await pty.send_input("echo hi; exit\n")
                async for chunk in pty:
                    print(chunk.decode(), end="")
        """
        limit = _OPEN_TIMEOUT if timeout_s is None else _check.seconds(timeout_s, "timeout_s")
        params: dict[str, Any] = {
            "cols": _check_size(cols, "cols"),
            "rows": _check_size(rows, "rows"),
        }
        params["envs"] = {**_DEFAULT_ENVS, **_check.variables(envs or {})}
        if cwd is not None:
            params["cwd"] = _check.text(cwd, "cwd")
        if shell is not None:
            params["shell"] = _check.text(shell, "shell")
        terminal = await self._client.create(params, limit)
        return AsyncPtyHandle(terminal, on_data)

    async def connect(
        self,
        pty_session_id: str,
        on_data: Callable[[bytes], Awaitable[None] | None] | None = None,
    ) -> AsyncPtyHandle:
        """Attach to an open terminal.

        Its earlier output comes first, as far as the session has kept it.

        Args:
            pty_session_id: The id of the terminal.
            on_data: Called with each chunk of output. Without it, iterate over the handle.

        Raises:
            PtySessionNotFoundError: There is no such terminal, or it has ended.
        """
        name = _check.identifier(pty_session_id, "pty_session_id")
        return AsyncPtyHandle(await self._client.connect(name), on_data)

    async def list(self) -> builtins.list[PtySession]:
        """Return the open terminals of the session."""
        return await self._client.list()

    async def kill(self, pty_session_id: str) -> None:
        """End the processes of a terminal.

        Args:
            pty_session_id: The id of the terminal.

        Raises:
            PtySessionNotFoundError: There is no such terminal, or it has ended.
        """
        await self._client.kill(_check.identifier(pty_session_id, "pty_session_id"))


class AsyncPtyHandle:
    """An open terminal. Its methods return plain values and raise errors.

    Iterate over it for its output, in chunks as they arrive, or pass a callback to
    :meth:`AsyncPty.create`. After a lost connection the handle attaches again by itself; if that
    fails, waiting and reading raise an error. Up to 64 MiB of unread output are kept.
    """

    __slots__ = ("__weakref__", "_delivery", "_terminal")

    def __init__(
        self,
        terminal: Terminal,
        on_data: Callable[[bytes], Awaitable[None] | None] | None,
    ) -> None:
        self._terminal = terminal
        self._delivery: Delivery | None = None
        if on_data is not None:
            self._delivery = Delivery(
                self, terminal, lambda: aiter(terminal.output), on_data, "on_data"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pty_session_id!r})"

    @property
    def pty_session_id(self) -> str:
        """The id of the terminal."""
        return self._terminal.id

    @property
    def is_connected(self) -> bool:
        """Whether its output arrives here."""
        return self._terminal.is_connected

    @property
    def exit_code(self) -> int | None:
        """The exit code of its process, or ``None`` while it runs."""
        return self._terminal.exit_code

    async def send_input(self, data: bytes | str) -> None:
        """Type into the terminal.

        On return the session has the input, but its program may not have read it yet.

        Args:
            data: Text (sent as UTF-8) or bytes. A line ends with a line break.

        Raises:
            PtyNotConnectedError: The handle was disconnected, or its process has ended.
            PtyError: The input of the terminal is full, because its program does not read.
            TransportError: The input may not have arrived, or only in part.
        """
        await self._terminal.send(data)

    async def resize(self, cols: int, rows: int) -> None:
        """Change the size of the terminal.

        Args:
            cols: Width in characters, 1 to 500.
            rows: Height in lines, 1 to 500.

        Raises:
            InvalidArgumentError: A size is out of range.
            PtyNotConnectedError: The handle was disconnected, or its process has ended.
        """
        await self._terminal.resize(_check_size(cols, "cols"), _check_size(rows, "rows"))

    async def kill(self) -> None:
        """End the processes of the terminal.

        Raises:
            PtyNotConnectedError: The handle was disconnected, or its process has ended.
        """
        await self._terminal.kill()

    async def wait(
        self,
        timeout_s: float | timedelta | None = None,
        *,
        timeout: float | timedelta | None = None,
    ) -> int:
        """Wait until its process has ended and `on_data` has its output; return the exit code.

        Args:
            timeout_s: Seconds (or a timedelta) to wait; ``None`` waits for as long as it runs.
            timeout: The same, under the name that other methods use.

        Raises:
            OperationTimeoutError: It did not end in time.
            PtyNotConnectedError: The handle was disconnected.
            TransportError: The connection is lost, so the exit code is not known.
        """
        if timeout_s is not None and timeout is not None:
            raise InvalidArgumentError("timeout_s and timeout exclude each other; give one")
        limit = timeout if timeout_s is None else timeout_s
        code = await self._terminal.wait(limit)
        if self._delivery is not None:
            await self._delivery.finish(None if limit is None else _check.seconds(limit, "timeout"))
        return code

    def disconnect(self) -> Awaitable[None]:
        """Receive no more output. The terminal goes on; :meth:`AsyncPty.connect` attaches again."""
        # Done at once: the official client has a plain method, which may not be awaited.
        self._terminal.detach()
        return Later(nothing)

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._delivery is not None:
            raise InvalidArgumentError("the output goes to on_data; do not iterate as well")
        return aiter(self._terminal.output)


def _check_size(value: object, name: str) -> int:
    checked = _check.positive_int(value, name)
    if checked > _MAX_SIZE:
        raise InvalidArgumentError(f"{name} must be at most {_MAX_SIZE}, not {checked}")
    return checked
