"""The manual clock: wake-ups in order, across threads, and the return of `advance`."""

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


async def test_sleepers_wake_in_order_at_their_own_time(asleep: Asleep) -> None:
    """A task that sleeps again within the time is woken again."""
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


async def test_time_and_monotonic_move_together() -> None:
    """Seconds, minutes, hours and days add up."""
    clock = ManualClock()
    before = clock.time(), clock.monotonic()
    await clock.aadvance(1.5, minutes=1, hours=1, days=1)
    assert clock.time() - before[0] == 90061.5
    assert clock.monotonic() - before[1] == 90061.5


@pytest.mark.parametrize("by", [-1, float("inf"), float("nan"), timedelta(days=-1)])
async def test_an_invalid_time_is_rejected(by: Any) -> None:
    """The error has the requested time."""
    with pytest.raises(ValueError, match="forward"):
        await ManualClock().aadvance(by)


async def test_blocking_advance_on_the_loop_is_an_error() -> None:
    """The error has the remedy."""
    with pytest.raises(RuntimeError, match="aadvance"):
        ManualClock().advance(1)


def test_advance_waits_for_loops_of_other_threads(
    asleep: Asleep,
) -> None:
    """Also for work that takes real time."""
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
    """Its wake-up is dropped."""
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await asleep(clock, 1)
    task.cancel()
    await asyncio.wait([task])
    assert clock.sleeping == 0
    await clock.aadvance(20)


async def test_an_automatic_clock_jumps_to_sleepers_but_not_to_dozers() -> None:
    """A dozer that is due on the way is woken at its time."""
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


async def test_an_automatic_clock_waits_for_work_that_does_not_sleep() -> None:
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


async def test_a_wait_for_an_event_uses_the_clock() -> None:
    """It returns when the event is set or the time is over."""
    clock, event = ManualClock(auto=True), asyncio.Event()
    assert not await happens_within(clock, event, 300)
    event.set()
    assert await happens_within(SystemClock(), event, 300)


async def test_client_and_service_share_a_clock() -> None:
    """A download that never ends fails at its timeout, without a real wait."""
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
    """Keep-alive requests are sent on time although the clock is moved far at once."""
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
