"""How fast a run goes: as wide as asked, at the rate asked, and slower when the service says so."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

from agentbay_async import (
    AsyncAgentBay,
    ContextSync,
    CreateSessionParams,
    RetryPolicy,
    ThrottledError,
)

from .conftest import answer, refusal

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.bulk.conftest import Fleet
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import HttpRequest, HttpResponse

PARAMS = CreateSessionParams()


async def test_no_more_are_under_way_than_max_concurrency(bay: AsyncAgentBay, fleet: Fleet) -> None:
    """And as many as that, when there are enough inputs."""
    gate = asyncio.Event()
    fleet.gates = dict.fromkeys(range(7), gate)
    running = asyncio.create_task(bay.create_many(PARAMS, 40, max_concurrency=7).run())
    await fleet.until(lambda: fleet.under_way == 7)
    gate.set()
    assert (await running).success
    assert fleet.most_under_way == 7


async def test_the_rate_holds_on_the_clock(
    bay: AsyncAgentBay, fleet: Fleet, clock: InstantClock
) -> None:
    """Three at once, then two a second: ten take three and a half seconds."""
    began = clock.now
    await bay.create_many(PARAMS, 10, rate=2.0, burst=3, max_concurrency=1)
    assert clock.now - began == 3.5
    assert fleet.made == 10


async def test_a_service_that_throttles_gets_all_its_sessions_asked_for_in_the_end(
    bay: AsyncAgentBay, fleet: Fleet
) -> None:
    """Without any setting: it takes no more than eight at a time, and nothing fails."""

    def crowd(_number: int) -> HttpResponse | None:
        return refusal("Throttling.User", 429) if fleet.under_way > 8 else None

    fleet.refuse = crowd
    # Whoever is answered leaves the service a turn of the loop for the next ones to arrive.
    result = await bay.create_many(PARAMS, 300, max_concurrency=64)
    assert (result.done, result.failed) == (300, 0)
    assert result.attempts == fleet.asked
    assert len(fleet.alive) == 300


async def test_a_refused_crowd_comes_back_as_half_a_crowd(bay: AsyncAgentBay, fleet: Fleet) -> None:
    """The first refusal narrows the window at once for all."""
    gate = asyncio.Event()
    fleet.gates = dict.fromkeys(range(16), gate)
    fleet.refuse = lambda number: refusal("Throttling", 429) if number < 16 else None
    running = asyncio.create_task(bay.create_many(PARAMS, 64, max_concurrency=16).run())
    await fleet.until(lambda: fleet.under_way == 16)
    gate.set()
    result = await running
    assert result.done == 64
    assert Counter(outcome.attempts for outcome in result.outcomes) == {1: 48, 2: 16}


async def test_an_input_that_is_throttled_for_ever_fails_in_the_end(
    bays: Bays, fleet: Fleet, clock: InstantClock
) -> None:
    """After the patience of the client, which is 300 seconds, and not before."""
    fleet.refuse = lambda _number: refusal("Throttling", 429)
    began = clock.now
    result = await bays(retry=RetryPolicy(attempts=2)).create_many(PARAMS, 1)
    assert isinstance(result.failures[0], ThrottledError)
    assert result.attempts == fleet.asked > 20
    assert 300 <= clock.now - began < 330


async def test_nobody_goes_before_the_time_that_the_service_asked_for(
    bays: Bays, fleet: Fleet, clock: InstantClock
) -> None:
    """One that is told to come back in 20 s speaks for all that have not gone yet."""
    times: list[float] = []

    def refuse(number: int) -> HttpResponse | None:
        times.append(clock.now)
        return refusal("Throttling", 429, **{"Retry-After": "20"}) if number == 0 else None

    fleet.refuse = refuse
    began = clock.now
    bay = bays(retry=RetryPolicy(attempts=1))
    result = await bay.create_many(PARAMS, 4, max_concurrency=1)
    assert result.success
    assert times[0] == began
    assert all(time >= began + 20 for time in times[1:])


async def test_calls_of_others_neither_count_nor_slow_a_run_down(
    bay: AsyncAgentBay, fleet: Fleet
) -> None:
    """What is watched are the calls of the run alone."""
    gate = fleet.gates[0] = asyncio.Event()
    running = asyncio.create_task(bay.create_many(PARAMS, 1).run())
    await fleet.until(lambda: fleet.under_way == 1)
    for _ in range(3):
        assert (await bay.create()).success
    gate.set()
    assert (await running).attempts == 1


async def test_max_starting_bounds_those_that_wait_for_files(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """A session is starting until its files are there; the others are not held up by that."""
    starting: set[str] = set()
    most = 0

    async def create(request: HttpRequest) -> HttpResponse:
        nonlocal most
        form = request.form
        number = json.loads(form["Labels"])["number"]
        if "PersistenceDataList" in form:
            starting.add(f"s-{number}")
            most = max(most, len(starting))
        return answer({"SessionId": f"s-{number}"})

    async def info(request: HttpRequest) -> HttpResponse:
        starting.discard(request.form["SessionId"])
        task = {"contextId": "c-1", "path": "/data", "taskType": "download", "status": "Success"}
        return answer({"ContextStatus": json.dumps([{"type": "data", "data": json.dumps([task])}])})

    scripted.respond("CreateMcpSession", create)
    scripted.respond("GetContextInfo", info)
    inputs = [
        CreateSessionParams(
            labels={"number": str(number)},
            context_syncs=[ContextSync.new("c-1", "/data")] if number % 2 else None,
        )
        for number in range(40)
    ]
    result = await bay.create_many(inputs, max_starting=2)
    result.raise_for_failures()
    assert (result.done, most) == (40, 2)
