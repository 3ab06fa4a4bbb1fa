"""Closing a client during a run: sessions that the caller has not received are deleted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, AsyncSession, ClosedError, CreateSessionParams

from .conftest import collect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.fake_service import FakeService

    Leave = Callable[[AsyncAgentBay, list[AsyncSession]], Awaitable[None]]

PARAMS = CreateSessionParams()


async def _leave_by_break(bay: AsyncAgentBay, got: list[AsyncSession]) -> None:
    async for outcome in bay.create_many(PARAMS, 50, max_concurrency=10):
        got.append(outcome.session)
        break


async def _leave_by_error(bay: AsyncAgentBay, got: list[AsyncSession]) -> None:
    async for outcome in bay.create_many(PARAMS, 50, max_concurrency=10):
        got.append(outcome.session)
        raise LookupError


async def _leave_by_exit(bay: AsyncAgentBay, got: list[AsyncSession]) -> None:
    async for outcome in bay.create_many(PARAMS, 50, max_concurrency=10):
        got.append(outcome.session)
        raise SystemExit


async def _leave_by_timeout(bay: AsyncAgentBay, got: list[AsyncSession]) -> None:
    read_one = asyncio.Event()

    async def loop() -> None:
        async for outcome in bay.create_many(PARAMS, 50, max_concurrency=10):
            got.append(outcome.session)
            read_one.set()
            await asyncio.Event().wait()

    looping = asyncio.create_task(loop())
    await read_one.wait()
    looping.cancel()
    await looping


@pytest.mark.parametrize(
    "leave", [_leave_by_break, _leave_by_error, _leave_by_exit, _leave_by_timeout]
)
async def test_a_run_left_early_keeps_only_yielded_sessions(
    bay: AsyncAgentBay, service: FakeService, leave: Leave
) -> None:
    """The client is closed right after the loop, before the run could end by itself."""
    got: list[AsyncSession] = []
    with suppress(LookupError, SystemExit, asyncio.CancelledError):
        async with bay:
            await leave(bay, got)
    assert len(got) == 1
    assert service.alive == {got[0].session_id}
    assert service.active == 0


async def test_a_run_whose_iterator_is_kept_is_closed_with_its_client(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Reading it raises ClosedError, and no new session is created."""
    outcomes = bay.create_many(PARAMS, 50, max_concurrency=10).__aiter__()
    await outcomes.__anext__()
    await bay.aclose()
    assert len(service.alive) == 1
    requested = service.requested
    with pytest.raises(ClosedError):
        await outcomes.__anext__()
    assert service.requested == requested


@pytest.mark.parametrize("run", ["create_many(params, 30", "map_sessions(use, range(30)"])
def test_a_run_whose_iterator_outlives_its_client_ends_in_silence(
    run_child: Callable[..., str], run: str
) -> None:
    """The traceback keeps the iterator until the event loop ends, which closes all generators."""
    program = f"""
        import asyncio
        from agentbay_async import AsyncAgentBay, CreateSessionParams

        params = CreateSessionParams()

        async def use(session, item):
            return item

        async def main():
            async with AsyncAgentBay(endpoint="local") as bay:
                outcomes = aiter(bay.{run}, max_concurrency=8))
                async for _ in outcomes:
                    raise LookupError

        try:
            asyncio.run(main())
        except LookupError:
            print("left")
    """
    assert run_child(program) == "left"


async def test_a_map_left_early_deletes_all_its_sessions(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Those of its workers and those that are idle."""

    async def name(session: AsyncSession, item: int) -> str:
        if item:
            await asyncio.Event().wait()
        return session.session_id

    async with bay:
        async for _ in bay.map_sessions(name, range(50), reuse=True, max_concurrency=8):
            break
    assert service.created
    assert service.alive == set()


async def test_closing_waits_for_creates(bay: AsyncAgentBay, service: FakeService) -> None:
    """Their callers get the sessions; a later create raises."""
    service.events = {number: asyncio.Event() for number in range(20)}
    creates = [asyncio.create_task(bay.create()) for _ in range(20)]
    await service.until(lambda: service.requested == 20)
    closing = asyncio.create_task(bay.aclose())
    await asyncio.sleep(0)
    with pytest.raises(ClosedError):
        await bay.create()
    done, _ = await asyncio.wait([closing], timeout=0)
    assert not done
    for event in service.events.values():
        event.set()
    await closing
    results = await asyncio.gather(*creates)
    assert {result.session.session_id for result in results} == service.alive
    assert len(service.alive) == 20


async def test_closing_deletes_the_sessions_of_cancelled_creates(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Their callers never receive them."""
    service.events = {number: asyncio.Event() for number in range(20)}
    creates = [asyncio.create_task(bay.create()) for _ in range(20)]
    await service.until(lambda: service.requested == 20)
    closing = asyncio.create_task(bay.aclose())
    for create in creates:
        create.cancel()
    await asyncio.sleep(0)
    for event in service.events.values():
        event.set()
    await closing
    assert (service.created, service.alive) == (20, set())
    for create in creates:
        with pytest.raises(asyncio.CancelledError):
            await create


async def test_closing_ends_an_awaited_run(bay: AsyncAgentBay, service: FakeService) -> None:
    """Its caller gets no result, so all its sessions are deleted."""
    service.events = {9: asyncio.Event()}
    running = asyncio.create_task(bay.create_many(PARAMS, 50, max_concurrency=5).run())
    await service.until(lambda: service.created >= 20)
    closing = asyncio.create_task(bay.aclose())
    await asyncio.sleep(0)
    service.events[9].set()
    await closing
    assert service.alive == set()
    with pytest.raises(ClosedError):
        await running


async def test_a_cancelled_close_still_deletes(bay: AsyncAgentBay, service: FakeService) -> None:
    """As with a second Ctrl-C."""
    got: list[str] = []
    service.events = {7: asyncio.Event()}
    reading = asyncio.create_task(collect(bay.create_many(PARAMS, 50, max_concurrency=10), got))
    await service.until(lambda: service.created >= 20)
    closing = asyncio.create_task(bay.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    service.events[7].set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(ClosedError):
        await reading
    assert service.alive == set(got)
