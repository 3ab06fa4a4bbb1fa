"""State that the tools of a session keep between calls: variables, watched paths, metrics.

It is in memory only, because sessions end with the service.
"""

from __future__ import annotations

from collections import defaultdict
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
        parts: What tools that are rarely used keep, by a name of theirs.
    """

    env: dict[str, str] = attrs.field(factory=dict, repr=False)
    watchers: dict[str, PathWatcher] = attrs.field(factory=dict)
    meter: Meter = attrs.field(factory=Meter)
    parts: dict[str, object] = attrs.field(factory=dict)


ToolStates = defaultdict[str, ToolState]
"""The state of each session by its id; empty at first.

Example:
    >>> tool_states = ToolStates(ToolState)
    >>> tool_states["s-1"].env["A"] = "b"
    >>> tool_states["s-1"].env
    {'A': 'b'}
"""
