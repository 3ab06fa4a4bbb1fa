"""Duplicates: sessions that the network made, by delivering a create twice, are deleted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import Config, CreateSessionParams
from agentbay_async._lifecycle import unheld
from agentbay_local import Fail, Repeat

if TYPE_CHECKING:
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession
    from agentbay_local import LocalService

PARAMS = CreateSessionParams()
_CREATE, _LIST = "CreateMcpSession", "ListSession"


def _count(service: LocalService, action: str) -> int:
    return len(service.journal.find(action))


async def test_a_batch_keeps_only_the_sessions_of_its_result(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """Each create is delivered twice; one listing finds all the duplicates."""
    local_service.faults.add(Repeat(), _CREATE)
    result = await local_bay.create_many(PARAMS, 20)
    assert set(local_service.living()) == {session.session_id for session in result.sessions}
    assert len(result.sessions) == 20
    assert _count(local_service, _LIST) == 1
    assert _count(local_service, "DeleteSessionAsync") == 20


async def test_an_iterated_batch_keeps_only_what_it_yielded(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """Also if its caller leaves it early."""
    local_service.faults.add(Repeat(), _CREATE)
    async with local_bay:
        got = []
        async for outcome in local_bay.create_many(PARAMS, 20, max_concurrency=4):
            got.append(outcome.session.session_id)
            if len(got) == 5:
                break
    assert set(local_service.living()) == set(got)


async def test_a_map_keeps_nothing(local_bay: AsyncAgentBay, local_service: LocalService) -> None:
    """Its sessions are deleted one by one, the duplicates at its end."""

    async def name(session: AsyncSession, _item: int) -> str:
        return session.session_id

    local_service.faults.add(Repeat(), _CREATE)
    outcomes = [one async for one in local_bay.map_sessions(name, range(10))]
    assert (len(outcomes), local_service.living()) == (10, {})


async def test_single_creates_are_checked_when_the_client_is_closed(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """Not each of them."""
    local_service.faults.add(Repeat(), _CREATE, every=2)
    held = {(await local_bay.create()).session.session_id for _ in range(4)}
    assert len(local_service.living()) == 6
    assert _count(local_service, _LIST) == 0
    await local_bay.aclose()
    assert set(local_service.living()) == held
    assert _count(local_service, _LIST) == 1


async def test_a_client_without_creates_lists_nothing(
    local_bays: Bays, local_service: LocalService
) -> None:
    """Closing it sends no request."""
    session = (await local_bays().create()).session
    other = local_bays()
    await other.get(session.session_id)
    await other.aclose()
    assert _count(local_service, _LIST) == 0


async def test_sessions_of_another_client_are_kept(
    local_bays: Bays, local_service: LocalService
) -> None:
    """All clients of a process have the same label; also those that are being created."""
    first, second = local_bays(), local_bays()
    held = (await first.create()).session.session_id
    await second.create_many(PARAMS, 2)
    creating = asyncio.create_task(first.create())
    closing = asyncio.create_task(second.aclose())
    late = (await creating).session.session_id
    await closing
    assert len(local_service.living()) == 4
    assert {held, late} <= set(local_service.living())


@pytest.mark.parametrize("how", ["get", "list"])
async def test_a_duplicate_that_the_caller_found_is_kept(
    local_bay: AsyncAgentBay, local_service: LocalService, how: str
) -> None:
    """The caller may be using it."""
    local_service.faults.add(Repeat(), _CREATE)
    await local_bay.create()
    if how == "get":
        for session_id in local_service.living():
            (await local_bay.get(session_id)).unwrap()
    else:
        assert len([session async for session in local_bay.list()]) == 2
    await local_bay.aclose()
    assert len(local_service.living()) == 2


async def test_sessions_with_a_key_of_the_caller_are_kept(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """Another process may use the same key; the next create with it deletes duplicates."""
    local_service.faults.add(Repeat(), _CREATE)
    await local_bay.create(CreateSessionParams(idempotency_key="job-7"))
    await local_bay.aclose()
    assert len(local_service.living()) == 2


async def test_sessions_of_other_processes_are_kept_by_a_service_that_ignores_the_filter(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Their label tells, and the first of them ends the search."""
    scripted.ok(_CREATE, {"SessionId": "own"})
    scripted.ok(_LIST, [{"SessionId": f"other-{number}"} for number in range(200)])
    scripted.ok("GetLabel", {"Labels": json.dumps({"agentbay-run": "of another process"})})
    await bay.create()
    await bay.aclose()
    assert 1 <= scripted.actions.count("GetLabel") < 100
    assert "DeleteSessionAsync" not in scripted.actions


async def test_without_labels_nothing_is_listed(
    local_bays: Bays, local_service: LocalService
) -> None:
    """Nothing could be found."""
    bay = local_bays(cfg=Config(reserved_labels=False))
    local_service.faults.add(Repeat(), _CREATE)
    await bay.create_many(PARAMS, 1)
    await bay.aclose()
    assert _count(local_service, _LIST) == 0
    assert len(local_service.living()) == 2


async def test_a_failed_search_changes_nothing(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """The sessions of the caller stay, and closing succeeds."""
    local_service.faults.add(Fail(), _LIST)
    held = (await local_bay.create()).session.session_id
    await local_bay.aclose()
    assert set(local_service.living()) == {held}


async def test_the_search_ends_when_a_process_knows_too_many_sessions(
    local_bay: AsyncAgentBay, local_service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no longer recorded may be in use."""
    monkeypatch.setattr(unheld, "MAX_KNOWN", 2)
    local_service.faults.add(Repeat(), _CREATE, nth=1)
    await local_bay.create_many(PARAMS, 3)
    assert len(local_service.living()) == 4
