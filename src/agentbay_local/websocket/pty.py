"""The terminal server: create, connect, write to, resize, list and kill terminals.

Terminals belong to the session, not to a connection: they end with their program, by a kill, or
with the session. The last few that have ended are kept, so that a client that connects late still
receives the end.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import shlex
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from agentbay_local.actions.tools import tool_context
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.errors import InvalidRequest, SandboxOSError
from agentbay_local.websocket.pty_session import PtySession

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.terminal import Terminal
    from agentbay_local.state import ServiceState
    from agentbay_local.tools.tool_context import ToolContext
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.frames import Request

__all__ = ["PtyServer"]

_MAX_OPEN = 64
_MAX_ENDED = 16
_MAX_UNDONE = 64
_COLUMNS, _ROWS = 80, 24
_SHELLS = ("/bin/bash", "/bin/sh")


class PtyServer:
    """The terminals of one session.

    Args:
        state: The service.
        session_id: The session.
    """

    def __init__(self, state: ServiceState, session_id: str) -> None:
        self._state = state
        self._session_id = session_id
        self._ptys: dict[str, PtySession] = {}
        # Requests to undo that have not come yet, or that still open their terminal.
        self._undone: deque[str] = deque(maxlen=_MAX_UNDONE)
        self._closed = False

    def handle(self, connection: Connection, request: Request) -> Coroutine[Any, Any, None] | None:
        """Check a request and return the coroutine that answers it.

        Input and sizes take effect at once, in the order of the requests, and have no answer.

        Raises:
            ToolError: The method is unknown, or the request fails.
        """
        arguments = Arguments(request.method, request.params)
        if request.method == "pty.input":
            self._find(arguments).write(_decode_input(arguments))
            return None
        if request.method == "pty.resize":
            self._resize(arguments)
            return None
        if request.method == "pty.create":
            return self._create(connection, request, arguments)
        if request.method == "pty.connect":
            return self._connect(connection, request, arguments)
        if request.method == "pty.kill":
            return self._kill(connection, request, arguments)
        if request.method == "pty.list":
            return connection.reply(request, {"result": {"ptySessionIds": self._list_open()}})
        raise ToolError(f"PTY_SERVER has no method {request.method!r}")

    def terminals(self) -> list[PtySession]:
        """Return the terminals that are open or have ended lately, the newest last."""
        return list(self._ptys.values())

    def undo_create(self, invocation_id: str) -> None:
        """Close the terminal that a request has opened or will open.

        Its client has not got the answer, so nobody knows the id of the terminal.
        """
        made = [pty for pty in self._ptys.values() if pty.invocation_id == invocation_id]
        for pty in made:
            self._discard(pty)
        if not made:
            self._undone.append(invocation_id)

    async def close(self) -> None:
        """End all terminals with the session."""
        self._closed = True
        ptys, self._ptys = self._ptys, {}
        await asyncio.gather(*(pty.close() for pty in ptys.values()))

    async def _create(self, connection: Connection, request: Request, arguments: Arguments) -> None:
        session = self._state.running_session(self._session_id)
        context = await tool_context(self._state, session)
        if len(self._list_open()) >= _MAX_OPEN:
            raise ToolError(f"The session has {_MAX_OPEN} terminals open; close one first")
        terminal = await _open_terminal(context, arguments)
        # The session may have ended while the terminal started.
        if self._closed or request.invocation_id in self._undone:
            await terminal.close()
            raise ToolError("The session has ended" if self._closed else "It was cancelled")
        pty_id = f"pty-{secrets.token_hex(8)}"
        mark_in_use = partial(self._state.lifecycle.using, session)
        offline = context.sandbox.offline
        pty = PtySession(pty_id, request.invocation_id, terminal, mark_in_use, offline=offline)
        self._ptys[pty_id] = pty
        self._forget_ended()
        try:
            await connection.reply(request, {"result": {"ptySessionId": pty_id}})
        except BaseException:
            self._discard(pty)
            raise
        pty.subscribe(connection, None)

    def _discard(self, pty: PtySession) -> None:
        if self._ptys.pop(pty.id, None) is not None:
            self._state.background.launch(pty.close(), f"close {pty.id} of {self._session_id}")

    async def _connect(
        self, connection: Connection, request: Request, arguments: Arguments
    ) -> None:
        pty = self._find(arguments)
        position = arguments.count("offset", 0) if "offset" in arguments.values else None
        # The reply first, so that the client knows the id when the output comes.
        await connection.reply(request, {"result": {"ptySessionId": pty.id}})
        pty.subscribe(connection, position)

    async def _kill(self, connection: Connection, request: Request, arguments: Arguments) -> None:
        await self._find(arguments).kill()
        await connection.reply(request, {"result": {}})

    def _resize(self, arguments: Arguments) -> None:
        columns, rows = arguments.count("cols", _COLUMNS), arguments.count("rows", _ROWS)
        self._find(arguments).resize(columns, rows)

    def _find(self, arguments: Arguments) -> PtySession:
        pty_id = arguments.text("ptySessionId")
        pty = self._ptys.get(pty_id)
        if pty is None:
            raise ToolError(f"The session has no terminal {pty_id[:100]!r}")
        return pty

    def _list_open(self) -> list[str]:
        return [pty_id for pty_id, pty in self._ptys.items() if pty.end_event is None]

    def _forget_ended(self) -> None:
        ended = [pty_id for pty_id, pty in self._ptys.items() if pty.end_event is not None]
        for pty_id in ended[:-_MAX_ENDED]:
            self._discard(self._ptys[pty_id])


async def _open_terminal(context: ToolContext, arguments: Arguments) -> Terminal:
    try:
        return await context.sandbox.terminal(
            await _choose_shell(context.sandbox, arguments),
            columns=arguments.count("cols", _COLUMNS),
            rows=arguments.count("rows", _ROWS),
            cwd=arguments.text("cwd", None),
            env={**context.state.env, **arguments.text_map("envs")},
        )
    except (SandboxOSError, InvalidRequest) as error:
        raise ToolError(f"The terminal cannot be opened: {error}") from error


async def _choose_shell(sandbox: Sandbox, arguments: Arguments) -> Sequence[str]:
    """Return the command to run: the one in the arguments, or the best shell that exists."""
    command = arguments.text("shell", "")
    if command:
        try:
            return shlex.split(command)
        except ValueError as error:
            raise arguments.wrong("shell", f"must be a command line: {error}") from error
    for shell in _SHELLS[:-1]:
        try:
            await sandbox.stat(shell)
        except SandboxOSError:
            continue
        return (shell,)
    return _SHELLS[-1:]


def _decode_input(arguments: Arguments) -> bytes:
    text, encoding = arguments.text("data"), arguments.text("encoding", "utf8")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return text.encode()
    except (binascii.Error, ValueError) as error:
        raise arguments.wrong("data", f"is not valid {encoding}") from error
