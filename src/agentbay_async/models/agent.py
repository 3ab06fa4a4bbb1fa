"""What is known of a task that an agent of the service does: a value without any I/O."""

from __future__ import annotations

import attrs


@attrs.frozen
class AgentTask:
    """A task that was given to an agent of the service.

    Attributes:
        task_id: What it is addressed by.
        status: ``"finished"``, ``"completed"``, ``"failed"``, ``"cancelled"``, ``"unsupported"``;
            anything else is still going on.
        result: What it brought, in the agent's words.
        action: What it is doing.
        error: Why it failed, in the agent's words.
    """

    task_id: str
    status: str = ""
    result: str = ""
    action: str = ""
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it has come to a good end."""
        return self.status in ("finished", "completed")

    @property
    def ended(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.succeeded or self.status in ("failed", "cancelled", "unsupported")
