"""The service's own agents, which do tasks that are given in words."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async import _check
from agentbay_async._polling import poll
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BadAnswerError,
    OperationTimeoutError,
    ToolError,
    TransportError,
)
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.agent import AgentTask
from agentbay_async.models.results import OperationResult
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.models.agent import AgentTask


_TIMEOUT = 300.0


class AsyncComputerAgent:
    """Does tasks on one session's desktop. Offered by ``windows_latest`` of the cloud."""

    __slots__ = ("__weakref__", "_tasks")

    def __init__(self, api: Api, session_id: str) -> None:
        self._tasks = Tasks(api, session_id, "flux_")

    @returns_result(OperationResult)
    async def execute_task(self, task: str) -> OperationResult[AgentTask]:
        """Give a task, in words; ``data`` has the id by which it can be asked about."""
        return await self._tasks.start(task, {})

    @returns_result(OperationResult)
    async def execute_task_and_wait(
        self, task: str, timeout: float | timedelta = _TIMEOUT
    ) -> OperationResult[AgentTask]:
        """Give a task and wait for its end.

        Args:
            task: What to do, in words.
            timeout: Seconds (or a timedelta) after which it is ended.
        """
        return await self._tasks.finish(task, timeout, {})

    @returns_result(OperationResult)
    async def get_task_status(self, task_id: str) -> OperationResult[AgentTask]:
        """Ask how a task is going."""
        return await self._tasks.status(task_id)

    @returns_result(OperationResult)
    async def terminate_task(self, task_id: str) -> OperationResult[AgentTask]:
        """End a task."""
        return await self._tasks.terminate(task_id)


class AsyncBrowserAgent:
    """Does tasks in one session's browser. Offered by ``browser_latest`` of the cloud."""

    __slots__ = ("__weakref__", "_tasks")

    def __init__(self, api: Api, session_id: str) -> None:
        self._tasks = Tasks(api, session_id, "browser_use_")

    @returns_result(OperationResult)
    async def execute_task(
        self,
        task: str,
        use_vision: bool = False,
        # A JSON Schema has no narrower type than a mapping of anything.
        output_schema: Mapping[str, Any] | None = None,
        full_page_screenshot: bool = False,
    ) -> OperationResult[AgentTask]:
        """Give a task, in words; ``data`` has the id by which it can be asked about.

        Args:
            task: What to do.
            use_vision: Let it look at pictures of the page.
            output_schema: A JSON Schema of the result; by default one text.
            full_page_screenshot: Let the pictures be of the whole page.
        """
        more = _browsing(use_vision, output_schema, full_page_screenshot)
        return await self._tasks.start(task, more)

    @returns_result(OperationResult)
    async def execute_task_and_wait(
        self,
        task: str,
        timeout: float | timedelta = _TIMEOUT,
        use_vision: bool = False,
        output_schema: Mapping[str, Any] | None = None,
        full_page_screenshot: bool = False,
    ) -> OperationResult[AgentTask]:
        """Give a task and wait for its end.

        Args:
            task: What to do, in words.
            timeout: Seconds (or a timedelta) after which it is ended.
            use_vision: Let it look at pictures of the page.
            output_schema: A JSON Schema of the result; by default one text.
            full_page_screenshot: Let the pictures be of the whole page.
        """
        more = _browsing(use_vision, output_schema, full_page_screenshot)
        return await self._tasks.finish(task, timeout, more)

    @returns_result(OperationResult)
    async def get_task_status(self, task_id: str) -> OperationResult[AgentTask]:
        """Ask how a task is going."""
        return await self._tasks.status(task_id)

    @returns_result(OperationResult)
    async def terminate_task(self, task_id: str) -> OperationResult[AgentTask]:
        """End a task."""
        return await self._tasks.terminate(task_id)


class AsyncMobileAgent:
    """Does tasks on one session's phone. Offered by ``mobile_latest`` of the cloud."""

    __slots__ = ("__weakref__", "_tasks")

    def __init__(self, api: Api, session_id: str) -> None:
        self._tasks = Tasks(api, session_id)

    @returns_result(OperationResult)
    async def execute_task(self, task: str, max_steps: int = 50) -> OperationResult[AgentTask]:
        """Give a task of at most `max_steps` steps; ``data`` has its id."""
        steps = _check.positive_int(max_steps, "max_steps")
        return await self._tasks.start(task, {"max_steps": steps})

    @returns_result(OperationResult)
    async def execute_task_and_wait(
        self, task: str, timeout: float | timedelta = _TIMEOUT, max_steps: int = 50
    ) -> OperationResult[AgentTask]:
        """Give a task and wait for its end.

        Args:
            task: What to do, in words.
            timeout: Seconds (or a timedelta) after which it is ended.
            max_steps: How many steps it may take.
        """
        steps = _check.positive_int(max_steps, "max_steps")
        return await self._tasks.finish(task, timeout, {"max_steps": steps})

    @returns_result(OperationResult)
    async def get_task_status(self, task_id: str) -> OperationResult[AgentTask]:
        """Ask how a task is going."""
        return await self._tasks.status(task_id)

    @returns_result(OperationResult)
    async def terminate_task(self, task_id: str) -> OperationResult[AgentTask]:
        """End a task."""
        return await self._tasks.terminate(task_id)


