"""Duplicates: sessions that the network made, by delivering a create twice, are deleted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentbay_async import Config, CreateSessionParams
from agentbay_async._lifecycle import unheld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession

PARAMS = CreateSessionParams()


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    """Give the process no sessions: those of other tests have the same label."""
    records = (unheld.created, unheld.found)
    for record in records:
        record.clear()
    yield
    for record in records:
        record.clear()


async def test_a_batch_keeps_only_the_sessions_of_its_result(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Each create is delivered twice; one listing finds all the duplicates."""
    service.trouble("CreateMcpSession", *["twice"] * 20)
    result = await bay.create_many(PARAMS, 20)
    assert service.made == 40
    assert set(service.sessions) == {session.session_id for session in result.sessions}
    assert scripted.actions.count("ListSession") == 1


async def test_an_iterated_batch_keeps_only_what_it_yielded(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Also if its caller leaves it early."""
    service.trouble("CreateMcpSession", *["twice"] * 20)
    async with bay:
        got = []
        async for outcome in bay.create_many(PARAMS, 20, max_concurrency=4):
            got.append(outcome.session.session_id)
            if len(got) == 5:
                break
    assert set(service.sessions) == set(got)


async def test_a_map_keeps_nothing(bay: AsyncAgentBay, service: FakeService) -> None:
    """Its sessions are deleted one by one, the duplicates at its end."""

    async def name(session: AsyncSession, _item: int) -> str:
        return session.session_id

    service.trouble("CreateMcpSession", *["twice"] * 10)
    outcomes = [one async for one in bay.map_sessions(name, range(10))]
    assert (len(outcomes), service.made, service.sessions) == (10, 20, {})


async def test_single_creates_are_checked_when_the_client_is_closed(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Not each of them; a client that created nothing checks nothing."""
    service.trouble("CreateMcpSession", "twice", "fine", "twice")
    held = {(await bay.create()).session.session_id for _ in range(3)}
    assert scripted.actions.count("ListSession") == 0
    await bay.aclose()
    assert set(service.sessions) == held
    assert scripted.actions.count("ListSession") == 1


async def test_a_client_without_creates_lists_nothing(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Closing it sends no request."""
    service.create({})
    await bay.get(next(iter(service.sessions)))
    scripted.requests.clear()
    await bay.aclose()
    assert scripted.requests == []


async def test_sessions_of_another_client_are_kept(bays: Bays, service: FakeService) -> None:
    """All clients of a process have the same label."""
    first, second = bays(), bays()
    held = (await first.create()).session.session_id
    await second.create_many(PARAMS, 2)
    service.trouble("CreateMcpSession", "held")
    creating = asyncio.create_task(first.create())
    await asyncio.wait_for(service.holds.wait(), 30)
    await second.aclose()
    assert len(service.sessions) == 4
    service.released.set()
    late = (await creating).session.session_id
    assert {held, late} <= set(service.sessions)


@pytest.mark.parametrize("how", ["get", "list"])
async def test_a_duplicate_that_the_caller_found_is_kept(
    bay: AsyncAgentBay, service: FakeService, how: str
) -> None:
    """The caller may be using it."""
    service.trouble("CreateMcpSession", "twice")
    await bay.create()
    if how == "get":
        for session_id in list(service.sessions):
            (await bay.get(session_id)).unwrap()
    else:
        assert len([session async for session in bay.list()]) == 2
    await bay.aclose()
    assert len(service.sessions) == 2


async def test_sessions_with_a_key_of_the_caller_are_kept(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Another process may use the same key; the next create with it deletes duplicates."""
    service.trouble("CreateMcpSession", "twice")
    params = CreateSessionParams(idempotency_key="job-7")
    await bay.create(params)
    await bay.aclose()
    assert len(service.sessions) == 2


async def test_sessions_of_other_processes_are_kept_by_a_service_that_ignores_the_filter(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Their label tells, and the first of them ends the search."""
    service.honest = False
    for _ in range(200):
        service.create({"Labels": '{"agentbay-run": "of another process"}'})
    await bay.create()
    await bay.aclose()
    assert len(service.sessions) == 201
    assert scripted.actions.count("GetLabel") < 100


async def test_without_labels_nothing_is_listed(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Nothing could be found."""
    bay = bays(cfg=Config(reserved_labels=False))
    service.trouble("CreateMcpSession", "twice")
    await bay.create_many(PARAMS, 1)
    await bay.aclose()
    assert "ListSession" not in scripted.actions
    assert len(service.sessions) == 2


async def test_a_failed_search_changes_nothing(bay: AsyncAgentBay, service: FakeService) -> None:
    """The sessions of the caller stay, and closing succeeds."""
    service.trouble("ListSession", *["unread"] * 99)
    held = (await bay.create()).session.session_id
    await bay.aclose()
    assert set(service.sessions) == {held}


async def test_the_search_ends_when_a_process_knows_too_many_sessions(
    bay: AsyncAgentBay, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no longer recorded may be in use."""
    monkeypatch.setattr(unheld, "MAX_KNOWN", 2)
    service.trouble("CreateMcpSession", "twice")
    await bay.create_many(PARAMS, 3)
    assert len(service.sessions) == 4
