"""A path that is looked at for changes, and those who follow it.

Two surveys of the session are compared, so nothing needs to run between two looks. What happens and
is undone between them is not told.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentbay_local.tools.filesystem import translate_file_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentbay_local.sandbox.base import Mark, Sandbox

    Event = dict[str, str]

__all__ = ["PathWatcher", "Subscription"]

_ASKS_WITHIN = 5.0


class Subscription:
    """One who hears of all that changes below a path, until it leaves.

    Example:
        >>> follower = await follow(memory, sandbox, "/tmp/out")  # doctest: +SKIP
        >>> await follower.changes(sandbox)  # doctest: +SKIP
        [{'eventType': 'create', 'path': '/tmp/out/a', 'pathType': 'file'}]
    """

    def __init__(self, watched: PathWatcher) -> None:
        self._watched = watched
        self._unheard: list[Event] = []
        self._asks_until = asyncio.get_running_loop().time() + _ASKS_WITHIN

    async def changes(self, sandbox: Sandbox) -> list[Event]:
        """Return what this follower has not heard of yet.

        Raises:
            SandboxError: The session cannot tell.
            ToolError: There is more below the path than can be told of at once.
        """
        await self._watched.look(sandbox)
        events, self._unheard = self._unheard, []
        return events

    def hear(self, events: list[Event]) -> None:
        """Take what has changed."""
        self._unheard += events

    def to_ask(self) -> bool:
        """Say whether the first question of this follower is still to come."""
        return asyncio.get_running_loop().time() < self._asks_until

    def asks(self) -> None:
        """Take note of that question."""
        self._asks_until = 0.0

    def leave(self) -> None:
        """Follow no longer. Repeatable."""
        self._watched.followers.discard(self)


class PathWatcher:
    """A path, what was there when it was last looked at, and who follows.

    Attributes:
        followers: Who hears of what changes.
    """

    def __init__(self, path: str, seen: Mapping[str, Mark]) -> None:
        self.followers: set[Subscription] = set()
        self._path = path
        self._seen = seen
        self._looking = asyncio.Lock()

    async def look(self, sandbox: Sandbox) -> None:
        """Tell the followers what has changed since the last look; errors as in `answer`."""
        async with self._looking:
            events = await self._changed(sandbox)
            for follower in self.followers:
                follower.hear(events)

    async def answer(self, sandbox: Sandbox) -> list[Event]:
        """Return what has changed since the last look, and tell those who do not ask themselves.

        Raises:
            SandboxError: The session cannot tell.
            ToolError: There is more below the path than can be told of at once.
        """
        # With several who are still to ask it is not known which of them this is.
        to_ask = [follower for follower in self.followers if follower.to_ask()]
        asking = to_ask[0] if len(to_ask) == 1 else None
        for follower in to_ask[:1]:
            follower.asks()
        async with self._looking:
            events = await self._changed(sandbox)
            for follower in self.followers:
                if follower is not asking:
                    follower.hear(events)
        return events

    async def _changed(self, sandbox: Sandbox) -> list[Event]:
        with translate_file_errors("watch"):
            found = await sandbox.survey(self._path)
        before, self._seen = self._seen, found
        return [*_created(before, found), *_modified(before, found), *_deleted(before, found)]


def _created(before: Mapping[str, Mark], found: Mapping[str, Mark]) -> Iterator[Event]:
    for path in sorted(found.keys() - before.keys()):
        mark = found[path]
        yield _event("create", path, mark)
        if not mark.is_dir and mark.size:
            yield _event("modify", path, mark)


def _modified(before: Mapping[str, Mark], found: Mapping[str, Mark]) -> Iterator[Event]:
    for path in sorted(found.keys() & before.keys()):
        if found[path] != before[path] and not (found[path].is_dir and before[path].is_dir):
            yield _event("modify", path, found[path])


def _deleted(before: Mapping[str, Mark], found: Mapping[str, Mark]) -> Iterator[Event]:
    for path in sorted(before.keys() - found.keys(), reverse=True):
        yield _event("delete", path, before[path])


def _event(kind: str, path: str, mark: Mark) -> Event:
    return {"eventType": kind, "path": path, "pathType": "directory" if mark.is_dir else "file"}
