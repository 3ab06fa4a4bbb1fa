"""Work that is finished although its caller is cancelled, once, twice, or by a scope."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentbay_async._lifecycle.shielding import (
    BackgroundTasks,
    ShieldedTask,
    run_or_undo,
    run_shielded,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import InstantClock


class _Work:
    """Work that waits for a gate, and remembers what became of it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.ended = False
        self.undone: list[str] = []
        self._error = error

    async def run(self) -> str:
        self.begun.set()
        await self.gate.wait()
        self.ended = True
        if self._error is not None:
            raise self._error
        return "made"

    async def undo(self, made: str) -> None:
        # A cancel that reached this far would strike at the first wait.
        await asyncio.sleep(0)
        self.undone.append(made)


async def _turns(count: int = 10) -> None:
    """Let other tasks go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_work_returns_or_raises_what_it_does() -> None:
    """Without a cancel, owning work changes nothing."""
    work = _Work()
    work.gate.set()
    assert await run_shielded(work.run()) == "made"
    assert await run_or_undo(work.run(), work.undo) == "made"
    for own in (run_shielded(_failing()), run_or_undo(_failing(), work.undo)):
        with pytest.raises(LookupError):
            await own
    assert work.undone == []


async def _failing() -> str:
    raise LookupError


@pytest.mark.parametrize("cancels", [1, 2, 5])
async def test_a_cancelled_caller_waits_until_the_work_is_finished(cancels: int) -> None:
    """However often it is cancelled; the cancel comes out in the end."""
    work = _Work()
    task = asyncio.create_task(run_shielded(work.run()))
    await work.begun.wait()
    for _ in range(cancels):
        task.cancel()
        await _turns()
        assert not task.done()
    work.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended


async def test_a_cancelled_scope_waits_until_the_work_is_finished() -> None:
    """A scope cancels again and again, and does not reach into the work."""
    work = _Work()

    async def open_later() -> None:
        await work.begun.wait()
        scope.cancel()
        await _turns()
        assert not work.ended
        work.gate.set()

    with anyio.CancelScope() as scope:
        opener = asyncio.create_task(open_later())
        await run_shielded(work.run())
    assert scope.cancelled_caught
    assert work.ended
    await opener


async def test_a_caller_is_let_go_when_the_grace_is_over() -> None:
    """A hanging service does not hold a cancelled program for ever; the work goes on."""
    work = _Work()
    task = asyncio.create_task(run_shielded(work.run(), grace=0.01))
    await work.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not work.ended
    work.gate.set()
    await _turns()
    assert work.ended


@pytest.mark.parametrize("cancels", [1, 3])
async def test_what_was_made_for_nobody_is_unmade(cancels: int) -> None:
    """The caller was cancelled before it could take what was made."""
    work = _Work()
    task = asyncio.create_task(run_or_undo(work.run(), work.undo))
    await work.begun.wait()
    for _ in range(cancels):
        task.cancel()
        await _turns()
    work.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.undone == ["made"]


async def test_what_could_not_be_made_is_not_unmade() -> None:
    """A cancelled caller whose work fails has nothing left behind."""
    work = _Work(LookupError("nothing made"))
    task = asyncio.create_task(run_or_undo(work.run(), work.undo))
    await work.begun.wait()
    task.cancel()
    await _turns()
    work.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.undone == []


async def test_a_sheltered_task_makes_without_a_second_one() -> None:
    """And what it began in another task is still made by one of its own."""
    made: list[asyncio.Task[object] | None] = []

    async def work() -> str:
        made.append(asyncio.current_task())
        return "made"

    async def crew() -> None:
        ShieldedTask().open = True
        await run_or_undo(work(), _Work().undo)
        made.append(asyncio.current_task())
        await asyncio.create_task(_made(work()))

    await asyncio.create_task(crew())
    assert made[0] is made[1]
    assert made[2] is not made[1]


async def _made(work: Coroutine[Any, Any, str]) -> None:
    here = asyncio.current_task()
    assert await run_or_undo(work, _Work().undo) == "made"
    assert here is asyncio.current_task()


async def test_a_sheltered_task_that_is_given_up_undoes_what_it_makes() -> None:
    """It is not cancelled in the middle, and ends as cancelled; given up twice is as good."""
    work, shelters = _Work(), []

    async def crew() -> None:
        shelters.append(ShieldedTask())
        shelters[0].open = True
        await run_or_undo(work.run(), work.undo)

    running = asyncio.create_task(crew())
    await work.begun.wait()
    shelters[0].give_up()
    await _turns()
    assert not running.done()
    work.gate.set()
    shelters[0].give_up()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (work.ended, work.undone) == (True, ["made"])


async def test_a_sheltered_task_that_makes_nothing_is_cancelled_at_once() -> None:
    """There is nothing to wait for."""
    shelters = []

    async def crew() -> None:
        shelters.append(ShieldedTask())
        await asyncio.Event().wait()

    running = asyncio.create_task(crew())
    await _turns()
    shelters[0].give_up()
    with pytest.raises(asyncio.CancelledError):
        await running


class _Chore:
    """Notes how often it was done."""

    def __init__(self) -> None:
        self.done = 0

    async def run(self) -> None:
        self.done += 1
        await asyncio.sleep(0)


async def test_a_chore_is_done_after_each_of_its_pauses(clock: InstantClock) -> None:
    """By itself, while the caller goes on."""
    chores, chore = BackgroundTasks(clock), _Chore()
    chores.schedule((1.0, 2.0), chore.run)
    assert chore.done == 0
    await _turns(20)
    assert chore.done == 2
    assert clock.sleeps == [1.0, 2.0]


async def test_chores_are_done_once_more_when_their_time_is_over() -> None:
    """At once, and to their end; then no more."""

    class Standing:
        time = monotonic = staticmethod(lambda: 0.0)

        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    chores, chore = BackgroundTasks(Standing()), _Chore()
    chores.schedule((1.0, 2.0), chore.run)
    await _turns()
    assert chore.done == 0
    await chores.aclose()
    assert chore.done == 1
    chores.schedule((1.0, 2.0), chore.run)
    await chores.aclose()
    assert chore.done == 2


async def test_a_chore_that_is_being_done_when_the_end_comes_is_done_once_more(
    clock: InstantClock,
) -> None:
    """What it looked at may have changed since it looked."""
    looked, go_on = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def look() -> None:
        done.append(len(done))
        looked.set()
        await go_on.wait()

    chores = BackgroundTasks(clock)
    chores.schedule((1.0, 2.0, 3.0), look)
    await looked.wait()
    closing = asyncio.create_task(chores.aclose())
    await _turns()
    go_on.set()
    await closing
    assert len(done) == 2
