"""Sessions that no caller holds are deleted, even when the retry budget is used up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AsyncAgentBay,
    AsyncSession,
    CreateSessionParams,
    HttpResponse,
    RetryPolicy,
)
from agentbay_async._bulk.distributed.cleanup import delete_orphans
from agentbay_async._bulk.options import RunOptions
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.delivery import NotDelivered
from agentbay_async._lifecycle.reserved_labels import CHUNK

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script


@pytest.fixture
def bay(bays: Bays) -> AsyncAgentBay:
    """Return a client that retries only exempt requests."""
    return bays(retry=RetryPolicy(attempts=4, reserve=0, budget=0))


@pytest.fixture
def unavailable(service: FakeService) -> None:
    """Make the service unavailable for the first two deletes."""
    service.fail_next("DeleteSessionAsync", "unavailable", "unavailable")


def _check_deleted(service: FakeService, scripted: Script, clock: InstantClock) -> None:
    assert service.alive == set()
    deletes = [form["SessionId"] for form in scripted.forms("DeleteSessionAsync")]
    assert deletes == ["s-0"] * 3
    # Two repetitions of one call wait for less than a second; a second round would come later.
    assert sum(clock.sleeps) < 1


@pytest.mark.usefixtures("unavailable")
async def test_a_block_deletes_its_session(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """Also if the block raises."""
    with pytest.raises(LookupError):
        async with bay.session():
            raise LookupError
    _check_deleted(service, scripted, clock)


@pytest.mark.usefixtures("unavailable")
async def test_a_cancelled_create_deletes_its_session(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """The caller is gone when the answer arrives."""
    service.events[0] = asyncio.Event()
    creating = asyncio.create_task(bay.create())
    await service.until(lambda: service.requested == 1)
    creating.cancel()
    service.events[0].set()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert service.created == 1
    _check_deleted(service, scripted, clock)


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.usefixtures("unavailable")
async def test_map_sessions_deletes_its_session(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, clock: InstantClock, reuse: bool
) -> None:
    """Both a used session and one that is idle at the end of the run."""

    async def name(session: AsyncSession, _item: int) -> str:
        return session.session_id

    outcomes = [one async for one in bay.map_sessions(name, [0], reuse=reuse)]
    assert [one.value for one in outcomes] == ["s-0"]
    _check_deleted(service, scripted, clock)


@pytest.mark.usefixtures("unavailable")
async def test_a_roll_back_deletes_its_sessions(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """The second create fails, so the first session is deleted."""
    service.fail_with = lambda number: HttpResponse.failure("Some.Code") if number == 1 else None
    result = await bay.create_many(
        CreateSessionParams(), 2, max_concurrency=1, on_outcome="all_or_nothing"
    )
    assert result.failed == 2
    _check_deleted(service, scripted, clock)


@pytest.mark.usefixtures("unavailable")
async def test_the_sessions_of_a_dead_worker_are_deleted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """They are found by the label of their chunk."""
    (await bay.create()).unwrap()
    service.sessions["s-0"].labels[CHUNK] = "chunk-1"
    await delete_orphans(bay._api, "chunk-1", RunOptions("map", "CreateMcpSession", 1, 1.0))
    _check_deleted(service, scripted, clock)


async def test_a_session_that_did_not_reach_the_caller_is_deleted(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Those that the caller got before live on."""
    outcomes: Any = aiter(bay.create_many(CreateSessionParams(), 9, max_concurrency=2))
    first = (await anext(outcomes)).session.session_id
    await anext(outcomes)
    with pytest.raises(NotDelivered):
        await outcomes.athrow(NotDelivered())
    assert service.alive == {first}


async def test_sessions_of_a_block_are_unheld_until_its_end(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """If their deletion is cut short, the warning names them."""
    async with bay.create_many(CreateSessionParams(), 5) as sessions:
        ids = {outcome.session.session_id async for outcome in sessions}
        assert ids == service.alive == unheld.sessions.keys() & ids
    assert service.alive == unheld.sessions.keys() & ids == set()
