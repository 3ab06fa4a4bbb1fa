"""The service's agents, which carry out tasks described in words."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._clock import poll
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BadAnswerError,
    OperationTimeoutError,
    ToolError,
    TransportError,
    UsageError,
)
from agentbay_async.models.agent import AgentTask, ExecutionResult, QueryResult
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import BoolResult
from agentbay_async.services._agent_stream import AgentCallbacks
from agentbay_async.services._tool_calls import (
    call_tool,
    get_access,
    get_socket,
    read_json_object,
)
from agentbay_async.services.browser import start_browser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.models.agent import AgentEvent
    from agentbay_async.models.browser import BrowserOption
    from agentbay_async.services._agent_stream import TaskStream
    from agentbay_async.session import AsyncSession

A = TypeVar("A")

logger = logging.getLogger("agentbay")

_TIMEOUT = 300.0
# Longest pause between two polls, in seconds. Tasks take minutes.
_POLL_INTERVAL = 3.0
# Failed polls in a row after which waiting for a task ends.
_MAX_FAILED_POLLS = 5
# The server of a phone's agent, for sessions that do not list their tools.
_STREAM_SERVER = "wuying_mobile_agent"
_TEXT_SCHEMA = {
    "type": "object",
    "properties": {"result": {"type": "string"}},
    "required": ["result"],
}


class AsyncComputerAgent:
    """Run tasks on one session's desktop. Offered by the cloud's image ``windows_latest``."""

    __slots__ = ("__weakref__", "_runner")

    def __init__(self, api: Api, session_id: str) -> None:
        self._runner = TaskRunner(api, session_id, "flux_")

    @returns_result(ExecutionResult)
    async def execute_task(self, task: str) -> ExecutionResult:
        """Start a task, described in words; ``data`` has its id."""
        return ExecutionResult.ok(*await self._runner.start(task, {}))

    @returns_result(ExecutionResult)
    async def execute_task_and_wait(
        self, task: str, timeout: float | timedelta = _TIMEOUT
    ) -> ExecutionResult:
        """Run a task and wait for its end.

        Args:
            task: The description of the task.
            timeout: Seconds (or a timedelta) after which the task is terminated.
        """
        return ExecutionResult.ok(*await self._runner.run(task, timeout, {}))

    @returns_result(QueryResult)
    async def get_task_status(self, task_id: str) -> QueryResult:
        """Return the status of a task."""
        return QueryResult.ok(*await self._runner.get_status(task_id))

    @returns_result(ExecutionResult)
    async def terminate_task(self, task_id: str) -> ExecutionResult:
        """Terminate a task."""
        return ExecutionResult.ok(*await self._runner.terminate(task_id))


class AsyncBrowserAgent:
    """Run tasks in one session's browser. Offered by the cloud's image ``browser_latest``.

    The first task starts the browser, unless it was started before.
    """

    __slots__ = ("__weakref__", "_runner")

    def __init__(self, api: Api, session_id: str) -> None:
        self._runner = TaskRunner(api, session_id, "browser_use_")

    @returns_result(BoolResult)
    async def initialize(self, option: BrowserOption | None = None) -> BoolResult:
        """Start the browser with `option`; a running browser is left as it is."""
        started = await start_browser(self._runner.api, self._runner.session_id, option)
        return BoolResult.ok(True, started)

    async def _ensure_started(self) -> None:
        """Start the browser, as the service expects before the first task."""
        access = self._runner.api.access.get(self._runner.session_id)
        if access is None or not access.browser_started:
            await start_browser(self._runner.api, self._runner.session_id, None)

    @returns_result(ExecutionResult)
    async def execute_task(
        self,
        task: str,
        use_vision: bool = False,
        # JSON Schema has no narrower type, and no class of ours is a base of models.
        output_schema: Mapping[str, Any] | type[Any] | None = None,
        full_page_screenshot: bool = False,
    ) -> ExecutionResult:
        """Start a task, described in words; ``data`` has its id.

        Args:
            task: The description of the task.
            use_vision: Let the agent use screenshots of the page.
            output_schema: A JSON Schema for the result, or a pydantic model that has one; by
                default the result is one text.
            full_page_screenshot: Take screenshots of the whole page.
        """
        options = _browser_options(use_vision, output_schema, full_page_screenshot)
        _check.text(task, "task")
        await self._ensure_started()
        return ExecutionResult.ok(*await self._runner.start(task, options))

    @returns_result(ExecutionResult)
    async def execute_task_and_wait(
        self,
        task: str,
        timeout: float | timedelta = _TIMEOUT,
        use_vision: bool = False,
        output_schema: Mapping[str, Any] | type[Any] | None = None,
        full_page_screenshot: bool = False,
    ) -> ExecutionResult:
        """Run a task and wait for its end.

        Args:
            task: The description of the task.
            timeout: Seconds (or a timedelta) after which the task is terminated.
            use_vision: Let the agent use screenshots of the page.
            output_schema: A JSON Schema for the result, or a pydantic model that has one; by
                default the result is one text.
            full_page_screenshot: Take screenshots of the whole page.
        """
        options = _browser_options(use_vision, output_schema, full_page_screenshot)
        _check.text(task, "task")
        limit = _check.seconds(timeout, "timeout")
        await self._ensure_started()
        return ExecutionResult.ok(*await self._runner.run(task, limit, options))

    @returns_result(QueryResult)
    async def get_task_status(self, task_id: str) -> QueryResult:
        """Return the status of a task."""
        return QueryResult.ok(*await self._runner.get_status(task_id))

    @returns_result(ExecutionResult)
    async def terminate_task(self, task_id: str) -> ExecutionResult:
        """Terminate a task."""
        return ExecutionResult.ok(*await self._runner.terminate(task_id))


class AsyncMobileAgent:
    """Run tasks on one session's phone. Offered by the cloud's image ``mobile_latest``."""

    __slots__ = ("__weakref__", "_runner")

    def __init__(self, api: Api, session_id: str) -> None:
        self._runner = TaskRunner(api, session_id)

    async def execute_task(
        self,
        task: str,
        max_steps: int = 50,
        on_reasoning: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_content: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_tool_call: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_tool_result: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_error: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_call_for_user: Callable[[AgentEvent], Awaitable[str] | str] | None = None,
    ) -> AsyncTaskExecution:
        """Start a task, described in words.

        With a callback, the session pushes what the agent does; it needs a WebSocket. An exception
        in a callback is logged.

        Args:
            task: The description of the task.
            max_steps: The largest number of steps.
            on_reasoning: Called with each part of the agent's thoughts.
            on_content: Called with each part of its answer.
            on_tool_call: Called when it uses a tool.
            on_tool_result: Called with what a tool returned.
            on_error: Called when something goes wrong.
            on_call_for_user: Called when it asks a person (``event.prompt``); returns the answer.

        Example:
            ::

                execution = await session.agent.mobile.execute_task(
                    "Open the settings", on_content=lambda event: print(event.content)
                )
                print((await execution.wait(timeout=180)).task_result)
        """
        steps = _check.positive_int(max_steps, "max_steps")
        by_type = {
            "reasoning": on_reasoning,
            "content": on_content,
            "tool_call": on_tool_call,
            "tool_result": on_tool_result,
            "error": on_error,
        }
        callbacks = AgentCallbacks(by_type, on_call_for_user)
        return await _begin(
            self._runner, {"task": _check.text(task, "task"), "max_steps": steps}, callbacks
        )

    async def execute_task_and_wait(
        self,
        task: str,
        timeout: float | timedelta = _TIMEOUT,
        max_steps: int = 50,
        on_reasoning: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_content: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_tool_call: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_tool_result: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_error: Callable[[AgentEvent], Awaitable[None] | None] | None = None,
        on_call_for_user: Callable[[AgentEvent], Awaitable[str] | str] | None = None,
    ) -> ExecutionResult:
        """Run a task and wait for its end, as :meth:`execute_task` and then ``wait`` do.

        Args:
            task: The description of the task.
            timeout: Seconds (or a timedelta) after which the task is terminated.
            max_steps: The largest number of steps.
            on_reasoning: Called with each part of the agent's thoughts.
            on_content: Called with each part of its answer.
            on_tool_call: Called when it uses a tool.
            on_tool_result: Called with what a tool returned.
            on_error: Called when something goes wrong.
            on_call_for_user: Called when it asks a person (``event.prompt``); returns the answer.
        """
        limit = _check.seconds(timeout, "timeout")
        execution = await self.execute_task(
            task,
            max_steps,
            on_reasoning,
            on_content,
            on_tool_call,
            on_tool_result,
            on_error,
            on_call_for_user,
        )
        return await execution.wait(limit)

    @returns_result(QueryResult)
    async def get_task_status(self, task_id: str) -> QueryResult:
        """Return the status of a task."""
        return QueryResult.ok(*await self._runner.get_status(task_id))

    @returns_result(ExecutionResult)
    async def terminate_task(self, task_id: str) -> ExecutionResult:
        """Terminate a task."""
        return ExecutionResult.ok(*await self._runner.terminate(task_id))


class AsyncTaskExecution:
    """A task of a phone's agent; :meth:`AsyncMobileAgent.execute_task` returns it.

    :meth:`wait` waits for its end. The other members tell how it was started, as those of an
    :class:`ExecutionResult` do.
    """

    __slots__ = ("__weakref__", "_runner", "_started", "_stream")

    def __init__(
        self, runner: TaskRunner, started: ExecutionResult, stream: TaskStream | None = None
    ) -> None:
        self._runner = runner
        self._started = started
        self._stream = stream

    @property
    def task_id(self) -> str:
        """The id of the task; ``""`` if it has none, as one whose events are pushed."""
        return self._started.data.task_id if self._started else ""

    @property
    def task_status(self) -> str:
        """The state in which the task was started; raises the error if it was not."""
        return self._started.task_status

    @property
    def data(self) -> AgentTask:
        """The task when it was started; raises the error if it was not."""
        return self._started.data

    @property
    def success(self) -> bool:
        """Whether the task was started."""
        return self._started.success

    @property
    def error(self) -> AgentBayError | None:
        """Why it was not started, or ``None``."""
        return self._started.error

    @property
    def error_message(self) -> str:
        """The text of the error; ``""`` if the task was started."""
        return self._started.error_message

    @property
    def request_id(self) -> str:
        """The id of the request that started it."""
        return self._started.request_id

    @returns_result(ExecutionResult)
    async def wait(self, timeout: float | timedelta = _TIMEOUT) -> ExecutionResult:
        """Wait until the task has ended; without a task, return why it was not started.

        Args:
            timeout: Seconds (or a timedelta) after which the task is terminated.
        """
        limit = _check.seconds(timeout, "timeout")
        started = self._started.unwrap()
        if self._stream is not None:
            return ExecutionResult.ok(await self._stream.wait(limit), self._stream.id)
        if started.ended:
            return self._started
        return ExecutionResult.ok(*await self._runner.finish(started.task_id, limit))


async def _begin(
    runner: TaskRunner, params: Mapping[str, Any], callbacks: AgentCallbacks
) -> AsyncTaskExecution:
    """Start a task of the phone; what fails is told by the object that is returned."""
    try:
        if callbacks:
            stream = await runner.stream(params, callbacks)
            started = ExecutionResult.ok(AgentTask("", "running"), stream.id)
            return AsyncTaskExecution(runner, started, stream)
        return AsyncTaskExecution(runner, ExecutionResult.ok(*await runner.start_or_run(params)))
    except UsageError:
        raise
    except AgentBayError as error:
        return AsyncTaskExecution(runner, ExecutionResult.failed(error))


class AsyncAgent:
    """The service's agents for one session. The image determines which of them work.

    Agents run in the cloud; the local service has none.

    Example:
        ::

            result = await session.agent.mobile.execute_task_and_wait("Open the settings", 120)
            print(result.data.result)
    """

    __slots__ = ("__weakref__", "_agents", "_api", "_find_session", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]
        self._agents: dict[Callable[[Api, str], Any], Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @property
    def computer(self) -> AsyncComputerAgent:
        """The agent for desktops."""
        return self._agent(AsyncComputerAgent)

    @property
    def browser(self) -> AsyncBrowserAgent:
        """The agent for browsers."""
        return self._agent(AsyncBrowserAgent)

    @property
    def mobile(self) -> AsyncMobileAgent:
        """The agent for phones."""
        return self._agent(AsyncMobileAgent)

    # The official client has the classes in this one.
    Computer = AsyncComputerAgent
    Browser = AsyncBrowserAgent
    Mobile = AsyncMobileAgent

    def _agent(self, kind: Callable[[Api, str], A]) -> A:
        agent: A | None = self._agents.get(kind)
        if agent is None:
            agent = kind(self._api, self._session_id)
            self._agents[kind] = self._api.access.hold(agent, self._session_id)
        return agent


@attrs.frozen
class TaskRunner:
    """Start, poll and terminate the tasks of one agent.

    Attributes:
        api: The client's API.
        session_id: The session.
        prefix: First part of the names of the agent's tools.
    """

    api: Api
    session_id: str
    prefix: str = ""

    async def start(self, task: str, options: Mapping[str, Any]) -> tuple[AgentTask, str]:
        """Start a task; return it, and the id of the request.

        Raises:
            ToolError: The agent did not accept the task.
        """
        args = {"task": _check.text(task, "task"), **options}
        answer, request_id = await self._call("execute_task", args)
        return self._accepted(answer, request_id), request_id

    async def start_or_run(self, params: Mapping[str, Any]) -> tuple[AgentTask, str]:
        """Start a task; some phones run it to its end instead, and answer with its result.

        Raises:
            ToolError: The agent did not accept the task.
        """
        answer = await call_tool(
            self.api, self.session_id, f"{self.prefix}execute_task", dict(params)
        )
        try:
            document = read_json_object(answer, "execute_task")
        except BadAnswerError:
            return AgentTask("", "completed", answer.data), answer.request_id
        return self._accepted(document, answer.request_id), answer.request_id

    async def stream(self, params: Mapping[str, Any], callbacks: AgentCallbacks) -> TaskStream:
        """Start a task whose events are pushed.

        Raises:
            SessionError: The session has no WebSocket.
            AgentBayError: It could not be reached.
        """
        from agentbay_async.services._agent_stream import TaskStream

        socket = await get_socket(self.api, self.session_id)
        access = await get_access(self.api, self.session_id)
        server = access.tools.server_of(f"{self.prefix}execute_task") or _STREAM_SERVER
        frames = await socket.stream(server, {"method": "exec_task", "params": dict(params)})
        return TaskStream(frames, self.session_id, callbacks)

    def _accepted(self, answer: Mapping[str, Any], request_id: str) -> AgentTask:
        task_id = answer.get("task_id") or answer.get("taskId")
        if not task_id:
            reason = _as_text(answer, "error") or _as_text(answer, "message")
            raise ToolError(
                ": ".join(filter(None, ("the agent did not accept the task", reason))),
                request_id=request_id,
                session_id=self.session_id,
            )
        return AgentTask(str(task_id), _as_text(answer, "status"))

    async def get_status(self, task_id: str) -> tuple[AgentTask, str]:
        """Return the present state of a task, and the id of the request."""
        name = _check.identifier(task_id, "task_id")
        answer, request_id = await self._call("get_task_status", {"task_id": name})
        task = AgentTask(
            name,
            _as_text(answer, "status"),
            _as_text(answer, "product") or _as_text(answer, "result"),
            _as_text(answer, "action"),
            _as_text(answer, "error"),
            _stream_of(answer),
        )
        return task, request_id

    async def terminate(self, task_id: str) -> tuple[AgentTask, str]:
        """Terminate a task; return it, and the id of the request."""
        name = _check.identifier(task_id, "task_id")
        answer, request_id = await self._call("terminate_task", {"task_id": name})
        return AgentTask(name, _as_text(answer, "status")), request_id

    async def run(
        self, task: str, timeout: float | timedelta, options: Mapping[str, Any]
    ) -> tuple[AgentTask, str]:
        """Run a task to its end; return it, and the id of the last request.

        Raises:
            ToolError: The task failed.
            OperationTimeoutError: It did not end in time, and was terminated.
        """
        limit = _check.seconds(timeout, "timeout")
        task_id = (await self.start(task, options))[0].task_id
        return await self.finish(task_id, limit)

    async def finish(self, task_id: str, limit: float) -> tuple[AgentTask, str]:
        """Wait for the end of a task; return it, and the id of the last request.

        Raises:
            ToolError: The task failed.
            OperationTimeoutError: It did not end in time, and was terminated.
        """
        try:
            state, request_id = await self._wait(task_id, limit)
        except OperationTimeoutError:
            await self._abandon(task_id)
            raise
        if not state.succeeded:
            reason = state.error or state.result or "the agent gave no reason"
            raise ToolError(
                f"task {task_id}: {state.status}: {reason}",
                request_id=request_id,
                session_id=self.session_id,
            )
        return state, request_id

    async def _wait(self, task_id: str, limit: float) -> tuple[AgentTask, str]:
        failed_polls = 0

        async def get_status() -> tuple[AgentTask, str]:
            # A lost answer does not end the task, so a few of them do not end the wait.
            nonlocal failed_polls
            try:
                answer = await self.get_status(task_id)
            except TransportError as error:
                failed_polls += 1
                if failed_polls >= _MAX_FAILED_POLLS:
                    raise
                logger.info("task %s: %s", task_id, error)
                return AgentTask(task_id), ""
            failed_polls = 0
            return answer

        return await poll(
            get_status,
            lambda answer: answer[0].ended,
            clock=self.api.clock,
            timeout=limit,
            what=f"task {task_id}",
            interval=_POLL_INTERVAL,
        )

    async def _abandon(self, task_id: str) -> None:
        try:
            await self.terminate(task_id)
        except AgentBayError as error:
            # Logged only: the caller gets the timeout.
            logger.warning("%s: task %s may still be running: %s", self.session_id, task_id, error)

    async def _call(self, tool: str, args: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        answer = await call_tool(self.api, self.session_id, f"{self.prefix}{tool}", args)
        return read_json_object(answer, tool), answer.request_id


def _browser_options(
    use_vision: object, output_schema: object, full_page_screenshot: object
) -> dict[str, Any]:
    if isinstance(output_schema, type) and hasattr(output_schema, "model_json_schema"):
        output_schema = output_schema.model_json_schema()
    if output_schema is not None and not isinstance(output_schema, Mapping):
        raise ArgumentTypeError(
            f"output_schema must be a mapping or a pydantic model, not {output_schema!r:.80}"
        )
    schema = _TEXT_SCHEMA if output_schema is None else dict(output_schema)
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"output_schema cannot be written as JSON: {error}") from None
    return {
        "use_vision": _check.boolean(use_vision, "use_vision"),
        "output_schema": text,
        "full_page_screenshot": _check.boolean(full_page_screenshot, "full_page_screenshot"),
    }


def _stream_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = answer.get("stream")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _as_text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
