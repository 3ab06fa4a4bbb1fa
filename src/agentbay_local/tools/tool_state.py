"""What a session's tools remember from call to call: variables, and what they saw last.

It is kept in memory only, because sessions end with the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_local.tools.meter import Meter

if TYPE_CHECKING:
    from agentbay_local.tools.watcher import PathWatcher

__all__ = ["ToolState", "ToolStates"]


@attrs.frozen(eq=False)
class ToolState:
    """What is remembered of one session.

    Attributes:
        env: Variables of all its commands, code and terminals.
        watched: The paths whose changes are asked for.
        meter: What its metrics are compared with.
    """

    env: dict[str, str] = attrs.field(factory=dict, repr=False)
    watched: dict[str, PathWatcher] = attrs.field(factory=dict)
    meter: Meter = attrs.field(factory=Meter)


class ToolStates:
    """The memories of all sessions.

    Example:
        >>> memories = Memories()
        >>> memories.of("s-1").env["A"] = "b"
        >>> memories.of("s-1").env
        {'A': 'b'}
    """

    def __init__(self) -> None:
        self._memories: dict[str, ToolState] = {}

    def of(self, session_id: str) -> ToolState:
        """Return the memory of a session; an empty one at first."""
        return self._memories.setdefault(session_id, ToolState())

    def forget(self, session_id: str) -> None:
        """Remember nothing more of a session, which is over."""
        self._memories.pop(session_id, None)
