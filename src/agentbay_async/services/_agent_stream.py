"""A task of an agent whose events are pushed over the WebSocket of the session."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async.errors import AgentBayError, OperationTimeoutError, ToolError
from agentbay_async.models.agent import AgentEvent, AgentTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentbay_async._transport.websocket import Stream

logger = logging.getLogger("agentbay")

_ASKS_A_PERSON = "call_for_user"


@attrs.frozen
class AgentCallbacks:
    """What to call with the events of a task, by their type.

    Attributes:
        by_type: A callback for each type, or ``None``.
        on_call_for_user: Called when the agent asks a person; returns the answer.
    """

    by_type: Mapping[str, Callable[[AgentEvent], Awaitable[None] | None] | None]
    on_call_for_user: Callable[[AgentEvent], Awaitable[str] | str] | None

    def __bool__(self) -> bool:
        return self.on_call_for_user is not None or any(self.by_type.values())


class TaskStream:
    """The events of one task. Callbacks are called in the background, one after another.

    Args:
        stream: The frames of the task.
        session_id: The session, for errors.
        callbacks: What to call with them.
    """

    def __init__(self, stream: Stream, session_id: str, callbacks: AgentCallbacks) -> None:
        self.id = stream.id
        self._stream = stream
        self._session_id = session_id
        self._callbacks = callbacks
        self._content: list[str] = []
        self._error: AgentEvent | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())

    async def wait(self, timeout: float) -> AgentTask:
        """Wait until the task has ended, and return it.

        Raises:
            ToolError: The task failed.
            OperationTimeoutError: It did not end in time, and the session was asked to stop it.
            AgentBayError: The connection was lost.
        """
        done, _ = await asyncio.wait([self._task], timeout=timeout)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task])
            raise OperationTimeoutError(
                f"the task did not end within {timeout:.3g} s", session_id=self._session_id
            )
        return self._task.result()

    async def _run(self) -> AgentTask:
        end: dict[str, Any] = {}
        try:
            while (data := await self._stream.next()) is not None:
                end = data
                if (event := read_event(data)) is not None:
                    await self._handle(event)
        finally:
            for answer in self._answers:
                answer.cancel()
            await self._stream.aclose()
        return self._outcome(end)

    def _outcome(self, end: Mapping[str, Any]) -> AgentTask:
        status = str(end.get("status") or "finished")
        result = str(end.get("taskResult") or "".join(self._content))
        if self._error is None and status in ("finished", "completed"):
            return AgentTask("", status, result)
        reason = f"ended as {status!r}" if self._error is None else f"failed: {self._error.error}"
        raise ToolError(f"the task {reason}", request_id=self.id, session_id=self._session_id)

    async def _handle(self, event: AgentEvent) -> None:
        if event.type == "content":
            self._content.append(event.content)
        elif event.type == "error":
            self._error = event
        await self._call(event)
        if event.type == "tool_call" and event.tool_name == _ASKS_A_PERSON:
            # In a task: a person takes long, and other events come meanwhile.
            answer = asyncio.create_task(self._answer(event))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _call(self, event: AgentEvent) -> None:
        callback = self._callbacks.by_type.get(event.type)
        if callback is None:
            return
        try:
            awaitable = callback(event)
            if awaitable is not None:
                await awaitable
        except Exception:
            # A failing callback must not end the task, which costs money.
            logger.exception("the callback on_%s failed", event.type)

    async def _answer(self, event: AgentEvent) -> None:
        params = {"toolCallId": event.tool_call_id, "response": await self._ask(event)}
        try:
            await self._stream.write({"method": "resume_task", "params": params})
        except AgentBayError as error:
            logger.warning("the agent did not get the answer of the person: %s", error)

    async def _ask(self, event: AgentEvent) -> str:
        if self._callbacks.on_call_for_user is None:
            logger.warning("the agent asks a person, but there is no on_call_for_user")
            return ""
        try:
            answer = self._callbacks.on_call_for_user(event)
            return answer if isinstance(answer, str) else await answer or ""
        except Exception:
            logger.exception("the callback on_call_for_user failed")
            return ""


def read_event(data: Mapping[str, Any]) -> AgentEvent | None:
    """Read the data of a frame; ``None`` if it is no event that is known."""
    kind = data.get("eventType")
    if kind not in ("reasoning", "content", "tool_call", "tool_result", "error"):
        return None
    args, name = _object(data.get("args")), _text(data.get("toolName"))
    return AgentEvent(
        type=kind,
        seq=_number(data.get("seq")),
        round=_number(data.get("round")),
        content=_text(data.get("content")),
        tool_call_id=_text(data.get("toolCallId")),
        tool_name=name,
        args=args,
        result=_object(data.get("result")),
        prompt=_text(args.get("prompt")) if name == _ASKS_A_PERSON else "",
        error=_error(data) if kind == "error" else {},
    )


def _error(data: Mapping[str, Any]) -> dict[str, Any]:
    error = data.get("error", data)
    return dict(error) if isinstance(error, dict) else {"message": str(error)}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
