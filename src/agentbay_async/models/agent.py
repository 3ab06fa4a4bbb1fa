"""Tasks of the service's agents."""

from __future__ import annotations

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
    """

    task_id: str
    status: str = ""
    result: str = ""
    action: str = ""
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the task ended successfully."""
        return self.status in ("finished", "completed")

    @property
    def ended(self) -> bool:
        """Whether the task ended, successfully or not."""
        return self.succeeded or self.status in ("failed", "cancelled", "unsupported")


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
