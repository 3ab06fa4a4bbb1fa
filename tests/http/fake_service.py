"""A fake service in memory that keeps its sessions, on the event loop of the test.

Two kinds of tests cannot use the local service. Those that cancel a client at each of its steps
need the same steps in each run; sockets and threads change them. Those of bulk runs hold single
requests, count the ones in progress, and need many hundreds of sessions on an instant clock.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async import ConnectionFailedError, HttpResponse

from .scripted import disconnect, success

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import HttpRequest

    MakeError = Callable[[int], HttpResponse | None]

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
        sessions: The live sessions, by their ids: "s-0", "s-1", ...
        created: The number of sessions that were ever created.
        requested: The number of create requests.
        active: The number of create requests in progress.
        max_active: The highest value of `active`.
        lag: Seconds until a new session is found by its labels.
        page_size: How many sessions are on a page of a listing.
        arrive: Whether uploads and downloads of files succeed.
        fail_with: Returns the error to answer the create request of a number with, or None.
        events: The events that the create requests of these numbers wait for.
        twice: The numbers of the create requests that the network delivers twice.
        undeletable: The ids of sessions whose delete fails.
        down: Whether deletes and listings do not reach the service.
    """

    def __init__(self, scripted: Script, clock: InstantClock) -> None:
        self.sessions: dict[str, FakeSession] = {}
        self.clock = clock
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self.reset()
        for action in _ACTIONS:
            scripted.respond(action, self._serve)

    def reset(self) -> None:
        """Remove all sessions and failures."""
        self.sessions.clear()
        self.created = self.requested = self.active = self.max_active = 0
        self.lag = 0.0
        self.page_size = 100
        self.arrive = True
        self.fail_with: MakeError = lambda _number: None
        self.events: dict[int, asyncio.Event] = {}
        self.twice: set[int] = set()
        self.undeletable: set[str] = set()
        self.down = False
        self._failures: dict[str, deque[str]] = defaultdict(deque)
        self._tasks: list[dict[str, Any]] = []

    @property
    def alive(self) -> set[str]:
        """The ids of the live sessions."""
        return set(self.sessions)

    def fail_next(self, action: str, *kinds: str) -> None:
        """Make the next requests of an action fail, one after the other.

        ``"lost"`` breaks the connection after the action, ``"unread"`` before it, and
        ``"unavailable"`` answers with 503; ``"fine"`` does not fail.
        """
        self._failures[action].extend(kinds)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition on the sessions and the requests holds."""

        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), 30)

    async def _serve(self, request: HttpRequest) -> HttpResponse:
        failures = self._failures[request.action]
        kind = failures.popleft() if failures else "fine"
        if kind == "unread":
            return disconnect(request)
        if kind == "unavailable":
            return HttpResponse.failure("ServiceUnavailable", status=503)
        data = _ACTIONS[request.action](self, {**request.form, **request.query})
        if inspect.isawaitable(data):
            data = await data
        self._changed.set()
        if kind == "lost":
            return disconnect(request)
        return data if isinstance(data, HttpResponse) else success(request.action, data)

    async def create(self, form: dict[str, str]) -> object:
        """Create a session, or two if the network delivers the request twice."""
        number = self.requested
        self.requested += 1
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        self._changed.set()
        try:
            # Other requests arrive before this one is answered.
            await asyncio.sleep(0)
            if number in self.events:
                await self.events[number].wait()
            error = self.fail_with(number)
            if error is not None:
                return error
            ids = [self.add(form) for _ in range(2 if number in self.twice else 1)]
        finally:
            self.active -= 1
            self._changed.set()
        return {"SessionId": ids[-1], "LinkUrl": "", "ResourceUrl": f"https://{ids[-1]}"}

    def add(self, form: dict[str, str]) -> str:
        """Add a session, and return its id."""
        self.created += 1
        # Never reused: requests for an earlier session may still be on their way.
        session_id = f"s-{next(self._numbers)}"
        labels = json.loads(form.get("Labels") or "{}")
        self.sessions[session_id] = FakeSession(labels, self.clock.now)
        for context in json.loads(form.get("PersistenceDataList") or "[]"):
            self._move(context["ContextId"], context["Path"], "download")
        return session_id

    def get(self, form: dict[str, str]) -> object:
        """Show a session."""
        found = self.sessions.get(form["SessionId"])
        if found is None:
            return HttpResponse.failure(_GONE)
        url = f"https://{form['SessionId']}"
        return {"SessionId": form["SessionId"], "Status": found.status, "ResourceUrl": url}

    def labels(self, form: dict[str, str]) -> object:
        """Show the labels of a session."""
        return {"Labels": json.dumps(self.sessions[form["SessionId"]].labels)}

    def list(self, form: dict[str, str]) -> object:
        """List the sessions that have all of the labels and are old enough to be found."""
        self._check_reachable()
        wanted = json.loads(form["Labels"]).items()
        found = [
            {"SessionId": session_id, "SessionStatus": session.status}
            for session_id, session in self.sessions.items()
            if wanted <= session.labels.items() and session.created_at + self.lag <= self.clock.now
        ]
        start = int(form.get("NextToken") or 0)
        end = start + self.page_size
        following = str(end) if end < len(found) else ""
        return success("ListSession", found[start:end], TotalCount=len(found), NextToken=following)

    def delete(self, form: dict[str, str]) -> object:
        """Release a session."""
        self._check_reachable()
        if form["SessionId"] in self.undeletable:
            return HttpResponse.failure("Some.Code")
        gone = self.sessions.pop(form["SessionId"], None) is None
        return HttpResponse.failure(_GONE) if gone else None

    def sync(self, form: dict[str, str]) -> object:
        """Move files of a context."""
        if form["SessionId"] not in self.sessions:
            return HttpResponse.failure(_GONE)
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

    def _check_reachable(self) -> None:
        if self.down:
            raise ConnectionFailedError("there is no service")


_ACTIONS: dict[str, Callable[[FakeService, dict[str, str]], object]] = {
    "CreateMcpSession": FakeService.create,
    "GetSession": FakeService.get,
    "GetSessionDetail": FakeService.get,
    "GetLabel": FakeService.labels,
    "ListSession": FakeService.list,
    "DeleteSessionAsync": FakeService.delete,
    "SyncContext": FakeService.sync,
    "GetContextInfo": FakeService.tasks,
    "DescribeSessionContexts": FakeService.bindings,
}