class AsyncAgent:
    """The service's agents of one session; which of them there are depends on its image.

    They run in the cloud; the local service has none.

    Example:
        ::

            result = await session.agent.mobile.execute_task_and_wait("Open the settings", 120)
            print(result.data.result)
    """

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    @property
    def computer(self) -> AsyncComputerAgent:
        """The agent for desktops."""
        return AsyncComputerAgent(self._api, self._session_id)

    @property
    def browser(self) -> AsyncBrowserAgent:
        """The agent for browsers."""
        return AsyncBrowserAgent(self._api, self._session_id)

    @property
    def mobile(self) -> AsyncMobileAgent:
        """The agent for phones."""
        return AsyncMobileAgent(self._api, self._session_id)


def _browsing(
    use_vision: object, output_schema: object, full_page_screenshot: object
) -> dict[str, Any]:
    if output_schema is not None and not isinstance(output_schema, Mapping):
        raise ArgumentTypeError(
            f"output_schema must be a mapping, not {type(output_schema).__name__}"
        )
    schema = _ONE_TEXT if output_schema is None else dict(output_schema)
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"output_schema cannot be written as JSON: {error}") from None
    return {
        "use_vision": _check.boolean(use_vision, "use_vision"),
        "output_schema": text,
        "full_page_screenshot": _check.boolean(full_page_screenshot, "full_page_screenshot"),
    }


_ONE_TEXT = {
    "type": "object",
    "properties": {"result": {"type": "string"}},
    "required": ["result"],
}


logger = logging.getLogger("agentbay")

_INTERVAL = 3.0
# How many questions in a row may stay without an answer before the waiting ends.
_SILENCES = 5


@attrs.frozen
class Tasks:
    """The tasks of one agent; its tools have names that begin with `prefix`."""

    api: Api
    session_id: str
    prefix: str = ""

    async def start(self, task: str, more: Mapping[str, Any]) -> OperationResult[AgentTask]:
        """Give a task."""
        args = {"task": _check.text(task, "task"), **more}
        found, request_id = await self._ask("execute_task", args)
        task_id = found.get("task_id") or found.get("taskId")
        if not task_id:
            raise self._failed(found, "the agent did not take the task", request_id)
        return OperationResult.ok(AgentTask(str(task_id), _text(found, "status")), request_id)

    async def status(self, task_id: str) -> OperationResult[AgentTask]:
        """Ask how a task is going."""
        name = _check.identifier(task_id, "task_id")
        found, request_id = await self._ask("get_task_status", {"task_id": name})
        task = AgentTask(
            name,
            _text(found, "status"),
            _text(found, "product") or _text(found, "result"),
            _text(found, "action"),
            _text(found, "error"),
        )
        return OperationResult.ok(task, request_id)

    async def terminate(self, task_id: str) -> OperationResult[AgentTask]:
        """End a task."""
        name = _check.identifier(task_id, "task_id")
        found, request_id = await self._ask("terminate_task", {"task_id": name})
        return OperationResult.ok(AgentTask(name, _text(found, "status")), request_id)

    async def finish(
        self, task: str, timeout: float | timedelta, more: Mapping[str, Any]
    ) -> OperationResult[AgentTask]:
        """Give a task and wait for its end; what does not end in time is ended.

        Raises:
            ToolError: It failed.
            OperationTimeoutError: It did not end in time.
        """
        limit = _check.seconds(timeout, "timeout")
        task_id = (await self.start(task, more)).unwrap().task_id
        try:
            ended = await poll(
                _Watch(self, task_id).look,
                lambda answer: answer.unwrap().ended,
                clock=self.api.clock,
                timeout=limit,
                what=f"task {task_id}",
                interval=_INTERVAL,
            )
        except OperationTimeoutError:
            await self._give_up(task_id)
            raise
        state = ended.unwrap()
        if not state.succeeded:
            reason = state.error or state.result or "the agent gave no reason"
            raise ToolError(
                f"task {task_id}: {state.status}: {reason}",
                request_id=ended.request_id,
                session_id=self.session_id,
            )
        return ended

    async def _give_up(self, task_id: str) -> None:
        try:
            await self.terminate(task_id)
        except AgentBayError as error:
            logger.warning("%s: task %s may go on: %s", self.session_id, task_id, error)

    async def _ask(self, tool: str, args: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        answer = await call_tool(self.api, self.session_id, f"{self.prefix}{tool}", args)
        try:
            found = json.loads(answer.data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise BadAnswerError(f"{tool}: no JSON object", request_id=answer.request_id)
        return found, answer.request_id

    def _failed(self, found: Mapping[str, Any], what: str, request_id: str) -> ToolError:
        reason = _text(found, "error") or _text(found, "message")
        return ToolError(
            f"{what}: {reason}" if reason else what,
            request_id=request_id,
            session_id=self.session_id,
        )


class _Watch:
    """Asks about one task; a question that stays without an answer is no end of it."""

    def __init__(self, tasks: Tasks, task_id: str) -> None:
        self._tasks = tasks
        self._task_id = task_id
        self._silences = 0

    async def look(self) -> OperationResult[AgentTask]:
        try:
            answer = await self._tasks.status(self._task_id)
        except TransportError as error:
            self._silences += 1
            if self._silences >= _SILENCES:
                raise
            logger.info("task %s: %s", self._task_id, error)
            return OperationResult.ok(AgentTask(self._task_id))
        self._silences = 0
        return answer


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
