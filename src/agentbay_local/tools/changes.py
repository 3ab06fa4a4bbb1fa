"""What has changed below a path: the tool ``get_file_change``, and what is pushed.

Each path is looked at for all who care about it: a question is answered with what has changed since
somebody looked last, and followers hear all of it. Clients follow first and then ask once, for what
they have missed; to such a follower the answer has told it already.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json
from agentbay_local.tools.filesystem import translate_file_errors
from agentbay_local.tools.watcher import PathWatcher, Subscription

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.tools.tool_context import ToolContext
    from agentbay_local.tools.tool_state import ToolState

__all__ = ["get_file_change", "subscribe"]

_MOST = 100


async def subscribe(memory: ToolState, sandbox: Sandbox, path: str) -> Subscription:
    """Begin to hear of what changes at a path, or below it if it is a directory.

    Raises:
        SandboxError: The session cannot tell.
        ToolError: There is no such path, or too much below it.
    """
    watched = memory.watched.get(_key(path)) or await _remembered(memory, sandbox, path)
    follower = Subscription(watched)
    watched.followers.add(follower)
    return follower


async def get_file_change(place: ToolContext, arguments: Arguments) -> str:
    """Answer with the changes since the last question about that path; at first with none."""
    path, known = arguments.path("path"), place.memory.watched
    if _key(path) not in known:
        await _remembered(place.memory, place.sandbox, path)
        return compact_json([])
    # Those that are asked about stay at the end; the front is what nobody asks about any more.
    watched = known[_key(path)] = known.pop(_key(path))
    return compact_json(await watched.answer(place.sandbox))


def _key(path: str) -> str:
    """Return the one spelling under which a path is remembered."""
    return posixpath.normpath(path)


async def _remembered(memory: ToolState, sandbox: Sandbox, path: str) -> PathWatcher:
    with translate_file_errors("get file status"):
        # A survey of what is not there is empty, and nobody means to watch that.
        entry = await sandbox.stat(_key(path))
        found = PathWatcher(entry.path, await sandbox.survey(entry.path))
    idle = [key for key, watched in memory.watched.items() if not watched.followers]
    if len(idle) >= _MOST:
        del memory.watched[idle[0]]
    return memory.watched.setdefault(_key(path), found)
