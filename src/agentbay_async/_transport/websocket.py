"""The WebSocket of a session: one line that many speak through, made anew when it breaks.

Nobody who uses it can close it for the others. It connects when somebody first speaks, and connects
again only while somebody is waiting or listening; a line that nobody needs stays down. Calls that
were under way when it broke fail, for they may have been acted on; listeners are told when it is
there again, and take up from where they were.
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
    APIError,
    BadAnswerError,
    ClosedError,
    ConnectionLostError,
    RequestTimeoutError,
    ServiceError,
    ToolError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._clock import Clock
    from agentbay_async._protocol.frames import Frame


logger = logging.getLogger("agentbay")

#: Seconds to wait for the answer to a call.
ANSWER = 30.0


class Socket:
    """One line to one session, in one event loop.

    Args:
        dial: Makes a connection, or raises why not.
        clock: Time.
        session_id: The session, for messages.
    """

    def __init__(
        self, dial: Callable[[], Awaitable[Connection]], clock: Clock, session_id: str
    ) -> None:
        self._dial = dial
        self._clock = clock
        self._session_id = session_id
        self._pending: dict[str, FrameReceiver] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._waiting = 0
        self._line: Connection | None = None
        self._opened = asyncio.Event()
        self._trouble: AgentBayError | None = None
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    async def call(
        self, target: str, data: dict[str, Any], timeout: float = ANSWER
    ) -> dict[str, Any]:
        """Ask a server and return the data of its answer.

        Raises:
            ToolError: It answered with an error.
            ConnectionLostError: The line broke before it answered; it may have acted.
            TransportError: No line could be made, or no answer came in time.
        """
        call = PendingCall()
        try:
            with anyio.fail_after(timeout):
                await self._begin(call, target, data)
                return await call.answer
        except TimeoutError:
            raise self._late(target, timeout) from None
        finally:
            self._pending.pop(call.id, None)

    async def stream(self, target: str, data: dict[str, Any], timeout: float = ANSWER) -> Stream:
        """Ask a server that answers with many frames.

        Args:
            target: The server.
            data: The question.
            timeout: Seconds until it is sent.
        """
        events = Events()
        try:
            with anyio.fail_after(timeout):
                await self._begin(events, target, data)
        except BaseException as error:
            self._pending.pop(events.id, None)
            if isinstance(error, TimeoutError) and not isinstance(error, AgentBayError):
                raise self._late(target, timeout) from None
            raise
        return Stream(self, target, events)

    async def send(
        self, target: str, data: dict[str, Any], invocation: str = "", timeout: float = ANSWER
    ) -> None:
        """Tell a server something to which it does not answer.

        Raises:
            TransportError: It could not be sent.
        """
        try:
            with anyio.fail_after(timeout):
                await self._send(write_frame(invocation or uuid.uuid4().hex, target, data))
        except TimeoutError:
            raise self._late(target, timeout) from None

    def subscribe(self, target: str, listener: Listener) -> Callable[[], None]:
        """Tell `listener` what a server says unasked; call what is returned to end that."""
        listeners = self._listeners.setdefault(target, [])
        listeners.append(listener)

        def unsubscribe() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return unsubscribe

    def forget(self, invocation: str) -> None:
        """Wait no longer for the frames of an invocation."""
        self._pending.pop(invocation, None)

    async def aclose(self) -> None:
        """Close the line for everybody. Whoever waits gets an error."""
        self._closed = True
        runner = self._runner
        if runner is not None:
            runner.cancel()
            await asyncio.wait([runner])

    async def _begin(self, invocation: FrameReceiver, target: str, data: dict[str, Any]) -> None:
        self._pending[invocation.id] = invocation
        await self._send(write_frame(invocation.id, target, data))

    async def _send(self, text: str) -> None:
        line = await self._connected()
        await line.send(text)

    async def _connected(self) -> Connection:
        self._waiting += 1
        try:
            line = self._line
            while line is None:
                await self._change()
                line = self._line
            return line
        finally:
            self._waiting -= 1

    async def _change(self) -> None:
        """Wait until there is a line, or was one; raise when there will be none."""
        if self._closed:
            raise ClosedError("the client, or the session, was closed")
        if self._runner is None:
            self._trouble = None
            self._runner = asyncio.create_task(self._run())
        self._opened.clear()
        await self._opened.wait()
        self._check_running()

    def _check_running(self) -> None:
        if self._runner is None and self._trouble is not None:
            raise self._trouble

    def _late(self, target: str, timeout: float) -> AgentBayError:
        if self._line is None and self._trouble is not None:
            return self._trouble
        return RequestTimeoutError(
            f"{target}: no answer within {timeout:.3g} s", session_id=self._session_id
        )

    async def _run(self) -> None:
        """Keep the line up while somebody needs it. Nothing raises out of here but a cancel."""
        reason: AgentBayError = ConnectionLostError(
            "the line to the session was closed", session_id=self._session_id
        )
        try:
            reason = await self._keep_up()
        finally:
            self._runner = None
            self._line = None
            self._trouble = reason
            self._fail_pending(reason)
            for listener in self._all_listeners():
                _guarded(listener.ended, reason)
            self._opened.set()

    async def _keep_up(self) -> AgentBayError:
        """Connect, read, and connect again; return why there will be no line any more."""
        first = True
        while True:
            line = await self._connect(first=first)
            if isinstance(line, AgentBayError):
                return line
            if not first:
                for listener in self._all_listeners():
                    _guarded(listener.reopened)
            first = False
            error = await self._read(line)
            self._fail_pending(error)
            if not self._needed():
                return error

    async def _connect(self, *, first: bool) -> Connection | AgentBayError:
        """Return a new line, or why there is none."""
        attempts = Attempts(self._clock, first=first)
        while True:
            try:
                line = self._line = await self._dial()
            except AgentBayError as error:
                self._trouble = error
                pause = attempts.pause_after(error)
                if pause is None or not self._needed():
                    return error
                logger.info("%s; the next attempt is in %.1f s", error, pause)
            else:
                self._opened.set()
                return line
            await self._clock.sleep(pause)

    async def _read(self, line: Connection) -> AgentBayError:
        """Hand frames on until the line breaks; return the error of that."""
        try:
            while (text := await line.receive()) is not None:
                self._hear(text)
        finally:
            self._line = None
            # Nothing that a broken line does while it is closed may hold anybody up.
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await line.close()
        return ConnectionLostError("the line to the session broke", session_id=self._session_id)

    def _hear(self, text: str | bytes) -> None:
        try:
            frame = read_frame(text)
        except ValueError as error:
            logger.warning("%s: a frame %s, and is dropped", self._session_id, error)
            return
        invocation = self._pending.get(frame.id)
        if invocation is not None:
            if invocation.take(frame):
                self._pending.pop(frame.id, None)
            return
        for listener in tuple(self._listeners.get(frame.topic, ())):
            _guarded(listener.heard, frame)

    def _needed(self) -> bool:
        return bool(self._waiting or self._pending or any(self._listeners.values()))

    def _all_listeners(self) -> list[Listener]:
        return [one for some in self._listeners.values() for one in some]

    def _fail_pending(self, error: AgentBayError) -> None:
        pending, self._pending = self._pending, {}
        for invocation in pending.values():
            invocation.fail(error)


class Stream:
    """The frames of one stream, in order.

    Attributes:
        id: The id of the invocation.
    """

    def __init__(self, socket: Socket, target: str, events: Events) -> None:
        self.id = events.id
        self._socket = socket
        self._target = target
        self._events = events

    async def next(self) -> dict[str, Any] | None:
        """Return the data of the next frame, or ``None`` after the one that ended the stream."""
        return await self._events.next()

    async def write(self, data: dict[str, Any]) -> None:
        """Say something more within the same stream."""
        await self._socket.send(self._target, data, self.id)

    def cancel(self) -> None:
        """Hear no more of it. The protocol has no word for it, so the other side goes on."""
        self._socket.forget(self.id)


def _guarded(function: Callable[..., None], *args: Frame | AgentBayError) -> None:
    """Call a listener; what it raises is its own trouble, and must not end the line of others."""
    try:
        function(*args)
    except Exception:
        logger.exception("a listener failed")


# The pauses between two attempts to connect, in seconds.
_FIRST_PAUSE = 0.5
_FACTOR = 1.5
_LONGEST_PAUSE = 5.0
_JITTER = 0.1
# A line that never was there is given up after so many attempts, one that broke after so many
# seconds: by then the session has most likely gone.
_FIRST_ATTEMPTS = 4
_GIVE_UP = 300.0


class Connection(Protocol):
    """A connection that carries text, as aiohttp has it, seen through :mod:`~._wire.ws`."""

    async def send(self, text: str) -> None:
        """Send one frame; raise ConnectionLostError when the line is broken."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next frame, or ``None`` when the line is broken."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Attempts:
    """The attempts to have a line, from the first one until it is there or is given up.

    Args:
        clock: Time.
        first: There was none before; otherwise it broke.
    """

    def __init__(self, clock: Clock, *, first: bool) -> None:
        self._clock = clock
        self._first = first
        self._until = clock.monotonic() + _GIVE_UP
        self._failed = 0
        self._pause = _FIRST_PAUSE

    def pause_after(self, error: AgentBayError) -> float | None:
        """Return the seconds to wait after a failed attempt; ``None`` if it was the last."""
        self._failed += 1
        if self._given_up() or not _may_pass(error):
            return None
        # Spread, so that a thousand sessions do not come back at once.
        pause = self._pause + random.uniform(0, _JITTER)  # noqa: S311  # no secret
        self._pause = min(self._pause * _FACTOR, _LONGEST_PAUSE)
        return pause

    def _given_up(self) -> bool:
        if self._first:
            return self._failed >= _FIRST_ATTEMPTS
        return self._clock.monotonic() > self._until


