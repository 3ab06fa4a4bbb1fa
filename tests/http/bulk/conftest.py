"""A scripted service that makes and deletes sessions, and knows which are there."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import HttpResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncSession, BulkOutcome, HttpRequest

    Refusal = Callable[[int], HttpResponse | None]


class Fleet:
    """The sessions of the service.

    Attributes:
        alive: The ids of those that are there.
        made: How many were ever made.
        asked: How many were asked for.
        under_way: How many requests for one are being answered.
        most_under_way: The most there ever were.
        refuse: What is answered to the request of that number instead of a session, or nothing.
        undeletable: The ids of those that cannot be deleted.
        gates: What the request of that number waits for before it is answered.
    """

    def __init__(self, service: Script) -> None:
        self.alive: set[str] = set()
        self.made = 0
        self.asked = 0
        self.under_way = 0
        self.most_under_way = 0
        self.refuse: Refusal = lambda _number: None
        self.undeletable: set[str] = set()
        self.gates: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()
        for action, step in (
            ("CreateMcpSession", self._create),
            ("DeleteSessionAsync", self._delete),
            ("GetSessionDetail", self._detail),
        ):
            service.respond(action, step)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of the sessions and the requests."""

        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), 10)

    async def _create(self, _request: HttpRequest) -> HttpResponse:
        number = self.asked
        self.asked += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self._changed.set()
        try:
            # Other requests arrive before this one is answered.
            await asyncio.sleep(0)
            if number in self.gates:
                await self.gates[number].wait()
            return self._made(number)
        finally:
            self.under_way -= 1
            self._changed.set()

    def _made(self, number: int) -> HttpResponse:
        refused = self.refuse(number)
        if refused is not None:
            return refused
        session_id = f"s-{self.made}"
        self.made += 1
        self.alive.add(session_id)
        return answer({"SessionId": session_id})

    async def _delete(self, request: HttpRequest) -> HttpResponse:
        session_id = request.form["SessionId"]
        if session_id in self.undeletable:
            return refusal("Some.Code", 400)
        self.alive.discard(session_id)
        self._changed.set()
        return answer()

    async def _detail(self, request: HttpRequest) -> HttpResponse:
        fields = {**request.query, **request.form}
        status = "RUNNING" if fields["SessionId"] in self.alive else "FINISH"
        return answer({"Status": status})


async def read(outcomes: AsyncIterable[BulkOutcome[AsyncSession]], into: list[str]) -> None:
    """Read a run to its end, and note the sessions; what fails is noted as ``""``."""
    async for outcome in outcomes:
        into.append(outcome.session.session_id if outcome.success else "")


def answer(data: object = None) -> HttpResponse:
    """Return a success."""
    return HttpResponse.success(data, RequestId="REQ")


def refusal(code: str, status: int = 400, **headers: str) -> HttpResponse:
    """Return an error of the service."""
    body = {"RequestId": "REQ-no", "Success": False, "Code": code, "Message": "no"}
    return HttpResponse(status, json.dumps(body).encode(), headers)


@pytest.fixture
def fleet(scripted: Script) -> Fleet:
    """Give a service that makes and deletes sessions."""
    return Fleet(scripted)
