"""A fake service in memory, for the test that cancels a client at each of its steps.

The local service cannot serve that test: behind sockets and threads, the steps of a call differ
from run to run. This one answers on the test's own loop, so that a piece of work has the same steps
each time, and it keeps its sessions, so that the test can count those that were left behind.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async import HttpResponse

from .scripted import disconnect, success

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import HttpRequest

_GONE = "InvalidMcpSession.NotFound"


@attrs.define
class FakeSession:
    """A session of the service."""

    labels: dict[str, str]
    created_at: float
    status: str = "RUNNING"


class FakeService:
    """Sessions behind a scripted transport.

    Attributes:
        sessions: The live sessions, by their ids.
        created: The number of sessions that were ever created.
        lag: Seconds until a new session is found by its labels.
        arrive: Whether uploads and downloads of files succeed.
    """

    def __init__(self, scripted: Script, clock: InstantClock) -> None:
        self.sessions: dict[str, FakeSession] = {}
        self.clock = clock
        self._numbers = itertools.count(1)
        self.reset()
        for action in _ACTIONS:
            scripted.respond(action, self._serve)

    def reset(self) -> None:
        """Remove all sessions and failures."""
        self.sessions.clear()
        self.created = 0
        self.lag = 0.0
        self.arrive = True
        self._failures: dict[str, deque[str]] = defaultdict(deque)
        self._tasks: list[dict[str, Any]] = []

    def fail_next(self, action: str, *kinds: str) -> None:
        """Make the next requests of an action fail, one after the other.

        ``"lost"`` breaks the connection after the action, ``"unread"`` before it; ``"fine"`` does
        not fail.
        """
        self._failures[action].extend(kinds)

    async def _serve(self, request: HttpRequest) -> HttpResponse:
        failures = self._failures[request.action]
        kind = failures.popleft() if failures else "fine"
        if kind == "unread":
            return disconnect(request)
        answer = _ACTIONS[request.action](self, {**request.form, **request.query})
        if kind == "lost":
            return disconnect(request)
        if answer is _MISSING:
            return HttpResponse.failure(_GONE)
        return success(request.action, answer)

    def create(self, form: dict[str, str]) -> object:
        """Make a session."""
        self.created += 1
        # Never reused: requests for an earlier session may still be on their way.
        session_id = f"s-{next(self._numbers)}"
        labels = json.loads(form.get("Labels") or "{}")
        self.sessions[session_id] = FakeSession(labels, self.clock.now)
        for context in json.loads(form.get("PersistenceDataList") or "[]"):
            self._move(context["ContextId"], context["Path"], "download")
        return {"SessionId": session_id, "LinkUrl": "", "ResourceUrl": f"https://{session_id}"}

    def get(self, form: dict[str, str]) -> object:
        """Show a session."""
        found = self.sessions.get(form["SessionId"])
        if found is None:
            return _MISSING
        url = f"https://{form['SessionId']}"
        return {"SessionId": form["SessionId"], "Status": found.status, "ResourceUrl": url}

    def list(self, form: dict[str, str]) -> object:
        """List the sessions that have all of the labels and are old enough to be found."""
        wanted = json.loads(form["Labels"]).items()
        return [
            {"SessionId": session_id, "SessionStatus": session.status}
            for session_id, session in self.sessions.items()
            if wanted <= session.labels.items() and session.created_at + self.lag <= self.clock.now
        ]

    def delete(self, form: dict[str, str]) -> object:
        """Release a session."""
        return _MISSING if self.sessions.pop(form["SessionId"], None) is None else None

    def sync(self, form: dict[str, str]) -> object:
        """Move files of a context."""
        if form["SessionId"] not in self.sessions:
            return _MISSING
        self._move("c-1", "/a", form.get("Mode", "upload"))
        return None

    def tasks(self, form: dict[str, str]) -> object:
        """List the sync tasks."""
        wanted = form.get("TaskType")
        tasks = [task for task in self._tasks if wanted in (None, task["taskType"])]
        return {"ContextStatus": json.dumps([{"type": "data", "data": json.dumps(tasks)}])}

    def bindings(self, form: dict[str, str]) -> object:
        """List the contexts of a session."""
        return [{"ContextId": "c-1", "Path": "/a"}] if form["SessionId"] in self.sessions else []

    def _move(self, context_id: str, path: str, kind: str) -> None:
        status = "Success" if self.arrive else "Failed"
        task = {"contextId": context_id, "path": path, "taskType": kind, "status": status}
        self._tasks.append(task)


_MISSING = object()
_ACTIONS = {
    "CreateMcpSession": FakeService.create,
    "GetSession": FakeService.get,
    "GetSessionDetail": FakeService.get,
    "ListSession": FakeService.list,
    "DeleteSessionAsync": FakeService.delete,
    "SyncContext": FakeService.sync,
    "GetContextInfo": FakeService.tasks,
    "DescribeSessionContexts": FakeService.bindings,
}
