"""Asking again until something is so, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from agentbay_async._clock import SystemClock
from agentbay_async._polling import poll
from agentbay_async.errors import OperationTimeoutError

if TYPE_CHECKING:
    from tests.conftest import InstantClock


class _Counter:
    """Answers 1, 2, 3, and so on."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self) -> int:
        self.asked += 1
        return self.asked


async def test_an_answer_that_is_good_at_once_costs_no_wait(clock: InstantClock) -> None:
    """Asked once."""
    counter = _Counter()
    answer = await poll(counter.ask, lambda _: True, clock=clock, timeout=1, what="it")
    assert (answer, counter.asked, clock.sleeps) == (1, 1, [])


async def test_pauses_grow_up_to_their_bound(clock: InstantClock) -> None:
    """Soon at first, then less and less often."""
    counter = _Counter()
    await poll(counter.ask, lambda n: n == 15, clock=clock, timeout=99, what="it")
    assert clock.sleeps[:3] == pytest.approx([0.05, 0.075, 0.1125])
    assert clock.sleeps == sorted(clock.sleeps)
    assert clock.sleeps[-1] == 2.0


@pytest.mark.parametrize("interval", [0.01, 0.05, 0.2])
async def test_the_bound_of_pauses_may_be_chosen(clock: InstantClock, interval: float) -> None:
    """Also below the first pause."""
    counter = _Counter()
    await poll(counter.ask, lambda n: n == 9, clock=clock, timeout=9, what="it", interval=interval)
    assert max(clock.sleeps) == interval
    assert clock.sleeps[0] == min(0.05, interval)


async def test_the_wait_ends_at_the_timeout(clock: InstantClock) -> None:
    """Not later, not after one pause too many, and with one last question at the end."""
    counter = _Counter()
    started = clock.now
    with pytest.raises(
        OperationTimeoutError, match=r"^the cleaning was not finished within 7\.5 s"
    ):
        await poll(counter.ask, lambda _: False, clock=clock, timeout=7.5, what="the cleaning")
    assert clock.now - started == pytest.approx(7.5)
    assert counter.asked == len(clock.sleeps) + 1


async def test_an_answer_at_the_last_moment_counts(clock: InstantClock) -> None:
    """The question is asked again before the wait is given up."""
    counter = _Counter()
    started = clock.now

    def done(_: int) -> bool:
        return clock.now - started >= 5

    assert await poll(counter.ask, done, clock=clock, timeout=5, what="it") > 1


async def test_an_error_of_the_question_ends_the_wait(clock: InstantClock) -> None:
    """Polling hides nothing."""

    async def ask() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await poll(ask, lambda _: True, clock=clock, timeout=1, what="it")


async def test_the_clock_of_the_machine_tells_the_time() -> None:
    """The one that is used when none is given."""
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
