"""The WebSocket of a session: one connection, shared by all its users, with reconnection.

The socket connects when the first frame is sent. It reconnects only while a call, a stream or a
subscriber needs it. When a connection breaks, pending calls fail, because the session may have
acted on them; subscribers are notified after the reconnection and resume by themselves. No user can
close the connection for the others.

Nothing here knows aiohttp: :mod:`agentbay_async._transport.websocket_pool` makes the connections.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import attrs

from agentbay_async._protocol.frames import GATEWAY, read_frame, write_frame
from agentbay_async.errors import (
    AgentBayError,
    AnswerTooLargeError,
    APIError,
    BadAnswerError,
    ClosedError,
    ConnectionLostError,
    RequestTimeoutError,
    ServiceError,
    ToolError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_async._clock import Clock
    from agentbay_async._protocol.frames import Frame

logger = logging.getLogger("agentbay")

#: Seconds to wait for the answer to a call.
ANSWER_TIMEOUT = 30.0
# Seconds for the request that a server stop a stream which has no reader, or undo a call.
_CANCEL_TIMEOUT = 2.0

#: The most bytes of a stream that are kept until they are read.
MAX_UNREAD = 64 * 1024 * 1024
# What a parsed frame takes beside its text.
_FRAME_OVERHEAD = 1024

# Reconnection: the first pause in seconds, its growth, its limit, and the jitter that keeps a
# thousand sessions from reconnecting at the same moment.
_FIRST_PAUSE = 0.5
_PAUSE_FACTOR = 1.5
_LONGEST_PAUSE = 5.0
_JITTER = 0.1
# A first connection is given up after this many attempts, a broken one after this many seconds: by
# then the session has most likely ended.
_FIRST_ATTEMPTS = 4
_GIVE_UP_AFTER = 300.0


class Connection(Protocol):
    """A connection that carries text frames."""

    async def send(self, text: str) -> None:
        """Send one frame; raise ConnectionLostError when the connection is broken."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next frame, or ``None`` when the connection is broken.

        Raises:
            AnswerTooLargeError: The frame is too large; the connection is broken.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


@attrs.frozen(eq=False)
class Subscriber:
    """Callbacks for the frames that a server pushes. They are called on the loop and must not wait.

    Attributes:
        on_frame: Called with each frame.
        on_reconnect: Called after the connection broke and is up again; frames sent between are
            lost.
        on_close: Called once, with the reason, when no more frames will come.
    """

    on_frame: Callable[[Frame], None]
    on_reconnect: Callable[[], None]
    on_close: Callable[[AgentBayError], None]


