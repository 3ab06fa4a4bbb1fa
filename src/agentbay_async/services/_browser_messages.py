"""Pass the messages that the browser of a session pushes to a callback."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from agentbay_async._transport.websocket import Subscriber
from agentbay_async.models.browser import BrowserNotifyMessage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket
    from agentbay_async.errors import AgentBayError

logger = logging.getLogger("agentbay")

# Messages that are kept for a slow callback.
_MAX_UNREAD = 1000


class BrowserMessages:
    """The messages of one browser, each passed to a callback in turn.

    Args:
        session_id: The session, for the log.
        server: The server of the session that speaks for its browser.
        callback: Called with each message.
    """

    def __init__(
        self,
        session_id: str,
        server: str,
        callback: Callable[[BrowserNotifyMessage], Awaitable[None] | None],
    ) -> None:
        self._session_id = session_id
        self._server = server
        self._callback = callback
        self._unread: deque[BrowserNotifyMessage] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    async def listen(self, socket: SessionSocket) -> None:
        """Begin to pass messages; return when the connection is up."""
        subscriber = Subscriber(self._on_frame, self._on_reconnect, self._on_close)
        self._unsubscribe = socket.subscribe(self._server, subscriber)
        self._task = asyncio.create_task(self._run())
        try:
            await socket.connect()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Pass no more messages. The callback may call this; it then runs to its end."""
        self._unsubscribe()
        self._unread.clear()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._changed.set()

    def _on_frame(self, frame: Frame) -> None:
        if frame.error:
            logger.warning("%s: the browser refused a message: %s", self, frame.error)
        if frame.error or not frame.data:
            return
        if len(self._unread) >= _MAX_UNREAD:
            logger.warning("%s: dropped a message of the browser: the callback is too slow", self)
            return
        self._unread.append(BrowserNotifyMessage.from_wire(frame.data))
        self._changed.set()

    def _on_reconnect(self) -> None:
        logger.info("%s: messages of the browser may be lost: the connection broke", self)

    def _on_close(self, error: AgentBayError) -> None:
        logger.info("%s: no more messages of the browser: %s", self, error)
        self._end()

    def __str__(self) -> str:
        return self._session_id

    async def _run(self) -> None:
        while True:
            while self._unread:
                await self._pass(self._unread.popleft())
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _pass(self, message: BrowserNotifyMessage) -> None:
        try:
            awaitable = self._callback(message)
            if awaitable is not None:
                await awaitable
        except Exception:
            # A failing callback must not miss the next messages.
            logger.exception("%s: the callback for messages of the browser failed", self)
