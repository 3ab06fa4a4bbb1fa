"""Outcomes of a run with failures, deadlines, roll-backs and cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AsyncAgentBay,
    BulkResult,
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    CreateSessionParams,
    HttpResponse,
    OperationTimeoutError,
    QuotaExceededError,
    RetryPolicy,
    RolledBackError,
)

from .conftest import collect

if TYPE_CHECKING:
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

PARAMS = CreateSessionParams()


def _errors(result: BulkResult[Any]) -> set[str]:
    return {type(error).__name__ for error in result.failures.values()}


async def test_a_quota_reached_in_the_middle_keeps_the_sessions(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """700 of 1,000 exist; the rest are typed errors with the index of their input."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number >= 700 else None
    )
    result = await bay.create_many(PARAMS, 1000)
    assert (result.done, result.failed, len(result), result.success) == (700, 300, 1000, False)
    assert len(service.alive) == 700
    assert all(isinstance(error, QuotaExceededError) for error in result.failures.values())
    assert {error.code for error in result.failures.values()} == {"QuotaExceeded"}
    assert all(result[index] is error for index, error in result.failures.items())


async def test_failures_are_raised_as_one_group(bay: AsyncAgentBay, service: FakeService) -> None:
    """In the order of the inputs; each has a note with its index and request id."""
    full = b'{"RequestId": "REQ-no", "Success": false, "Code": "QuotaExceeded"}'
    service.fail_with = lambda number: HttpResponse(400, full) if number in (3, 1) else None
    result = await bay.create_many(PARAMS, 5, max_concurrency=1)
    for _ in range(2):
        with pytest.raises(Exception, match="2 of 5 failed: 2 QuotaExceededError") as caught:
            result.raise_for_failures()
        errors: Any = caught.value
        assert [error.__notes__ for error in errors.exceptions] == [
            ["input 1, request REQ-no"],
            ["input 3, request REQ-no"],
        ]
        assert type(errors).__name__ == "ExceptionGroup"


async def test_all_or_nothing_deletes_all_when_one_fails(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """The failed input keeps its error; the others are marked as rolled back."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number == 50 else None
    )
    result = await bay.create_many(PARAMS, 200, on_outcome="all_or_nothing", max_concurrency=10)
    assert (result.done, result.failed) == (0, 200)
    assert _errors(result) == {"QuotaExceededError", "RolledBackError"}
    assert [type(error) for error in result.failures.values()].count(QuotaExceededError) == 1
    assert service.alive == set()
    assert service.requested < 100


async def test_all_or_nothing_keeps_all_when_none_fails(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """It is then a run like any other."""
    result = await bay.create_many(PARAMS, 20, on_outcome="all_or_nothing")
    assert result.success
    assert len(service.alive) == 20


@pytest.mark.parametrize(("failing", "kept"), [(2, 8), (3, 0)])
async def test_min_success_decides_whether_sessions_are_kept(
    bay: AsyncAgentBay, service: FakeService, failing: int, kept: int
) -> None:
    """Eight of ten are enough; seven are not."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number < failing else None
    )
    result = await bay.create_many(PARAMS, 10, min_success=8)
    assert len(service.alive) == result.done == kept


async def test_min_success_of_an_iterable_is_checked_at_its_end(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Its length is not known before."""
    result = await bay.create_many((PARAMS for _ in range(4)), min_success=5)
    assert (result.done, len(result), _errors(result)) == (0, 4, {"RolledBackError"})
    assert service.alive == set()


async def test_a_roll_back_deletes_yielded_sessions_too(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """The iteration ends with an error that says so."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number == 6 else None
    )
    run = bay.create_many(PARAMS, 20, on_outcome="all_or_nothing", max_concurrency=1)
    seen: list[str] = []
    with pytest.raises(RolledBackError, match="all had to succeed and 1 failed"):
        await collect(run, seen)
    assert seen == ["s-0", "s-1", "s-2", "s-3", "s-4", "s-5", ""]
    assert service.alive == set()


