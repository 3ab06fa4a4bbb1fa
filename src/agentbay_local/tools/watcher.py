"""Watch a path for changes by comparing surveys of the session's files.

Nothing runs in the session between two surveys, so a change that is undone between them is not
reported, and several changes of one file are reported as one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentbay_local.tools.file_errors import translate_file_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentbay_local.sandbox.base import Mark, Sandbox

    Event = dict[str, str]

__all__ = ["PathWatcher", "Subscription"]

_CATCH_UP_SECONDS = 5.0
# Entries of two surveys that are compared without a thread.
_INLINE = 2000


class Subscription:
    """Collects the changes below a path until it is closed.

    Example:
        >>> subscription = await subscribe(state, sandbox, "/tmp/out")  # doctest: +SKIP
        >>> await subscription.read_events(sandbox)  # doctest: +SKIP
        [{'eventType': 'create', 'path': '/tmp/out/a', 'pathType': 'file'}]
    """

    def __init__(self, watcher: PathWatcher) -> None:
        self._watcher = watcher
        self._events: list[Event] = []
        self._catch_up_until = asyncio.get_running_loop().time() + _CATCH_UP_SECONDS

    async def read_events(self, sandbox: Sandbox) -> list[Event]:
        """Return the changes since the last call.

        Raises:
            SandboxError: The session has ended or is paused.
            ToolError: The path has too many entries below it.
        """
        await self._watcher.poll(sandbox)
        events, self._events = self._events, []
        return events

    def add_events(self, events: list[Event]) -> None:
        """Add changes to return later."""
        self._events += events

    def may_catch_up(self) -> bool:
        """Return whether the client may still call the tool for the changes that it missed."""
        return asyncio.get_running_loop().time() < self._catch_up_until

    def end_catch_up(self) -> None:
        """Note that the client has made that call."""
        self._catch_up_until = 0.0

    def close(self) -> None:
        """Stop collecting. Idempotent."""
        self._watcher.subscriptions.discard(self)


class PathWatcher:
    """A path, its last survey and its subscriptions.

    Attributes:
        subscriptions: Receive all changes.
    """

    def __init__(self, path: str, marks: Mapping[str, Mark]) -> None:
        self.subscriptions: set[Subscription] = set()
        self._path = path
        self._marks = marks
        self._lock = asyncio.Lock()

    async def poll(self, sandbox: Sandbox) -> None:
        """Hand the changes since the last survey to the subscriptions; errors as `read_events`."""
        async with self._lock:
            events = await self._survey(sandbox)
            for subscription in self.subscriptions:
                subscription.add_events(events)

    async def read_events(self, sandbox: Sandbox) -> list[Event]:
        """Return the changes since the last survey, and hand them to the subscriptions.

        The subscription of the caller does not receive them again, if it is known.

        Raises:
            SandboxError: The session has ended or is paused.
            ToolError: The path has too many entries below it.
        """
        # A call does not say which client makes it. With a single subscription that has not
        # caught up it must be that one; with several, a duplicate is better than a loss.
        candidates = [one for one in self.subscriptions if one.may_catch_up()]
        caller = candidates[0] if len(candidates) == 1 else None
        for subscription in candidates[:1]:
            subscription.end_catch_up()
        async with self._lock:
            events = await self._survey(sandbox)
            for subscription in self.subscriptions:
                if subscription is not caller:
                    subscription.add_events(events)
        return events

    async def _survey(self, sandbox: Sandbox) -> list[Event]:
        with translate_file_errors("watch"):
            marks = await sandbox.survey(self._path)
        if len(self._marks) + len(marks) <= _INLINE:
            events = _compare(self._marks, marks)
        else:
            # A session may change tens of thousands of files between two surveys.
            events = await asyncio.to_thread(_compare, self._marks, marks)
        # Only now: a cancelled reader loses no changes.
        self._marks = marks
        return events


def _compare(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> list[Event]:
    return [*_created(before, after), *_modified(before, after), *_deleted(before, after)]


def _created(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> Iterator[Event]:
    for path in sorted(after.keys() - before.keys()):
        mark = after[path]
        yield _event("create", path, mark)
        if not mark.is_dir and mark.size:
            yield _event("modify", path, mark)


def _modified(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> Iterator[Event]:
    for path in sorted(after.keys() & before.keys()):
        if after[path] != before[path] and not (after[path].is_dir and before[path].is_dir):
            yield _event("modify", path, after[path])


def _deleted(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> Iterator[Event]:
    # Entries before their directory.
    for path in sorted(before.keys() - after.keys(), reverse=True):
        yield _event("delete", path, before[path])


def _event(event_type: str, path: str, mark: Mark) -> Event:
    path_type = "directory" if mark.is_dir else "file"
    return {"eventType": event_type, "path": path, "pathType": path_type}
