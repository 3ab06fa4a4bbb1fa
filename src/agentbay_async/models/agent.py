"""Tasks of the service's agents."""

from __future__ import annotations

from typing import Any

import attrs

from agentbay_async.models.results import Result


@attrs.frozen
class AgentTask:
    """A task of an agent of the service.

    Attributes:
        task_id: The id of the task.
        status: ``"finished"``, ``"completed"``, ``"failed"``, ``"cancelled"``, ``"unsupported"``;
            any other status means that it is running.
        result: The agent's text about the result.
        action: The present action.
        error: The agent's text about the failure.
        stream: What the agent has said since the last look, as it sent it; for most agents empty.
    """

    task_id: str
    status: str = ""
    result: str = ""
    action: str = ""
    error: str = ""
    # Objects with the keys of the agent.
    stream: list[dict[str, Any]] = attrs.field(factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether the task ended successfully."""
        return self.status in ("finished", "completed")

    @property
    def ended(self) -> bool:
        """Whether the task ended, successfully or not."""
        return self.succeeded or self.status in ("failed", "cancelled", "unsupported")


def _mapping(value: dict[str, Any] | None) -> dict[str, Any]:
    return {} if value is None else value


@attrs.frozen
class AgentEvent:
    """Something that an agent said or did during a task.

    Attributes:
        type: ``"reasoning"``, ``"content"``, ``"tool_call"``, ``"tool_result"`` or ``"error"``.
        seq: Its number in the task.
        round: The round of the agent's work to which it belongs.
        content: The text of a ``"reasoning"`` or ``"content"``.
        tool_call_id: Which call of a tool it is about.
        tool_name: Which tool; ``"call_for_user"`` asks a person.
        args: The arguments of the call.
        result: What the tool returned, with the keys of the agent.
        prompt: What the person is asked.
        error: What went wrong, with the keys of the agent.

    Example:
        >>> AgentEvent("content", content="Done.").content
        'Done.'
    """

    type: str = ""
    seq: int = 0
    round: int = 0
    content: str = ""
    tool_call_id: str = ""
    tool_name: str = ""
    args: dict[str, Any] = attrs.field(default=None, converter=_mapping)
    result: dict[str, Any] = attrs.field(default=None, converter=_mapping)
    prompt: str = ""
    error: dict[str, Any] = attrs.field(default=None, converter=_mapping)


class ExecutionResult(Result["AgentTask"]):
    """The result of starting a task, running it to its end, or terminating it."""

    __slots__ = ()

    @property
    def data(self) -> AgentTask:
        """The task; raises the error of a failed result."""
        return self.unwrap()

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return self.unwrap().task_id

    @property
    def task_status(self) -> str:
        """The state of the task; see :class:`AgentTask`."""
        return self.unwrap().status

    @property
    def task_result(self) -> str:
        """The agent's text about the result."""
        return self.unwrap().result


class QueryResult(Result["AgentTask"]):
    """The present state of a task."""

    __slots__ = ()

    @property
    def data(self) -> AgentTask:
        """The task; raises the error of a failed result."""
        return self.unwrap()

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return self.unwrap().task_id

    @property
    def task_status(self) -> str:
        """The state of the task; see :class:`AgentTask`."""
        return self.unwrap().status

    @property
    def task_action(self) -> str:
        """The present action of the agent."""
        return self.unwrap().action

    @property
    def task_product(self) -> str:
        """The agent's text about the result."""
        return self.unwrap().result

    @property
    def stream(self) -> list[dict[str, Any]]:
        """What the agent has said since the last look; for most agents empty."""
        return self.unwrap().stream
