"""Watch a directory of a session: pushed changes if the session supports them, else polling."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async._protocol.error_codes import SESSION_STATE
from agentbay_async._transport.websocket import Subscriber
from agentbay_async.errors import (
    AgentBayError,
    AnswerTooLargeError,
    APIError,
    BadAnswerError,
    ToolError,
    TransportError,
)
from agentbay_async.models.files import FileChange, FileChanges
from agentbay_async.services._tool_calls import call_tool, get_access, get_socket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from agentbay_async._api import Api
    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket

logger = logging.getLogger("agentbay")

_TOOL = "get_file_change"
# Seconds to wait for the session to confirm a subscription.
_SUBSCRIBE_TIMEOUT = 15.0
# Seconds without a push after which the session is polled.
_SILENCE = 60.0
# Seconds to spend on ending a subscription.
_UNSUBSCRIBE_TIMEOUT = 2.0
# Changes that are kept until they are read.
_MAX_UNREAD = 100_000
# Failed polls in a row after which the watch ends.
_MAX_FAILED_POLLS = 5


async def fetch_changes(api: Api, session_id: str, path: str) -> tuple[FileChanges, str]:
    """Return the changes since they were last asked for, and the id of the request.

    Raises:
        AgentBayError: The session cannot tell them, or is gone.
    """
    answer = await call_tool(api, session_id, _TOOL, {"path": _strip_slash(path)})
    events = _parse_changes(_load_array(answer.data, answer.request_id))
    return FileChanges(events, answer.data), answer.request_id


async def iter_changes(
    api: Api, session_id: str, path: str, interval: float
) -> AsyncGenerator[FileChange, None]:
    """Yield the changes below a directory, one by one; see :func:`iter_batches`."""
    batches = iter_batches(api, session_id, path, interval, lambda: None)
    async with aclosing(batches):
        async for batch in batches:
            for change in batch:
                yield change


async def iter_batches(
    api: Api, session_id: str, path: str, interval: float, on_ready: Callable[[], object]
) -> AsyncGenerator[list[FileChange], None]:
    """Yield the changes below a directory, in the batches in which they arrive.

    Args:
        api: The client's API.
        session_id: The session.
        path: The directory, with or without a slash at its end.
        interval: Seconds between two polls.
        on_ready: Called when the watch has begun: changes from then on are reported.

    Raises:
        AgentBayError: The session cannot watch, or is gone.
    """
    poller = _Poller(api, session_id, _strip_slash(path))
    # The first answer has the changes before the watch began.
    await poller.poll()
    access = await get_access(api, session_id)
    server = access.tools.server_of(_TOOL)
    if server and access.ws_url and access.token:
        subscription = _Subscription(await get_socket(api, session_id), server, poller)
        async with aclosing(subscription.iter_batches(on_ready)) as batches:
            async for batch in batches:
                yield batch
        logger.info("changes of %s are not pushed; polling instead", path)
    on_ready()
    while True:
        await api.clock.sleep(interval)
        if batch := await poller.poll():
            yield batch


class _Poller:
    """Ask the session for the changes since the last poll."""

    def __init__(self, api: Api, session_id: str, path: str) -> None:
        self.path = path
        self._api = api
        self._session_id = session_id
        self._failed = 0

    async def poll(self) -> list[FileChange]:
        """Return the changes since the last poll; none if this poll failed."""
        try:
            changes = (await fetch_changes(self._api, self._session_id, self.path))[0].events
        except TransportError as error:
            self._failed += 1
            if self._failed >= _MAX_FAILED_POLLS:
                raise
            logger.warning("%s; polling again after the interval", error)
            return []
        self._failed = 0
        return changes


class _Subscription:
    """Receive the changes that a session pushes.

    After subscribing, and after each reconnect, the session is polled once: that finds the changes
    for which nobody was subscribed.
    """

    def __init__(self, socket: SessionSocket, server: str, poller: _Poller) -> None:
        self._socket = socket
        self._server = server
        self._poller = poller
        self._batches: deque[list[FileChange]] = deque()
        self._unread = 0
        self._overflowed = False
        self._changed = asyncio.Event()
        self._must_subscribe = True
        self._closed = False

    async def iter_batches(
        self, on_ready: Callable[[], object]
    ) -> AsyncGenerator[list[FileChange], None]:
        """Yield pushed batches; end if the session does not push (any more)."""
        unsubscribe = self._socket.subscribe(
            self._server, Subscriber(self._on_frame, self._on_reconnect, self._on_close)
        )
        try:
            while not self._closed:
                if self._must_subscribe:
                    self._must_subscribe = False
                    if not await self._subscribe():
                        return
                    on_ready()
                    self._add(await self._poller.poll())
                while self._batches:
                    batch = self._batches.popleft()
                    self._unread -= len(batch)
                    yield batch
                self._check_complete()
                await self._wait()
        finally:
            unsubscribe()
            await self._send_unsubscribe()

    async def _wait(self) -> None:
        """Wait for a batch, a reconnect or the end; poll when none comes for long."""
        self._changed.clear()
        if self._must_subscribe or self._closed or self._batches or self._overflowed:
            return
        with anyio.move_on_after(_SILENCE) as silence:
            await self._changed.wait()
        if silence.cancelled_caught:
            self._add(await self._poll_unless_paused())

    def _add(self, changes: list[FileChange]) -> None:
        if self._unread + len(changes) > _MAX_UNREAD:
            self._overflowed = True
        elif changes:
            self._batches.append(changes)
            self._unread += len(changes)
        self._changed.set()

    def _check_complete(self) -> None:
        # Dropping changes in silence would leave the caller with a wrong picture.
        if self._overflowed:
            raise AnswerTooLargeError(
                f"more than {_MAX_UNREAD} changes of {self._poller.path} were not read in time",
                hint="Watch again, and look through the directory",
            )

    async def _poll_unless_paused(self) -> list[FileChange]:
        """Ask for changes: a subscription that the session lost gets no frame that says so."""
        try:
            return await self._poller.poll()
        except APIError as error:
            if error.code != SESSION_STATE:
                raise
            return []

    async def _subscribe(self) -> bool:
        """Subscribe; return whether the session confirmed it."""
        try:
            stream = await self._socket.stream(
                self._server, self._request("subscribe_file_change"), _SUBSCRIBE_TIMEOUT
            )
            try:
                with anyio.move_on_after(_SUBSCRIBE_TIMEOUT):
                    while (data := await stream.next()) is not None:
                        if data.get("phase") != "event":
                            return True
            finally:
                await stream.aclose()
        except (APIError, ToolError, TransportError) as error:
            logger.info("%s", error)
        return False

    async def _send_unsubscribe(self) -> None:
        # Shielded, because a watch often ends by a cancel; the session is still told.
        with anyio.CancelScope(shield=True):
            try:
                request = self._request("unsubscribe_file_change")
                await self._socket.send(self._server, request, timeout=_UNSUBSCRIBE_TIMEOUT)
            except AgentBayError as error:
                logger.debug("could not unsubscribe from file changes: %s", error)

    def _request(self, method: str) -> dict[str, Any]:
        return {"method": method, "params": {"path": self._poller.path}}

    def _on_frame(self, frame: Frame) -> None:
        data = frame.data
        path = data.get("path")
        matches = isinstance(path, str) and _strip_slash(path) == self._poller.path
        if matches and data.get("eventType") == "file_change":
            self._add(_parse_changes(data.get("events")))

    def _on_reconnect(self) -> None:
        self._must_subscribe = True
        self._changed.set()

    def _on_close(self, reason: AgentBayError) -> None:
        logger.info("%s", reason)
        self._closed = True
        self._changed.set()


def _strip_slash(path: str) -> str:
    return path.rstrip("/") or "/"


def _load_array(text: str, request_id: str) -> list[Any]:
    try:
        document = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, list):
        raise BadAnswerError(f"{_TOOL}: the answer is not a JSON array", request_id=request_id)
    return document


def _parse_changes(entries: Any) -> list[FileChange]:
    """Read changes; skip entries of unknown form, which a newer service may send."""
    return [
        FileChange(entry["eventType"], entry["path"], str(entry.get("pathType") or "file"))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("eventType"), str)
        and isinstance(entry.get("path"), str)
    ]
