"""One terminal of a session: a task reads it, another writes to it, any number of clients watch.

A terminal outlives its connections. Without a subscriber, its last output is kept up to a bound and
the oldest is dropped. With subscribers, the slowest sets the pace (backpressure), so that none of
them misses output.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.sandbox.host.pipes import CHUNK
from agentbay_local.tools.shell import OFFLINE_HINT
from agentbay_local.websocket.scrollback import Scrollback
from agentbay_local.websocket.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agentbay_local.sandbox.host.terminal import Terminal
    from agentbay_local.websocket.connection import Connection

__all__ = ["PtySession"]

_SCROLLBACK_SIZE = 1024 * 1024
_MAX_PENDING_INPUT = 4 * 1024 * 1024
_USUAL_SIZE = 80, 24
_KILL_TIMEOUT = 5.0
# For subscribers to send the end before they are cancelled.
_FLUSH_TIMEOUT = 1.0


class PtySession:
    """A terminal, its scrollback and its subscribers.

    Args:
        pty_id: The id of the terminal.
        invocation_id: The id of the request that opened it.
        terminal: The terminal; this object closes it.
        mark_in_use: Makes a context in which the session counts as used.
        offline: Whether the session reaches no host.

    Attributes:
        id: The id of the terminal.
        invocation_id: The id of the request that opened it.
        scrollback: Its last output.
        changed: Set, and replaced by a new event, when there is output or the end.
    """

    def __init__(
        self,
        pty_id: str,
        invocation_id: str,
        terminal: Terminal,
        mark_in_use: Callable[[], AbstractContextManager[None]],
        *,
        offline: bool,
    ) -> None:
        self.id = pty_id
        self.invocation_id = invocation_id
        self.scrollback = Scrollback(_SCROLLBACK_SIZE)
        self.changed = asyncio.Event()
        self._terminal = terminal
        self._size = _USUAL_SIZE
        self._mark_in_use = mark_in_use
        self._offline = offline
        self._subscribers: dict[Connection, Subscriber] = {}
        self._progress = asyncio.Event()
        self._ended = asyncio.Event()
        self._end_event: dict[str, Any] | None = None
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._pending_input = 0
        self._writer = asyncio.create_task(self._write())
        self._reader = asyncio.create_task(self._read())
        self._subscriber_tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def end_event(self) -> dict[str, Any] | None:
        """The event that reports the end, once all output has been read."""
        return self._end_event

    @property
    def size(self) -> tuple[int, int]:
        """The columns and rows of the terminal; those before its end once it has ended."""
        self._size = self._terminal.size() or self._size
        return self._size

    def subscribe(self, connection: Connection, position: int | None) -> None:
        """Send output to a connection, from a position or from the first byte that is kept.

        A connection that is subscribed already continues from there.
        """
        if self._closed:
            return  # its connection is about to be closed too
        subscriber = self._subscribers.get(connection)
        if subscriber is None:
            subscriber = self._subscribers[connection] = Subscriber(self, connection)
            task = asyncio.create_task(self._run_subscriber(connection, subscriber))
            self._subscriber_tasks.add(task)
            task.add_done_callback(self._subscriber_tasks.discard)
        subscriber.seek(position or 0, is_new=position is None)
        self._notify()

    def on_progress(self) -> None:
        """Let the reader go on, because a subscriber has sent output."""
        self._progress.set()

    def write(self, data: bytes) -> None:
        """Queue input.

        Raises:
            ToolError: The terminal has ended, or does not read its input.
        """
        self._check_open()
        if self._pending_input + len(data) > _MAX_PENDING_INPUT:
            raise ToolError(
                f"Terminal {self.id} does not read its input: "
                f"{self._pending_input} bytes are waiting"
            )
        self._pending_input += len(data)
        self._input.put_nowait(data)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size.

        Raises:
            ToolError: The terminal has ended.
            InvalidRequest: The size is out of range.
        """
        self._check_open()
        with contextlib.suppress(SandboxOSError):  # it is ending, which the end event reports
            self._terminal.resize(columns, rows)

    async def kill(self) -> None:
        """Kill the processes of the terminal, and wait for its end for some seconds."""
        self._terminal.kill()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _KILL_TIMEOUT)

    async def close(self) -> None:
        """End the terminal with its session; takes a few seconds at most."""
        self._closed = True
        tasks = {self._reader, *self._subscriber_tasks}
        try:
            await self.kill()
            await asyncio.wait(tasks, timeout=_FLUSH_TIMEOUT)
        finally:
            # Also if the service stops meanwhile, because the loop ends with it.
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while data := await self._read_chunk():
                self.scrollback.append(data)
                self._notify()
            code = await self._terminal.wait()
            self._end_event = {"eventType": "pty.exit", "exitCode": code}
            if code != 0 and self._offline:
                # The client looks whether the output asks for it: it may have had standard error.
                self._end_event["offlineHint"] = OFFLINE_HINT
        except SandboxError as error:
            message = f"the terminal has ended: {error}"
            self._end_event = {"eventType": "pty.error", "error": message}
        finally:
            self._ended.set()
            self._notify()
            self._writer.cancel()
            # Hangs up background processes that still use the terminal.
            await self._terminal.close()

    async def _read_chunk(self) -> bytes:
        """Read output, once no subscriber would lose bytes that it has not sent."""
        while any(
            self.scrollback.end - subscriber.position > _SCROLLBACK_SIZE - CHUNK
            for subscriber in self._subscribers.values()
        ):
            self._progress.clear()
            await self._progress.wait()
        return await self._terminal.read(CHUNK)

    async def _write(self) -> None:
        # After a hang-up nobody reads the input; the reader reports the end.
        with contextlib.suppress(SandboxOSError):
            while True:
                data = await self._input.get()
                await self._terminal.write(data)
                self._pending_input -= len(data)

    async def _run_subscriber(self, connection: Connection, subscriber: Subscriber) -> None:
        try:
            with self._mark_in_use():
                await subscriber.run()
        finally:
            del self._subscribers[connection]
            # It may have been the slowest.
            self.on_progress()

    def _check_open(self) -> None:
        if self._ended.is_set():
            raise ToolError(f"Terminal {self.id} has ended")

    def _notify(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