def _may_pass(error: AgentBayError) -> bool:
    """Whether a connection may succeed later; one that is refused for good may not."""
    return not isinstance(error, (APIError, ClosedError)) or isinstance(error, ServiceError)


@attrs.frozen(eq=False)
class Listener:
    """Somebody who is told what a server says unasked. None of the functions may wait.

    Attributes:
        heard: Called with each frame.
        reopened: Called when the line is there again after it broke; frames between are lost.
        ended: Called once when there will be no more frames, with the reason.
    """

    heard: Callable[[Frame], None]
    reopened: Callable[[], None]
    ended: Callable[[AgentBayError], None]


class FrameReceiver(Protocol):
    """Somebody who waits for the frames of one id."""

    id: str

    def take(self, frame: Frame) -> bool:
        """Take a frame; return whether it was the last."""
        ...

    def fail(self, error: AgentBayError) -> None:
        """End with an error."""
        ...


class PendingCall:
    """One question, one answer.

    Attributes:
        id: What its frames are told by.
        answer: The data of the frame that answers.
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def take(self, frame: Frame) -> bool:
        """Complete with the frame's data, or fail with what went wrong."""
        error = frame.error or _other_error(frame)
        if error:
            self.fail(ToolError(error, request_id=self.id))
        elif not self.answer.done():
            self.answer.set_result(frame.data)
        return True

    def fail(self, error: AgentBayError) -> None:
        """End with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)
            # Whoever asked may be gone already; nobody else wants to hear of it.
            self.answer.exception()


def _other_error(frame: Frame) -> str:
    """Return an error that is no text, of an answer without a result."""
    error = frame.data.get("error")
    if error is None or "result" in frame.data:
        return ""
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) and message else "the call failed without a reason"


class Events:
    """One question, many answers: the frames of a stream, in order, until its end.

    Attributes:
        id: What its frames are told by.
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._frames: deque[dict[str, Any]] = deque()
        self._arrived = asyncio.Event()
        self._error: AgentBayError | None = None
        self._ended = False

    def take(self, frame: Frame) -> bool:
        """Keep a frame until it is read."""
        phase = frame.data.get("phase")
        if frame.error:
            self.fail(ToolError(frame.error, request_id=self.id))
        elif phase in ("event", "end") or frame.source == GATEWAY:
            self._frames.append(frame.data)
            self._ended = phase != "event"
        elif phase == "error":
            message = _other_error(frame) or "the stream failed without a reason"
            self.fail(ToolError(message, request_id=self.id))
        else:
            self.fail(BadAnswerError("a frame of a stream has no phase", request_id=self.id))
        self._arrived.set()
        return self._ended

    def fail(self, error: AgentBayError) -> None:
        """End with an error, after what arrived before it."""
        self._error = error
        self._ended = True
        self._arrived.set()

    async def next(self) -> dict[str, Any] | None:
        """Return the data of the next frame, the one that ends the stream too; then ``None``.

        Raises:
            AgentBayError: The stream broke, or the other side ended it with an error.
        """
        while not self._frames:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()