async def test_sessions_that_a_roll_back_cannot_delete_are_named(
    bay: AsyncAgentBay, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """They may cost money: the result and the log list them."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number == 5 else None
    )
    service.undeletable = {"s-2", "s-4"}
    result = await bay.create_many(PARAMS, 6, on_outcome="all_or_nothing", max_concurrency=1)
    assert sorted(result.left_over) == sorted(service.alive) == ["s-2", "s-4"]
    assert result.failures[2].session_id == "s-2"
    (record,) = caplog.records
    assert "2 sessions are still there and may cost money: s-2, s-4" in record.getMessage()


async def test_a_service_that_dies_half_way_fails_the_rest(
    bays: Bays, service: FakeService
) -> None:
    """Existing sessions stay; the other inputs have connection errors."""

    def die(number: int) -> None:
        if number >= 10:
            raise ConnectionLostError("the connection broke")

    service.fail_with = die
    bay = bays(retry=RetryPolicy(attempts=2))
    result = await bay.create_many(PARAMS, 20, max_concurrency=2)
    assert (result.done, result.failed) == (10, 10)
    assert len(service.alive) == 10
    assert _errors(result) <= {"ConnectionLostError", "ServiceError", "ConnectionFailedError"}


async def test_each_deadline_fails_only_slow_inputs(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """A session that arrives too late is deleted."""
    gate = service.events[2] = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, gate.set)
    result = await bay.create_many(PARAMS, 5, each_deadline=0.1)
    assert list(result.failures) == [2]
    assert isinstance(result.failures[2], OperationTimeoutError)
    assert "input 2 was not done within 0.1 s" in result.failures[2].message
    assert {session.session_id for session in result.sessions} == service.alive


async def test_the_deadline_fails_all_unfinished_inputs(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Running and waiting ones; existing sessions stay."""
    gate = asyncio.Event()
    service.events = dict.fromkeys(range(6, 100), gate)
    asyncio.get_running_loop().call_later(0.4, gate.set)
    result = await bay.create_many(PARAMS, 20, deadline=0.2, max_concurrency=3)
    assert (result.done, result.failed, len(result)) == (6, 14, 20)
    assert _errors(result) == {"OperationTimeoutError"}
    assert [outcome.index for outcome in result.outcomes] == list(range(20))
    assert result.outcomes[19].attempts == 0
    assert {session.session_id for session in result.sessions} == service.alive


async def test_a_deadline_with_all_or_nothing_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """A timeout is a failure, so the sessions are deleted."""
    gate = service.events[4] = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, gate.set)
    result = await bay.create_many(PARAMS, 5, deadline=0.2, on_outcome="all_or_nothing")
    assert (result.done, service.alive) == (0, set())


@pytest.mark.parametrize("cancels", [1, 3])
async def test_a_cancel_half_way_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService, cancels: int
) -> None:
    """Neither finished nor running creates, for any number of cancels."""
    gate = asyncio.Event()
    service.events = dict.fromkeys(range(50, 100), gate)
    running = asyncio.create_task(bay.create_many(PARAMS, 100, max_concurrency=10).run())
    await service.until(lambda: service.active == 10 and service.created == 50)
    for _ in range(cancels):
        running.cancel()
        await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 50 <= service.created <= 60
    assert service.alive == set()


async def test_a_cancelled_reader_keeps_what_it_has_read(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """All other sessions are deleted, also finished ones that were not read."""
    seen: set[str] = set()
    reads = asyncio.Event()

    async def reader() -> None:
        async for outcome in bay.create_many(PARAMS, 100, max_concurrency=10):
            seen.add(outcome.session.session_id)
            if len(seen) == 20:
                reads.set()
                await asyncio.Event().wait()

    running = asyncio.create_task(reader())
    await reads.wait()
    await service.until(lambda: service.created >= 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await service.until(lambda: service.alive == seen)
    assert len(seen) == 20


async def test_a_client_closed_in_the_middle_ends_the_run(bays: Bays, service: FakeService) -> None:
    """It is an error of the caller, and raised as one."""
    bay = bays()

    def close(number: int) -> None:
        if number == 5:
            closing.append(asyncio.ensure_future(bay.aclose()))

    closing: list[asyncio.Future[None]] = []
    service.fail_with = close
    with pytest.raises((ClosedError, ConnectionLostError, ConnectionFailedError)):
        await bay.create_many(PARAMS, 50, max_concurrency=1)
    await asyncio.gather(*closing)


@pytest.mark.parametrize("twice", [set(), {3}], ids=["none", "one"])
async def test_a_listing_is_read_on_only_if_it_is_too_long(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, twice: set[int]
) -> None:
    """The total number on the first page tells whether a create was delivered twice."""
    service.twice, service.page_size = twice, 5
    result = await bay.create_many(PARAMS, 20)
    assert service.alive == {session.session_id for session in result.sessions}
    assert scripted.actions.count("ListSession") == (5 if twice else 1)
