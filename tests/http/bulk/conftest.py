"""A scripted service that creates and deletes sessions, and counts them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import ConnectionFailedError, HttpResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncSession, BulkOutcome, HttpRequest

    MakeError = Callable[[int], HttpResponse | None]


class Fleet:
    """The sessions of the service.

    Attributes:
        alive: The ids of the live sessions.
        created: The number of created sessions.
        requested: The number of create requests.
        active: The number of create requests that are being answered.
        max_active: The highest value of `active`.
        fail_with: Returns the error to answer the request of a number with, or None.
        twice: The numbers of the create requests that the network delivers twice.
        undeletable: The ids of sessions whose delete fails.
        down: Whether deletes and listings do not reach the service.
        labels: The labels of each session.
        page_size: How many sessions are on a page of a listing.
        events: The events that the requests of these numbers wait for.
    """

    def __init__(self, service: Script) -> None:
        self.alive: set[str] = set()
        self.labels: dict[str, dict[str, str]] = {}
        self.page_size = 100
        self.created = 0
        self.requested = 0
        self.active = 0
        self.max_active = 0
        self.fail_with: MakeError = lambda _number: None
        self.twice: set[int] = set()
        self.undeletable: set[str] = set()
        self.down = False
        self._forgotten: set[str] = set()
        self.events: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()
        for action, step in (
            ("CreateMcpSession", self._create),
            ("DeleteSessionAsync", self._delete),
            ("GetSessionDetail", self._detail),
            ("ListSession", self._list),
            ("GetLabel", self._labels),
        ):
            service.respond(action, step)

    def restart(self) -> None:
        """Forget all sessions, as a service that was started anew."""
        self._forgotten |= self.alive
        self.alive.clear()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition on the sessions and the requests holds."""

        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), 10)

    async def _create(self, request: HttpRequest) -> HttpResponse:
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
            return self._answer_create(number, json.loads(request.form.get("Labels") or "{}"))
        finally:
            self.active -= 1
            self._changed.set()

    def _answer_create(self, number: int, labels: dict[str, str]) -> HttpResponse:
        error = self.fail_with(number)
        if error is not None:
            return error
        for _ in range(2 if number in self.twice else 1):
            session_id = f"s-{self.created}"
            self.created += 1
            self.alive.add(session_id)
            self.labels[session_id] = labels
        return answer({"SessionId": session_id})

    async def _delete(self, request: HttpRequest) -> HttpResponse:
        session_id = request.form["SessionId"]
        if self.down:
            raise ConnectionFailedError("there is no service")
        if session_id in self._forgotten:
            return failure("InvalidMcpSession.NotFound")
        if session_id in self.undeletable:
            return failure("Some.Code", 400)
        self.alive.discard(session_id)
        self._changed.set()
        return answer()

    async def _list(self, request: HttpRequest) -> HttpResponse:
        if self.down:
            raise ConnectionFailedError("there is no service")
        wanted = json.loads(request.form["Labels"]).items()
        found = sorted(one for one in self.alive if wanted <= self.labels[one].items())
        start = int(request.form.get("NextToken") or 0)
        page, end = found[start : start + self.page_size], start + self.page_size
        return HttpResponse.success(
            [{"SessionId": one, "SessionStatus": "RUNNING"} for one in page],
            RequestId="REQ",
            TotalCount=len(found),
            NextToken=str(end) if end < len(found) else "",
        )

    async def _labels(self, request: HttpRequest) -> HttpResponse:
        return answer({"Labels": json.dumps(self.labels[request.form["SessionId"]])})

    async def _detail(self, request: HttpRequest) -> HttpResponse:
        fields = {**request.query, **request.form}
        status = "RUNNING" if fields["SessionId"] in self.alive else "FINISH"
        return answer({"Status": status})


async def collect(outcomes: AsyncIterable[BulkOutcome[AsyncSession]], into: list[str]) -> None:
    """Append the session id of each outcome to a list; "" stands for a failure."""
    async for outcome in outcomes:
        into.append(outcome.session.session_id if outcome.success else "")


def answer(data: object = None) -> HttpResponse:
    """Return a success."""
    return HttpResponse.success(data, RequestId="REQ")


def failure(code: str, status: int = 400, **headers: str) -> HttpResponse:
    """Return an error of the service."""
    body = {"RequestId": "REQ-no", "Success": False, "Code": code, "Message": "no"}
    return HttpResponse(status, json.dumps(body).encode(), headers)


@pytest.fixture
def fleet(scripted: Script) -> Fleet:
    """Return a service that creates and deletes sessions."""
    return Fleet(scripted)
