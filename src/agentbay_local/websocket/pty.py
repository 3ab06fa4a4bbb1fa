"""The server of terminals: all that one session has, and what clients ask about them.

Terminals belong to the session and not to a line: they end with their program, by a kill, or with
the session. Those that have ended are kept for a while, so that who comes late still sees the end.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.errors import InvalidRequest, SandboxOSError
from agentbay_local.websocket.pty_session import PtySession

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.state import ServiceState
    from agentbay_local.websocket.connection import Connection
    from agentbay_local.websocket.frames import Request

__all__ = ["PtyServer"]

_MOST_OPEN = 64
_MOST_ENDED = 16
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
        self._screens: dict[str, PtySession] = {}
        self._closed = False

    def take(self, line: Connection, asked: Request) -> Coroutine[Any, Any, None] | None:
        """Take a question; return what answers it. Input is taken at once, in its order.

        Raises:
            ToolError: There is no such method, or it cannot be done.
        """
        arguments = Arguments(asked.method, asked.params)
        if asked.method == "pty.input":
            self._screen(arguments).type(_typed(arguments))
        elif asked.method == "pty.resize":
            self._resize(arguments)
        elif asked.method == "pty.create":
            return self._create(line, asked, arguments)
        elif asked.method == "pty.connect":
            return self._connect(line, asked, arguments)
        elif asked.method == "pty.kill":
            return self._kill(line, asked, arguments)
        elif asked.method == "pty.list":
            return line.answer(asked, {"result": {"ptySessionIds": self._open()}})
        else:
            raise ToolError(f"PTY_SERVER has no method {asked.method!r}")
        return None

    async def close(self) -> None:
        """End all terminals with the session."""
        self._closed = True
        screens, self._screens = self._screens, {}
        await asyncio.gather(*(screen.close() for screen in screens.values()))

    async def _create(self, line: Connection, asked: Request, arguments: Arguments) -> None:
        session = self._state.running_session(self._session_id)
        place = await self._state.tool_context(session)
        if len(self._open()) >= _MOST_OPEN:
            raise ToolError(f"The session has {_MOST_OPEN} terminals open; close one first")
        try:
            terminal = await place.sandbox.terminal(
                await _shell(place.sandbox, arguments),
                columns=arguments.count("cols", _COLUMNS),
                rows=arguments.count("rows", _ROWS),
                cwd=arguments.optional_text("cwd"),
                env={**place.memory.env, **arguments.text_map("envs")},
            )
        except (SandboxOSError, InvalidRequest) as error:
            raise ToolError(f"The terminal cannot be opened: {error}") from error
        if self._closed:
            await terminal.close()
            raise ToolError("The session has ended")
        name = f"pty-{secrets.token_hex(8)}"
        used = partial(self._state.lifecycle.using, session)
        screen = self._screens[name] = PtySession(name, terminal, used)
        self._forget_old()
        await line.answer(asked, {"result": {"ptySessionId": name}})
        screen.show(line, None)

    async def _connect(self, line: Connection, asked: Request, arguments: Arguments) -> None:
        screen = self._screen(arguments)
        offset = arguments.count("offset", 0) if "offset" in arguments.values else None
        # The replay follows the answer, or a client could not know what it is of.
        await line.answer(asked, {"result": {"ptySessionId": screen.id}})
        screen.show(line, offset)

    async def _kill(self, line: Connection, asked: Request, arguments: Arguments) -> None:
        await self._screen(arguments).kill()
        await line.answer(asked, {"result": {}})

    def _resize(self, arguments: Arguments) -> None:
        columns, rows = arguments.count("cols", _COLUMNS), arguments.count("rows", _ROWS)
        self._screen(arguments).resize(columns, rows)

    def _screen(self, arguments: Arguments) -> PtySession:
        name = arguments.text("ptySessionId")
        screen = self._screens.get(name)
        if screen is None:
            raise ToolError(f"The session has no terminal {name[:100]!r}")
        return screen

    def _open(self) -> list[str]:
        return [name for name, screen in self._screens.items() if screen.ending is None]

    def _forget_old(self) -> None:
        ended = [name for name, screen in self._screens.items() if screen.ending is not None]
        for name in ended[:-_MOST_ENDED]:
            del self._screens[name]


async def _shell(sandbox: Sandbox, arguments: Arguments) -> Sequence[str]:
    """Return the program to run: what was asked for, else the best shell there is."""
    wanted = arguments.text("shell", "")
    if wanted:
        try:
            return shlex.split(wanted)
        except ValueError as error:
            raise arguments.wrong("shell", f"must be a command line: {error}") from error
    for shell in _SHELLS[:-1]:
        try:
            await sandbox.stat(shell)
        except SandboxOSError:
            continue
        return (shell,)
    return _SHELLS[-1:]


def _typed(arguments: Arguments) -> bytes:
    text, encoding = arguments.text("data"), arguments.text("encoding", "utf8")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return text.encode()
    except (binascii.Error, ValueError) as error:
        raise arguments.wrong("data", f"is no {encoding}") from error
