"""Polling with growing pauses, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from agentbay_async._clock import SystemClock, poll
from agentbay_async.errors import OperationTimeoutError

if TYPE_CHECKING:
    from tests.conftest import InstantClock


class _Counter:
    """Answers 1, 2, 3, and so on."""

    def __init__(self) -> None:
        self.calls = 0

    async def ask(self) -> int:
        self.calls += 1
        return self.calls


async def test_a_good_first_answer_ends_the_poll(clock: InstantClock) -> None:
    """After one call, without a pause."""
    counter = _Counter()
    answer = await poll(counter.ask, lambda _: True, clock=clock, timeout=1, what="it")
    assert (answer, counter.calls, clock.sleeps) == (1, 1, [])


async def test_pauses_grow_up_to_their_bound(clock: InstantClock) -> None:
    """Short at first."""
    counter = _Counter()
    await poll(counter.ask, lambda n: n == 15, clock=clock, timeout=99, what="it")
    assert clock.sleeps[:3] == pytest.approx([0.02, 0.035, 0.06125])
    assert clock.sleeps == sorted(clock.sleeps)
    assert clock.sleeps[-1] == 2.0


async def test_a_long_wait_takes_few_calls(clock: InstantClock) -> None:
    """Ten in the first five seconds, and one every two seconds from then on."""
    started, calls = clock.now, []

    async def ask() -> float:
        calls.append(clock.now - started)
        return calls[-1]

    await poll(ask, lambda now: now > 60, clock=clock, timeout=99, what="it")
    assert len([moment for moment in calls if moment <= 5]) == 10
    assert len(calls) <= 10 + 60 / 2


@pytest.mark.parametrize("interval", [0.01, 0.05, 0.2])
async def test_the_bound_of_pauses_can_be_set(clock: InstantClock, interval: float) -> None:
    """Also below the first pause."""
    counter = _Counter()
    await poll(counter.ask, lambda n: n == 9, clock=clock, timeout=9, what="it", interval=interval)
    assert max(clock.sleeps) == interval
    assert clock.sleeps[0] == min(0.02, interval)


async def test_the_wait_ends_at_the_timeout(clock: InstantClock) -> None:
    """With one last call at the end, and not a pause later."""
    counter = _Counter()
    started = clock.now
    with pytest.raises(
        OperationTimeoutError, match=r"^the cleaning was not finished within 7\.5 s"
    ):
        await poll(counter.ask, lambda _: False, clock=clock, timeout=7.5, what="the cleaning")
    assert clock.now - started == pytest.approx(7.5)
    assert counter.calls == len(clock.sleeps) + 1


async def test_an_answer_at_the_last_moment_counts(clock: InstantClock) -> None:
    """The last call is made after the last pause."""
    counter = _Counter()
    started = clock.now

    def done(_: int) -> bool:
        return clock.now - started >= 5

    assert await poll(counter.ask, done, clock=clock, timeout=5, what="it") > 1


async def test_an_error_of_the_call_ends_the_wait(clock: InstantClock) -> None:
    """It is raised unchanged."""

    async def ask() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await poll(ask, lambda _: True, clock=clock, timeout=1, what="it")


async def test_a_question_without_an_answer_does_not_outlast_the_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is cancelled, although it could wait for ever."""
    monkeypatch.setattr("agentbay_async._clock._LAST_ANSWER", 0.01)
    cancelled = []

    async def ask() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(OperationTimeoutError, match=r"^it was not finished within 0\.01 s"):
        await poll(ask, lambda _: True, clock=SystemClock(), timeout=0.01, what="it")
    assert cancelled


async def test_the_default_clock_is_the_machine() -> None:
    """It is used if none is given."""
    clock = SystemClock()
    assert abs(clock.time() - time.time()) < 60
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    waiting = asyncio.ensure_future(clock.sleep(3600))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
