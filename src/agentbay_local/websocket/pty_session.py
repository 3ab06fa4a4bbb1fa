"""One terminal of a session: read by one task, typed into by another, shown to any number of lines.

It lives on when nobody looks. Then what it writes is kept up to a bound, and old output gives way;
while somebody looks, it is read no faster than the slowest of them can follow, so that they miss
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.sandbox.host.pipes import CHUNK
from agentbay_local.websocket.scrollback import Scrollback
from agentbay_local.websocket.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agentbay_local.sandbox.host.terminal import Terminal
    from agentbay_local.websocket.connection import Connection

__all__ = ["PtySession"]

_KEPT = 1024 * 1024
_MOST_TYPED = 4 * 1024 * 1024
_END_WITHIN = 5.0
_TELL_WITHIN = 1.0


class PtySession:
    """A terminal and what it has written.

    Args:
        name: What it is addressed by.
        terminal: The terminal; the screen closes it.
        used: Makes a context in which the session counts as used: while somebody looks.

    Attributes:
        id: What it is addressed by.
        kept: What it has written.
        news: Set, and replaced, when something has happened.
    """

    def __init__(
        self, name: str, terminal: Terminal, used: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.id = name
        self.kept = Scrollback(_KEPT)
        self.news = asyncio.Event()
        self._terminal = terminal
        self._used = used
        self._viewers: dict[Connection, Subscriber] = {}
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self._ending: dict[str, Any] | None = None
        self._typed: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting = 0
        self._writing = asyncio.create_task(self._write())
        self._reading = asyncio.create_task(self._read())
        self._viewing: set[asyncio.Task[None]] = set()

    @property
    def ending(self) -> dict[str, Any] | None:
        """The push that tells of the end, once all that was written has been read."""
        return self._ending

    def show(self, line: Connection, position: int | None) -> None:
        """Show it to a line, from a byte on, or all that is kept; a line sees it once."""
        viewer = self._viewers.get(line)
        if viewer is None:
            viewer = self._viewers[line] = Subscriber(self, line)
            task = asyncio.create_task(self._shown(line, viewer))
            self._viewing.add(task)
            task.add_done_callback(self._viewing.discard)
        viewer.place(position or 0, at_once=position is not None)
        self._tell()

    def seen(self) -> None:
        """Take note that a viewer has gone on."""
        self._room.set()

    def type(self, data: bytes) -> None:
        """Type something, after what was typed before.

        Raises:
            ToolError: It has ended, or does not read what was typed before.
        """
        self._check()
        if self._waiting + len(data) > _MOST_TYPED:
            raise ToolError(f"Terminal {self.id} does not read its input: too much is waiting")
        self._waiting += len(data)
        self._typed.put_nowait(data)

    def resize(self, columns: int, rows: int) -> None:
        """Change its size.

        Raises:
            ToolError: It has ended.
            InvalidRequest: The size is out of range.
        """
        self._check()
        with contextlib.suppress(SandboxOSError):  # it ends just now, which is told
            self._terminal.resize(columns, rows)

    async def kill(self) -> None:
        """End its processes, and wait for that for some seconds; its viewers are told."""
        self._terminal.kill()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._over.wait(), _END_WITHIN)

    async def close(self) -> None:
        """End it with its session. Bounded."""
        await self.kill()
        tasks = {self._reading, *self._viewing}
        _, late = await asyncio.wait(tasks, timeout=_TELL_WITHIN)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while data := await self._next():
                self.kept.append(data)
                self._tell()
            code = await self._terminal.wait()
            self._ending = {"eventType": "pty.exit", "exitCode": code}
        except SandboxError as error:
            self._ending = {"eventType": "pty.error", "error": f"the terminal has ended: {error}"}
        finally:
            self._over.set()
            self._tell()
            self._writing.cancel()
            # What still runs on it behind the back of its program is hung up.
            await self._terminal.close()

    async def _next(self) -> bytes:
        """Return what it writes next, when all who look have room for it."""
        while any(self.kept.end - one.position > _KEPT - CHUNK for one in self._viewers.values()):
            self._room.clear()
            await self._room.wait()
        return await self._terminal.read(CHUNK)

    async def _write(self) -> None:
        # When it is hung up nobody reads any more; its end is told by what reads it.
        with contextlib.suppress(SandboxOSError):
            while True:
                data = await self._typed.get()
                await self._terminal.write(data)
                self._waiting -= len(data)

    async def _shown(self, line: Connection, viewer: Subscriber) -> None:
        try:
            with self._used():
                await viewer.show()
        finally:
            del self._viewers[line]
            self.seen()

    def _check(self) -> None:
        if self._over.is_set():
            raise ToolError(f"Terminal {self.id} has ended")

    def _tell(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()
