"""The service's own agents, which do tasks that are given in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.services._agent_tasks import Tasks

if TYPE_CHECKING:
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
