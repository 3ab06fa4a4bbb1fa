"""State that the tools of a session keep between calls: variables, watched paths, metrics.

It is in memory only, because sessions end with the service.
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
    """The state of one session.

    Attributes:
        env: Variables of its commands, code and terminals.
        watchers: Watchers by path, the least recently used first.
        meter: The last reading of its metrics.
    """

    env: dict[str, str] = attrs.field(factory=dict, repr=False)
    watchers: dict[str, PathWatcher] = attrs.field(factory=dict)
    meter: Meter = attrs.field(factory=Meter)


class ToolStates:
    """The states of all sessions.

    Example:
        >>> tool_states = ToolStates()
        >>> tool_states.of("s-1").env["A"] = "b"
        >>> tool_states.of("s-1").env
        {'A': 'b'}
    """

    def __init__(self) -> None:
        self._states: dict[str, ToolState] = {}

    def of(self, session_id: str) -> ToolState:
        """Return the state of a session, an empty one at first."""
        return self._states.setdefault(session_id, ToolState())

    def forget(self, session_id: str) -> None:
        """Drop the state of a session that has ended."""
        self._states.pop(session_id, None)
