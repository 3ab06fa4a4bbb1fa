"""Pace of a run: maximum concurrency, rate, and slowing down on throttling."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

from tests.http.scripted import success

from agentbay_async import (
    AsyncAgentBay,
    ContextSync,
    CreateSessionParams,
    HttpResponse,
    RetryPolicy,
    ThrottledError,
)

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

    from agentbay_async import HttpRequest

PARAMS = CreateSessionParams()


async def test_concurrency_is_limited(bay: AsyncAgentBay, service: FakeService) -> None:
    """It reaches the limit if there are enough inputs."""
    gate = asyncio.Event()
    service.events = dict.fromkeys(range(7), gate)
    running = asyncio.create_task(bay.create_many(PARAMS, 40, max_concurrency=7).run())
    await service.until(lambda: service.active == 7)
    gate.set()
    assert (await running).success
    assert service.max_active == 7


async def test_the_rate_holds_on_the_clock(
    bay: AsyncAgentBay, service: FakeService, clock: InstantClock
) -> None:
    """Three at once, then two a second: ten take three and a half seconds."""
    began = clock.now
    await bay.create_many(PARAMS, 10, rate=2.0, burst=3, max_concurrency=1)
    assert clock.now - began == 3.5
    assert service.created == 10


async def test_throttled_creates_all_succeed_in_the_end(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """The service accepts eight at a time; no setting is needed."""

    def throttle(_number: int) -> HttpResponse | None:
        return HttpResponse.failure("Throttling.User", status=429) if service.active > 8 else None

    service.fail_with = throttle
    # Each answer takes a turn of the loop, in which the next requests arrive.
    result = await bay.create_many(PARAMS, 300, max_concurrency=64)
    assert (result.done, result.failed) == (300, 0)
    assert result.attempts == service.requested > 300
    assert len(service.alive) == 300


async def test_throttling_halves_the_concurrency(bay: AsyncAgentBay, service: FakeService) -> None:
    """The first throttled answer narrows the window for all."""
    gate = asyncio.Event()
    service.events = dict.fromkeys(range(16), gate)
    service.fail_with = lambda number: (
        HttpResponse.failure("Throttling", status=429) if number < 16 else None
    )
    running = asyncio.create_task(bay.create_many(PARAMS, 64, max_concurrency=16).run())
    await service.until(lambda: service.active == 16)
    gate.set()
    result = await running
    assert result.done == 64
    assert Counter(outcome.attempts for outcome in result.outcomes) == {1: 48, 2: 16}


async def test_an_input_that_is_throttled_for_ever_fails_in_the_end(
    bays: Bays, service: FakeService, clock: InstantClock
) -> None:
    """After 300 seconds, and not before."""
    service.fail_with = lambda _number: HttpResponse.failure("Throttling", status=429)
    began = clock.now
    result = await bays(retry=RetryPolicy(attempts=2)).create_many(PARAMS, 1)
    assert isinstance(result.failures[0], ThrottledError)
    assert result.attempts == service.requested > 20
    assert 300 <= clock.now - began < 330


async def test_no_request_precedes_the_retry_after(
    bays: Bays, service: FakeService, clock: InstantClock
) -> None:
    """One Retry-After of 20 s delays all waiting requests."""
    times: list[float] = []

    def refuse(number: int) -> HttpResponse | None:
        times.append(clock.now)
        return (
            HttpResponse.failure("Throttling", status=429, headers={"Retry-After": "20"})
            if number == 0
            else None
        )

    service.fail_with = refuse
    began = clock.now
    bay = bays(retry=RetryPolicy(attempts=1))
    result = await bay.create_many(PARAMS, 4, max_concurrency=1)
    assert result.success
    assert times[0] == began
    assert all(time >= began + 20 for time in times[1:])


async def test_calls_outside_the_run_do_not_affect_it(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Only the run's own calls are counted."""
    gate = service.events[0] = asyncio.Event()
    running = asyncio.create_task(bay.create_many(PARAMS, 1).run())
    await service.until(lambda: service.active == 1)
    for _ in range(3):
        assert (await bay.create()).success
    gate.set()
    assert (await running).attempts == 1


async def test_max_starting_limits_sessions_that_wait_for_files(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Sessions without files are not delayed."""
    starting: set[str] = set()
    most = 0

    async def create(request: HttpRequest) -> HttpResponse:
        nonlocal most
        form = request.form
        number = json.loads(form["Labels"])["number"]
        if "PersistenceDataList" in form:
            starting.add(f"s-{number}")
            most = max(most, len(starting))
        return success(request.action, {"SessionId": f"s-{number}"})

    async def info(request: HttpRequest) -> HttpResponse:
        starting.discard(request.form["SessionId"])
        task = {"contextId": "c-1", "path": "/data", "taskType": "download", "status": "Success"}
        status = json.dumps([{"type": "data", "data": json.dumps([task])}])
        return success(request.action, {"ContextStatus": status})

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
