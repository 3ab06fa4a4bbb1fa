"""What waits for frames: calls with one answer, streams with many, and those who only listen."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from agentbay_async._protocol.frames import GATEWAY
from agentbay_async.errors import AgentBayError, BadAnswerError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._protocol.frames import Frame


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
