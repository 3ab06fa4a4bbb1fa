"""What has changed below a directory: pushed where the session offers that, asked for otherwise."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async._transport.websocket import Subscriber
from agentbay_async.errors import AgentBayError, APIError, BadAnswerError, ToolError, TransportError
from agentbay_async.models.files import FileChange
from agentbay_async.services._tool_calls import call_tool, get_access, get_socket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from agentbay_async._api import Api
    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket

logger = logging.getLogger("agentbay")

_TOOL = "get_file_change"
_SUBSCRIBED = 15.0
_GOODBYE = 2.0
# So many questions in a row may stay without an answer before the watch ends.
_PATIENCE = 5


async def iter_changes(
    api: Api, session_id: str, path: str, interval: float
) -> AsyncGenerator[FileChange, None]:
    """Yield each change below a directory, from when it is first asked for."""
    found = batches(api, session_id, path, interval, lambda: None)
    async with aclosing(found):
        async for batch in found:
            for change in batch:
                yield change


async def batches(
    api: Api, session_id: str, path: str, interval: float, ready: Callable[[], object]
) -> AsyncGenerator[list[FileChange], None]:
    """Yield changes below a directory, as many as come together.

    Args:
        api: The client's.
        session_id: The session.
        path: The directory; a slash at its end means nothing.
        interval: Seconds between two questions, where changes are not pushed.
        ready: Called once it is known what is there.

    Raises:
        AgentBayError: The session cannot tell, or is gone.
    """
    asking = _Asking(api, session_id, _plain(path))
    # What the first answer tells has happened before anybody watched.
    await asking.ask()
    access = await get_access(api, session_id)
    server = access.tools.server_of(_TOOL)
    if server and access.ws_url and access.token:
        pushed = _Pushed(await get_socket(api, session_id), server, asking)
        async with aclosing(pushed.batches(ready)) as found:
            async for batch in found:
                yield batch
        logger.info("changes of %s are not pushed; they are asked for", path)
    ready()
    while True:
        await api.clock.sleep(interval)
        if batch := await asking.ask():
            yield batch


class _Asking:
    """Asks for the changes since the last question."""

    def __init__(self, api: Api, session_id: str, path: str) -> None:
        self.path = path
        self._api = api
        self._session_id = session_id
        self._unanswered = 0

    async def ask(self) -> list[FileChange]:
        """Return what has changed; nothing, where for once there is no answer."""
        try:
            answer = await call_tool(self._api, self._session_id, _TOOL, {"path": self.path})
            changes = _changes(_parsed(answer.data, answer.request_id))
        except TransportError as error:
            self._unanswered += 1
            if self._unanswered >= _PATIENCE:
                raise
            logger.warning("%s; asked again at the next interval", error)
            return []
        self._unanswered = 0
        return changes


class _Pushed:
    """Changes as a session pushes them."""

    def __init__(self, socket: SessionSocket, server: str, asking: _Asking) -> None:
        self._socket = socket
        self._server = server
        self._asking = asking
        self._batches: deque[list[FileChange]] = deque()
        self._woken = asyncio.Event()
        # Not subscribed: at the beginning, and each time the line was made anew.
        self._cut_off = True
        self._ended = False

    async def batches(self, ready: Callable[[], object]) -> AsyncGenerator[list[FileChange], None]:
        """Yield what is pushed; end when that is not to be had (any more)."""
        leave = self._socket.subscribe(
            self._server, Subscriber(self._heard, self._reopened, self._lost)
        )
        try:
            while not self._ended:
                if self._cut_off:
                    self._cut_off = False
                    if not await self._subscribed():
                        return
                    ready()
                    # What changed before the session began to push, or while there was no line.
                    self._batches.append(await self._asking.ask())
                while self._batches:
                    if batch := self._batches.popleft():
                        yield batch
                await self._next()
        finally:
            leave()
            await self._say_goodbye()

    async def _next(self) -> None:
        """Wait until something has come, or has changed."""
        self._woken.clear()
        if not (self._cut_off or self._ended or self._batches):
            await self._woken.wait()

    async def _subscribed(self) -> bool:
        try:
            stream = await self._socket.stream(
                self._server, self._request("subscribe_file_change"), _SUBSCRIBED
            )
            try:
                with anyio.move_on_after(_SUBSCRIBED):
                    while (data := await stream.next()) is not None:
                        if data.get("phase") != "event":
                            return True
            finally:
                stream.cancel()
        except (APIError, ToolError, TransportError) as error:
            logger.info("%s", error)
        return False

    async def _say_goodbye(self) -> None:
        # Who stops reading may be cancelled; the session is told all the same, if that is quick.
        with anyio.CancelScope(shield=True):
            try:
                request = self._request("unsubscribe_file_change")
                await self._socket.send(self._server, request, timeout=_GOODBYE)
            except AgentBayError as error:
                logger.debug("the session was not told that nobody watches: %s", error)

    def _request(self, method: str) -> dict[str, Any]:
        return {"method": method, "params": {"path": self._asking.path}}

    def _heard(self, frame: Frame) -> None:
        data = frame.data
        path = data.get("path")
        ours = isinstance(path, str) and _plain(path) == self._asking.path
        if ours and data.get("eventType") == "file_change":
            self._batches.append(_changes(data.get("events")))
            self._woken.set()

    def _reopened(self) -> None:
        self._cut_off = True
        self._woken.set()

    def _lost(self, reason: AgentBayError) -> None:
        logger.info("%s", reason)
        self._ended = True
        self._woken.set()


def _plain(path: str) -> str:
    return path.rstrip("/") or "/"


def _parsed(text: str, request_id: str) -> Any:
    try:
        document = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, list):
        raise BadAnswerError(f"{_TOOL}: the answer is no JSON array", request_id=request_id)
    return document


def _changes(entries: Any) -> list[FileChange]:
    """Return the changes that can be read; a session may tell of kinds that are not known here."""
    return [
        FileChange(entry["eventType"], entry["path"], str(entry.get("pathType") or "file"))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("eventType"), str)
        and isinstance(entry.get("path"), str)
    ]
