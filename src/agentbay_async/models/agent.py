"""Tasks of the service's agents."""

from __future__ import annotations

import attrs


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
