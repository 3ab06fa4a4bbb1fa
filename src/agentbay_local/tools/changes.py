"""Changes below a path: the tool ``get_file_change``, and subscriptions to changes.

All readers of a path share one watcher. The tool answers with the changes since anybody read last,
and subscriptions receive all changes. Official clients subscribe first and then call the tool once
for the changes that they missed; the subscription then does not repeat that answer.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.json import dump_json
from agentbay_local.tools.file_errors import translate_file_errors
from agentbay_local.tools.watcher import PathWatcher, Subscription

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.tools.tool_context import ToolContext
    from agentbay_local.tools.tool_state import ToolState

__all__ = ["get_file_change", "subscribe"]

_MAX_IDLE_WATCHERS = 100
# Characters of an event in JSON, about.
_EVENT_SIZE = 100


async def subscribe(state: ToolState, sandbox: Sandbox, path: str) -> Subscription:
    """Subscribe to the changes of a file, or of everything below a directory.

    Raises:
        SandboxError: The session has ended or is paused.
        ToolError: The path does not exist, or has too many entries below it.
    """
    watcher = state.watchers.get(_key(path)) or await _add_watcher(state, sandbox, path)
    subscription = Subscription(watcher)
    watcher.subscriptions.add(subscription)
    return subscription


async def get_file_change(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the changes since the last call for that path; the first call has none."""
    path, watchers = arguments.path("path"), context.state.watchers
    if _key(path) not in watchers:
        await _add_watcher(context.state, context.sandbox, path)
        return compact_json([])
    # Moved to the end, so that the first entries are the least recently used.
    watcher = watchers[_key(path)] = watchers.pop(_key(path))
    events = await watcher.read_events(context.sandbox)
    return await dump_json(events, _EVENT_SIZE * len(events))


def _key(path: str) -> str:
    return posixpath.normpath(path)


async def _add_watcher(state: ToolState, sandbox: Sandbox, path: str) -> PathWatcher:
    with translate_file_errors("get file status"):
        # The survey of a missing path is empty, so only `stat` reports the mistake.
        entry = await sandbox.stat(_key(path))
        watcher = PathWatcher(entry.path, await sandbox.survey(entry.path))
    idle = [key for key, other in state.watchers.items() if not other.subscriptions]
    if len(idle) >= _MAX_IDLE_WATCHERS:
        del state.watchers[idle[0]]
    # Another task may have added one during the awaits.
    return state.watchers.setdefault(_key(path), watcher)