class SessionSocket:
    """The WebSocket of one session, in one event loop.

    Args:
        dial: Opens a connection, or raises an AgentBayError.
        clock: Measures pauses between attempts.
        session_id: The session, for error messages.
    """

    def __init__(
        self, dial: Callable[[], Awaitable[Connection]], clock: Clock, session_id: str
    ) -> None:
        self._dial = dial
        self._clock = clock
        self._session_id = session_id
        self._pending: dict[str, FrameReceiver] = {}
        self._subscribers: dict[str, list[Subscriber]] = {}
        self._waiting = 0
        self._connection: Connection | None = None
        self._changed = asyncio.Event()
        self._last_error: AgentBayError | None = None
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    async def call(
        self,
        target: str,
        data: dict[str, Any],
        timeout: float = ANSWER_TIMEOUT,
        *,
        before: Sequence[dict[str, Any]] = (),
        undo: bool = False,
    ) -> dict[str, Any]:
        """Call a server and return the data of its answer.

        Args:
            target: The server.
            data: The request.
            timeout: Seconds until the answer must be there.
            before: Requests without an answer, to send first and on the same connection. A server
                reads frames in order, so the answer to the call proves that these have arrived.
            undo: Whether to ask the server to undo the call if its answer is lost.

        Raises:
            ToolError: The server answered with an error, to the call or to one of `before`.
            ConnectionLostError: The connection broke before the answer; the server may have acted.
            TransportError: No connection could be made, or no answer came in time.
        """
        call = PendingCall()
        requests: list[tuple[FrameReceiver, dict[str, Any]]] = [
            *((UnansweredRequest(call), request) for request in before),
            (call, data),
        ]
        try:
            with anyio.fail_after(timeout):
                await self._start(target, requests)
                return await call.answer
        except BaseException as error:
            if undo and call.is_sent and not isinstance(error, ToolError):
                await self.cancel(target, call.id)
            if isinstance(error, TimeoutError):
                raise self._timeout_error(target, timeout) from None
            raise
        finally:
            for receiver, _ in requests:
                self._pending.pop(receiver.id, None)

    async def stream(
        self, target: str, data: dict[str, Any], timeout: float = ANSWER_TIMEOUT
    ) -> Stream:
        """Start a call that is answered with many frames.

        Args:
            target: The server.
            data: The request.
            timeout: Seconds until the request is sent.
        """
        pending = PendingStream()
        try:
            with anyio.fail_after(timeout):
                await self._start(target, [(pending, data)])
        except BaseException as error:
            self._pending.pop(pending.id, None)
            # RequestTimeoutError is a TimeoutError too, and is raised as it is.
            if isinstance(error, TimeoutError) and not isinstance(error, AgentBayError):
                raise self._timeout_error(target, timeout) from None
            raise
        return Stream(self, target, pending)

    async def connect(self, timeout: float = ANSWER_TIMEOUT) -> None:
        """Wait until there is a connection.

        Raises:
            TransportError: No connection could be made.
        """
        try:
            with anyio.fail_after(timeout):
                await self._connected()
        except TimeoutError as error:
            if isinstance(error, AgentBayError):
                raise
            raise self._timeout_error("the WebSocket", timeout) from None

    async def send(
        self,
        target: str,
        data: dict[str, Any],
        invocation: str = "",
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        """Send a frame that has no answer.

        Raises:
            TransportError: The frame could not be sent.
        """
        try:
            with anyio.fail_after(timeout):
                await self._send(write_frame(invocation or uuid.uuid4().hex, target, data))
        except TimeoutError:
            raise self._timeout_error(target, timeout) from None

    async def cancel(self, target: str, invocation: str) -> None:
        """Ask a server to end a request, or to undo it.

        The message is an extension of the protocol. The local service obeys it; another server may
        answer with an error, which is dropped.
        """
        # Shielded, because requests often end by a cancel; the server is still told.
        with anyio.CancelScope(shield=True):
            try:
                await self.send(target, {"method": "cancel"}, invocation, _CANCEL_TIMEOUT)
            except AgentBayError as error:
                logger.debug("could not cancel a request: %s", error)

    def subscribe(self, target: str, subscriber: Subscriber) -> Callable[[], None]:
        """Pass the frames that a server pushes to `subscriber`; return the unsubscribe function."""
        subscribers = self._subscribers.setdefault(target, [])
        subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in subscribers:
                subscribers.remove(subscriber)

        return unsubscribe

    def forget(self, invocation: str) -> bool:
        """Drop further frames of an invocation; return whether it was pending."""
        return self._pending.pop(invocation, None) is not None

    async def aclose(self) -> None:
        """Close the connection. Pending calls fail."""
        self._closed = True
        runner = self._runner
        if runner is not None:
            runner.cancel()
            await asyncio.wait([runner])

    async def _start(
        self, target: str, requests: Sequence[tuple[FrameReceiver, dict[str, Any]]]
    ) -> None:
        """Send requests on one connection, in order."""
        connection = await self._connected()
        for receiver, data in requests:
            # Registered first: the answer may come before send() returns.
            self._pending[receiver.id] = receiver
            receiver.is_sent = True
            await connection.send(write_frame(receiver.id, target, data))

    async def _send(self, text: str) -> None:
        connection = await self._connected()
        await connection.send(text)

    async def _connected(self) -> Connection:
        # Counted, so that the runner keeps trying to connect while a caller waits here.
        self._waiting += 1
        try:
            connection = self._connection
            while connection is None:
                await self._wait_for_change()
                connection = self._connection
            return connection
        finally:
            self._waiting -= 1

    def check_open(self) -> None:
        """Raise ClosedError if the client or the session was closed."""
        if self._closed:
            raise ClosedError(
                "the client, or the session, was closed",
                hint="Look the session up with a new client",
            )

    async def _wait_for_change(self) -> None:
        """Wait until a connection is made or given up; raise the error if it was given up."""
        self.check_open()
        if self._runner is None:
            self._last_error = None
            self._runner = asyncio.create_task(self._run())
        self._changed.clear()
        await self._changed.wait()
        self._raise_if_given_up()

    def _raise_if_given_up(self) -> None:
        if self._runner is None and self._last_error is not None:
            raise self._last_error

    def _timeout_error(self, target: str, timeout: float) -> AgentBayError:
        # Without a connection, the reason for that says more than the timeout.
        if self._connection is None and self._last_error is not None:
            return self._last_error
        return RequestTimeoutError(
            f"{target}: no answer within {timeout:.3g} s", session_id=self._session_id
        )

    async def _run(self) -> None:
        """Keep the connection up while it is needed. Raises nothing but a cancellation."""
        reason: AgentBayError = ConnectionLostError(
            "the WebSocket of the session was closed", session_id=self._session_id
        )
        try:
            reason = await self._stay_connected()
        finally:
            self._runner = None
            self._connection = None
            self._last_error = reason
            self._fail_pending(reason)
            for subscriber in self._all_subscribers():
                _call_guarded(subscriber.on_close, reason)
            self._changed.set()

    async def _stay_connected(self) -> AgentBayError:
        """Connect, read, reconnect; return the reason for giving up."""
        first = True
        while True:
            connection = await self._connect(first=first)
            if isinstance(connection, AgentBayError):
                return connection
            if not first:
                for subscriber in self._all_subscribers():
                    _call_guarded(subscriber.on_reconnect)
            first = False
            error = await self._read(connection)
            self._fail_pending(error)
            if not self._needed():
                return error

    async def _connect(self, *, first: bool) -> Connection | AgentBayError:
        """Return a new connection, or the error of the last attempt."""
        policy = ReconnectPolicy(self._clock, first=first)
        while True:
            try:
                connection = self._connection = await self._dial()
            except AgentBayError as error:
                self._last_error = error
                pause = policy.pause_after(error)
                if pause is None or not self._needed():
                    return error
                logger.info("%s; the next attempt is in %.1f s", error, pause)
            else:
                self._changed.set()
                return connection
            await self._clock.sleep(pause)

    async def _read(self, connection: Connection) -> AgentBayError:
        """Dispatch frames until the connection breaks; return the error for pending calls."""
        try:
            while (text := await connection.receive()) is not None:
                self._dispatch(text)
        except AnswerTooLargeError as error:
            error.session_id = self._session_id
            return error
        finally:
            self._connection = None
            # Closing a broken connection may hang, and must not delay the reconnection.
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await connection.close()
        return ConnectionLostError(
            "the WebSocket of the session broke", session_id=self._session_id
        )

    def _dispatch(self, text: str | bytes) -> None:
        try:
            frame = read_frame(text)
        except ValueError as error:
            logger.warning("%s: dropped a frame that %s", self._session_id, error)
            return
        receiver = self._pending.get(frame.id)
        if receiver is not None:
            if receiver.take(frame):
                self._pending.pop(frame.id, None)
            return
        # A copy, because a subscriber may unsubscribe while it is called.
        for subscriber in tuple(self._subscribers.get(frame.topic, ())):
            _call_guarded(subscriber.on_frame, frame)

    def _needed(self) -> bool:
        return bool(self._waiting or self._pending or any(self._subscribers.values()))

    def _all_subscribers(self) -> list[Subscriber]:
        return [one for some in self._subscribers.values() for one in some]

    def _fail_pending(self, error: AgentBayError) -> None:
        pending, self._pending = self._pending, {}
        for receiver in pending.values():
            receiver.fail(error)


def _call_guarded(callback: Callable[..., None], *args: Frame | AgentBayError) -> None:
    """Call a subscriber; log its exception, which must not end the connection of the others."""
    try:
        callback(*args)
    except Exception:
        logger.exception("a subscriber failed")


class Stream:
    """The frames of one stream, in order.

    Attributes:
        id: The id of the invocation.
    """

    def __init__(self, socket: SessionSocket, target: str, pending: PendingStream) -> None:
        self.id = pending.id
        self._socket = socket
        self._target = target
        self._pending = pending

    async def next(self) -> dict[str, Any] | None:
        """Return the data of the next frame, or ``None`` after the last."""
        return await self._pending.next()

    async def write(self, data: dict[str, Any]) -> None:
        """Send another frame within this stream."""
        await self._socket.send(self._target, data, self.id)

    async def aclose(self) -> None:
        """Drop further frames, and ask the server to stop if the stream has not ended."""
        if self._socket.forget(self.id):
            await self._socket.cancel(self._target, self.id)


class FrameReceiver(Protocol):
    """A pending call or stream: receives the frames of its id.

    Attributes:
        id: The id of the invocation.
        is_sent: Whether the server may have it.
    """

    id: str
    is_sent: bool

    def take(self, frame: Frame) -> bool:
        """Take a frame; return whether it was the last."""
        ...

    def fail(self, error: AgentBayError) -> None:
        """End with an error."""
        ...


class PendingCall:
    """A call that waits for its answer.

    Attributes:
        id: The id of the invocation.
        is_sent: Whether the server may have it.
        answer: The data of the answer.
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.is_sent = False
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def take(self, frame: Frame) -> bool:
        """Complete with the frame's data, or fail with its error."""
        error = frame.error or _structured_error(frame)
        if error:
            self.fail(ToolError(error, request_id=self.id))
        elif not self.answer.done():
            self.answer.set_result(frame.data)
        return True

    def fail(self, error: AgentBayError) -> None:
        """End with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)
            # Mark it as retrieved: the caller may be gone, and asyncio would log the error.
            self.answer.exception()


class UnansweredRequest:
    """A request that is answered only if it fails; its failure is that of the call after it.

    Attributes:
        id: The id of the invocation.
        is_sent: Whether the server may have it.
    """

    def __init__(self, call: PendingCall) -> None:
        self.id = uuid.uuid4().hex
        self.is_sent = False
        self._call = call

    def take(self, frame: Frame) -> bool:
        """Fail the call if the frame is an error."""
        if frame.error or _structured_error(frame):
            self._call.take(frame)
        return True

    def fail(self, error: AgentBayError) -> None:
        """Do nothing: the call fails for the same reason."""


def _structured_error(frame: Frame) -> str:
    """Return the message of an error that is an object, in an answer without a result."""
    error = frame.data.get("error")
    if error is None or "result" in frame.data:
        return ""
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) and message else "the call failed without a reason"


class PendingStream:
    """A stream that waits for frames, and keeps them in order until they are read.

    Attributes:
        id: The id of the invocation.
        is_sent: Whether the server may have it.
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.is_sent = False
        self._frames: deque[tuple[dict[str, Any], int]] = deque()
        self._unread = 0
        self._arrived = asyncio.Event()
        self._error: AgentBayError | None = None
        self._ended = False

    def take(self, frame: Frame) -> bool:
        """Keep a frame until it is read; return whether it was the last."""
        phase = frame.data.get("phase")
        if frame.error:
            self.fail(ToolError(frame.error, request_id=self.id))
        elif phase in ("event", "end") or frame.source == GATEWAY:
            self._keep(frame)
            self._ended = self._ended or phase != "event"
        elif phase == "error":
            message = _structured_error(frame) or "the stream failed without a reason"
            self.fail(ToolError(message, request_id=self.id))
        else:
            self.fail(BadAnswerError("a frame of a stream has no phase", request_id=self.id))
        self._arrived.set()
        return self._ended

    def _keep(self, frame: Frame) -> None:
        # Other users share the connection, so a slow reader cannot stop it.
        self._unread += frame.size + _FRAME_OVERHEAD
        if self._unread <= MAX_UNREAD:
            self._frames.append((frame.data, frame.size))
            return
        self.fail(
            AnswerTooLargeError(
                f"more than {MAX_UNREAD >> 20} MiB of a stream were not read in time",
                request_id=self.id,
            )
        )

    def fail(self, error: AgentBayError) -> None:
        """End with an error, after the frames that arrived before it."""
        self._error = error
        self._ended = True
        self._arrived.set()

    async def next(self) -> dict[str, Any] | None:
        """Return the data of the next frame, the last one included; then ``None``.

        Raises:
            AgentBayError: The connection broke, or the server ended the stream with an error.
        """
        while not self._frames:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        data, size = self._frames.popleft()
        self._unread -= size + _FRAME_OVERHEAD
        return data


class ReconnectPolicy:
    """Backoff with jitter for the attempts to connect.

    Args:
        clock: Measures the time since the connection broke.
        first: Whether this is the socket's first connection; otherwise one broke.
    """

    def __init__(self, clock: Clock, *, first: bool) -> None:
        self._clock = clock
        self._first = first
        self._deadline = clock.monotonic() + _GIVE_UP_AFTER
        self._failures = 0
        self._pause = _FIRST_PAUSE

    def pause_after(self, error: AgentBayError) -> float | None:
        """Return the seconds to wait after a failed attempt, or ``None`` to give up."""
        self._failures += 1
        if self._exhausted() or not _may_pass(error):
            return None
        pause = self._pause + random.uniform(0, _JITTER)  # noqa: S311  # jitter, not a secret
        self._pause = min(self._pause * _PAUSE_FACTOR, _LONGEST_PAUSE)
        return pause

    def _exhausted(self) -> bool:
        if self._first:
            return self._failures >= _FIRST_ATTEMPTS
        return self._clock.monotonic() > self._deadline


def _may_pass(error: AgentBayError) -> bool:
    """Return whether a later attempt may succeed; after a refusal for good it cannot."""
    return not isinstance(error, (APIError, ClosedError)) or isinstance(error, ServiceError)
