"""Who watches the attempts of a call: those who make thousands of calls want to know how they go.

A watcher is set for a task and for the tasks that it begins, so that nobody else's calls are seen.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError


class CallHooks(Protocol):
    """What is told of each attempt."""

    def sent(self, action: str) -> None:
        """Hear that a request of `action` is about to be sent."""
        ...

    def failed(self, action: str, error: AgentBayError) -> None:
        """Hear that it failed; it may be sent again."""
        ...


#: Who watches the calls of this task.
call_hooks: ContextVar[CallHooks | None] = ContextVar("agentbay_watcher", default=None)
