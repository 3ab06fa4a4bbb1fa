"""A service that remembers its sessions, so that a test can count those that were left behind.

It does what was asked and then, where it was told to, loses the answer: the trouble that makes
doubles and leaks. Its index of labels may lag behind.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Scripted

_GONE = "InvalidMcpSession.NotFound"


@attrs.define
class Remembered:
    """A session of the service."""

    labels: dict[str, str]
    born: float
    status: str = "RUNNING"


class Remembering:
    """Sessions behind a scripted service.

    Attributes:
        sessions: Those that live, by their ids.
        made: How many were ever made.
        lag: Seconds after which a session is found by its labels.
        uploads: Whether uploads and downloads of files arrive.
    """

    def __init__(self, scripted: Scripted, clock: InstantClock) -> None:
        self.sessions: dict[str, Remembered] = {}
        self._scripted = scripted
        self.clock = clock
        self._numbers = itertools.count(1)
        self.reset()
        for action in _ANSWERS:
            scripted.act(action, self._serve)

    def reset(self) -> None:
        """Begin anew: no sessions, no trouble."""
        self.sessions.clear()
        self.made = 0
        self.lag = 0.0
        self.arrive = True
        self._troubles: dict[str, deque[str]] = defaultdict(deque)
        self._tasks: list[dict[str, Any]] = []

    def trouble(self, action: str, *kinds: str) -> None:
        """Have the next answers to an action go wrong, one after the other.

        ``"lost"`` does what was asked and breaks the connection, ``"unread"`` breaks it before;
        ``"failed"`` does it and says HTTP 500, ``"slow"`` does it and says nothing; ``"gone"``
        says that there is no such session, and ``"fine"`` is no trouble.
        """
        self._troubles[action].extend(kinds)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        action = request.query["Action"]
        form = {name: str(value) for name, value in (await request.post()).items()}
        form.update(request.query)
        troubles = self._troubles[action]
        trouble = troubles.popleft() if troubles else "fine"
        if trouble == "unread":
            return self._hung_up(request)
        answer = _ANSWERS[action](self, form)
        if trouble == "lost":
            return self._hung_up(request)
        if trouble == "slow":
            await self._scripted.closing()
        if trouble == "failed":
            return web.json_response({"Code": "InternalError"}, status=500)
        if answer is _MISSING or trouble == "gone":
            document = {"Success": False, "Code": _GONE, "RequestId": f"REQ-{action}"}
            return web.json_response(document, status=400)
        document = {"Success": True, "Code": "ok", "RequestId": f"REQ-{action}"}
        return web.json_response({**document, "Data": answer})

    def _hung_up(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def create(self, form: dict[str, str]) -> object:
        """Make a session."""
        self.made += 1
        # Never the same twice: what was asked of an earlier one may still be on its way.
        session_id = f"s-{next(self._numbers)}"
        labels = json.loads(form.get("Labels") or "{}")
        self.sessions[session_id] = Remembered(labels, self.clock.now)
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
            if wanted <= session.labels.items() and session.born + self.lag <= self.clock.now
        ]

    def labels(self, form: dict[str, str]) -> object:
        """Show the labels of a session."""
        found = self.sessions.get(form["SessionId"])
        return _MISSING if found is None else {"Labels": json.dumps(found.labels)}

    def relabel(self, form: dict[str, str]) -> object:
        """Replace the labels of a session."""
        self.sessions[form["SessionId"]].labels = json.loads(form["Labels"])
        return None

    def delete(self, form: dict[str, str]) -> object:
        """Release a session."""
        return _MISSING if self.sessions.pop(form["SessionId"], None) is None else None

    def sync(self, form: dict[str, str]) -> object:
        """Move files."""
        if form["SessionId"] not in self.sessions:
            return _MISSING
        self._move("c-1", "/a", form.get("Mode", "upload"))
        return None

    def tasks(self, form: dict[str, str]) -> object:
        """List the movements of files."""
        wanted = form.get("TaskType")
        tasks = [task for task in self._tasks if wanted in (None, task["taskType"])]
        return {"ContextStatus": json.dumps([{"type": "data", "data": json.dumps(tasks)}])}

    def bindings(self, form: dict[str, str]) -> object:
        """List the contexts of a session."""
        return [{"ContextId": "c-1", "Path": "/a"}] if form["SessionId"] in self.sessions else []

    def refresh(self, form: dict[str, str]) -> object:
        """Count the idle time from now on."""
        return None if form["SessionId"] in self.sessions else _MISSING

    def _move(self, context_id: str, path: str, kind: str) -> None:
        status = "Success" if self.arrive else "Failed"
        task = {"contextId": context_id, "path": path, "taskType": kind, "status": status}
        self._tasks.append(task)


_MISSING = object()
_ANSWERS = {
    "CreateMcpSession": Remembering.create,
    "GetSession": Remembering.get,
    "GetSessionDetail": Remembering.get,
    "ListSession": Remembering.list,
    "GetLabel": Remembering.labels,
    "SetLabel": Remembering.relabel,
    "DeleteSessionAsync": Remembering.delete,
    "SyncContext": Remembering.sync,
    "GetContextInfo": Remembering.tasks,
    "DescribeSessionContexts": Remembering.bindings,
    "RefreshSessionIdleTime": Remembering.refresh,
}
