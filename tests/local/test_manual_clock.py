"""The clock that a test moves: who is woken when, across threads, and when moving it returns."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import LocalService, ManualClock, StickTask
from agentbay_local.clock import SystemClock, at_work, doze_until, happens_within

PATIENCE = 60.0

Asleep = Callable[[ManualClock, int], Awaitable[None]]


def client(service: LocalService) -> AsyncAgentBay:
    """Return a client on the clock of a service."""
    return AsyncAgentBay(service.api_key, endpoint=service.endpoint, clock=service.clock)


async def test_sleepers_are_woken_in_order_each_at_its_own_moment(asleep: Asleep) -> None:
    """One that sleeps again within the time is woken again within it."""
    clock, log = ManualClock(), list[tuple[str, float]]()
    start = clock.monotonic()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            log.append((name, clock.monotonic() - start))

    tasks = [asyncio.create_task(sleeper("b", 20)), asyncio.create_task(sleeper("a", 10, 15, 60))]
    await asleep(clock, 2)
    await clock.aadvance(timedelta(minutes=1))
    assert log == [("a", 10), ("b", 20), ("a", 25)]
    assert clock.monotonic() - start == 60
    await clock.aadvance(minutes=1)
    assert log[3:] == [("a", 85)]
    await asyncio.gather(*tasks)


async def test_time_and_monotonic_move_alike_and_alone_by_hand() -> None:
    """Seconds, minutes, hours and days add up."""
    clock = ManualClock()
    before = clock.time(), clock.monotonic()
    await clock.aadvance(1.5, minutes=1, hours=1, days=1)
    assert clock.time() - before[0] == 90061.5
    assert clock.monotonic() - before[1] == 90061.5


@pytest.mark.parametrize("by", [-1, float("inf"), float("nan"), timedelta(days=-1)])
async def test_a_clock_does_not_go_back_nor_to_the_end_of_time(by: Any) -> None:
    """It says which time was meant."""
    with pytest.raises(ValueError, match="forward"):
        await ManualClock().aadvance(by)


async def test_blocking_the_loop_that_would_have_to_run_is_refused() -> None:
    """The remedy is named."""
    with pytest.raises(RuntimeError, match="aadvance"):
        ManualClock().advance(1)


def test_advance_returns_when_a_loop_on_another_thread_has_run_as_far_as_it_can(
    asleep: Asleep,
) -> None:
    """Also through work that takes time of the machine."""
    clock, done, ready = ManualClock(), list[str](), threading.Event()

    async def work() -> None:
        with clock.at_work():
            await asyncio.sleep(0.2)
            done.append("worked")

    async def main() -> None:
        task = asyncio.create_task(clock.sleep(60))
        await asleep(clock, 1)
        ready.set()
        await task
        await clock.start_work(lambda: asyncio.create_task(work()))

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    clock.advance(61)
    assert done == ["worked"]
    thread.join(PATIENCE)


async def test_a_cancelled_sleeper_is_forgotten(asleep: Asleep) -> None:
    """Nothing is woken for it."""
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await asleep(clock, 1)
    task.cancel()
    await asyncio.wait([task])
    assert clock.sleeping == 0
    await clock.aadvance(20)


async def test_an_automatic_clock_jumps_for_those_who_sleep_and_not_for_those_who_doze() -> None:
    """A dozer that is due on the way is woken at its moment."""
    clock, log = ManualClock(auto=True), list[float]()
    start = clock.monotonic()

    async def dozer() -> None:
        while True:
            await doze_until(clock, clock.monotonic() + 100)
            log.append(clock.monotonic() - start)

    task = asyncio.create_task(dozer())
    await asyncio.sleep(0.05)
    assert clock.monotonic() == start
    await asyncio.wait_for(clock.sleep(250), PATIENCE)
    assert (log, clock.monotonic() - start) == ([100, 200], 250)
    task.cancel()
    await asyncio.wait([task])


async def test_an_automatic_clock_waits_for_work_and_for_work_that_sleeps_it_jumps() -> None:
    """Work that sleeps on the clock itself would wait for ever otherwise."""
    clock, log = ManualClock(auto=True), list[str]()

    async def work() -> None:
        with at_work(clock):
            await asyncio.sleep(0.05)
            log.append("worked")
            await asyncio.wait_for(asyncio.gather(clock.sleep(5), clock.sleep(7)), PATIENCE)
            log.append("slept")

    async def sleeper() -> None:
        await clock.sleep(1000)
        log.append("woken")

    await asyncio.wait_for(asyncio.gather(sleeper(), work()), PATIENCE)
    assert log == ["worked", "slept", "woken"]


async def test_an_event_is_waited_for_on_the_clock() -> None:
    """It comes, or the time is over."""
    clock, event = ManualClock(auto=True), asyncio.Event()
    assert not await happens_within(clock, event, 300)
    event.set()
    assert await happens_within(SystemClock(), event, 300)


async def test_client_and_service_share_a_clock_and_a_wait_of_five_minutes_takes_no_time() -> None:
    """A download that never ends fails when its time is over, and not before."""
    clock = ManualClock(auto=True)
    async with LocalService(clock=clock, isolation="none") as service:
        service.faults.add(StickTask(), "download")
        async with AsyncAgentBay(service.api_key, endpoint=service.endpoint, clock=clock) as bay:
            context = (await bay.context.get("c", create=True)).unwrap()
            params = CreateSessionParams()
            params.context_syncs = [_sync(context.id)]
            began, start = time.monotonic(), clock.monotonic()
            result = await bay.create(params)
            assert not result.success
            assert clock.monotonic() - start >= 60
            assert time.monotonic() - began < PATIENCE


def _sync(context_id: str) -> Any:
    from agentbay_async import ContextSync

    return ContextSync(context_id=context_id, path="/mnt/data")


@pytest.mark.parametrize("busy", [True, False])
async def test_a_session_that_is_kept_alive_outlives_its_idle_time(busy: bool) -> None:
    """Somebody who sleeps in between is woken in between, when the clock is moved far at once."""
    clock = ManualClock()
    async with LocalService(clock=clock, isolation="none") as service, client(service) as bay:
        session = (await bay.create(CreateSessionParams(idle_release_timeout=60))).unwrap()

        async def keep() -> None:
            while True:
                await clock.sleep(45)
                await session.keep_alive()

        task = asyncio.create_task(keep() if busy else asyncio.sleep(0))
        await asyncio.sleep(0)
        await clock.aadvance(minutes=10)
        assert (len(await service.aliving()) == 1) is busy
        task.cancel()
        await asyncio.wait([task])
