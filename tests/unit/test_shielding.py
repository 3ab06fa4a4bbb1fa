"""Shielding: work is finished or undone although its caller is cancelled."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentbay_async._lifecycle import shielding
from agentbay_async._lifecycle.shielding import (
    BackgroundTasks,
    ShieldedTask,
    run_beside,
    run_or_undo,
    run_shielded,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from tests.conftest import InstantClock


class _Work:
    """Work that waits for an event, and records whether it ended and was undone."""

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
    """Let other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_shielded_work_returns_and_raises_as_usual() -> None:
    """Without a cancel, shielding changes nothing."""
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
    """However often it is cancelled; the cancel is raised in the end."""
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
    """A scope cancels at each await, but does not reach the work."""
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


async def test_a_cancelled_caller_returns_when_the_grace_is_over() -> None:
    """A hanging service does not block a cancelled program forever; the work continues."""
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
async def test_the_result_of_a_cancelled_caller_is_undone(cancels: int) -> None:
    """The caller was cancelled before it got the result."""
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


async def test_failed_work_of_a_cancelled_caller_is_not_undone() -> None:
    """There is nothing to undo."""
    work = _Work(LookupError("nothing made"))
    task = asyncio.create_task(run_or_undo(work.run(), work.undo))
    await work.begun.wait()
    task.cancel()
    await _turns()
    work.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.undone == []


async def test_a_shielded_task_needs_no_second_task() -> None:
    """Its child tasks do."""
    made: list[asyncio.Task[object] | None] = []

    async def work() -> str:
        made.append(asyncio.current_task())
        return "made"

    async def main(task: ShieldedTask) -> None:
        task.active = True
        await run_or_undo(work(), _Work().undo)
        made.append(asyncio.current_task())
        await asyncio.create_task(_made(work()))

    await ShieldedTask(main)
    assert made[0] is made[1]
    assert made[2] is not made[1]


async def _made(work: Coroutine[Any, Any, str]) -> None:
    here = asyncio.current_task()
    assert await run_or_undo(work, _Work().undo) == "made"
    assert here is asyncio.current_task()


async def test_a_stopped_shielded_task_undoes_its_work() -> None:
    """It is stopped after the work; a second stop changes nothing."""
    work = _Work()

    async def main(task: ShieldedTask) -> None:
        task.active = True
        await run_or_undo(work.run(), work.undo)

    running = ShieldedTask(main)
    await work.begun.wait()
    running.stop()
    await _turns()
    assert not running.done()
    work.gate.set()
    running.stop()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (work.ended, work.undone) == (True, ["made"])


async def test_an_idle_shielded_task_is_stopped_at_once() -> None:
    """It has no work to finish."""

    async def main(_task: ShieldedTask) -> None:
        await asyncio.Event().wait()

    running = ShieldedTask(main)
    await _turns()
    running.stop()
    with pytest.raises(asyncio.CancelledError):
        await running


class _Counted:
    """Counts its runs."""

    def __init__(self) -> None:
        self.done = 0

    async def run(self) -> None:
        self.done += 1
        await asyncio.sleep(0)


async def test_background_work_runs_after_each_pause(clock: InstantClock) -> None:
    """The caller continues meanwhile."""
    background, counted = BackgroundTasks(clock), _Counted()
    background.schedule((1.0, 2.0), counted.run)
    assert counted.done == 0
    await _turns(20)
    assert counted.done == 2
    assert clock.sleeps == [1.0, 2.0]


async def test_closing_runs_background_work_one_last_time() -> None:
    """At once, and to its end; then never again."""

    class Standing:
        time = monotonic = staticmethod(lambda: 0.0)

        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    background, counted = BackgroundTasks(Standing()), _Counted()
    background.schedule((1.0, 2.0), counted.run)
    await _turns()
    assert counted.done == 0
    await background.aclose()
    assert counted.done == 1
    background.schedule((1.0, 2.0), counted.run)
    await background.aclose()
    assert counted.done == 2


async def test_background_work_that_runs_during_a_close_runs_once_more(
    clock: InstantClock,
) -> None:
    """It may have looked too early."""
    looked, go_on = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def look() -> None:
        done.append(len(done))
        looked.set()
        await go_on.wait()

    background = BackgroundTasks(clock)
    background.schedule((1.0, 2.0, 3.0), look)
    await looked.wait()
    closing = asyncio.create_task(background.aclose())
    await _turns()
    go_on.set()
    await closing
    assert len(done) == 2


def _shut_down(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all tasks and wait for them, as ``asyncio.run`` does after a second Ctrl-C."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return an event loop that the test runs and stops."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def cleaned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds that each clean-up of a loop got."""
    seconds: list[float] = []

    async def clean_up(left: float) -> None:
        seconds.append(left)

    monkeypatch.setattr(shielding, "_clean_up", [clean_up])
    return seconds


async def _calls(*calls: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(call) for call in calls]
    await _turns()
    return tasks


def test_shielded_work_goes_on_when_its_loop_is_shut_down(
    loop: asyncio.AbstractEventLoop, cleaned: list[float]
) -> None:
    """Its callers wait for it, also those that were cancelled before; then the rest is cleaned."""
    finished, undone = _Work(), _Work()
    loop.run_until_complete(
        _calls(run_shielded(finished.run()), run_or_undo(undone.run(), undone.undo))
    )
    for work in (finished, undone):
        loop.call_later(0.01, work.gate.set)
    _shut_down(loop)
    assert (finished.ended, undone.ended, undone.undone) == (True, True, ["made"])
    assert len(cleaned) >= 1
    assert 0 < cleaned[-1] <= shielding.SHUTDOWN_GRACE


def test_work_is_cut_off_when_the_shutdown_takes_too_long(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also work that begins after the shutdown."""
    monkeypatch.setattr(shielding, "SHUTDOWN_GRACE", 0.1)
    monkeypatch.setattr(shielding, "_LAST_GRACE", 0.1)
    work, late = _Work(), _Work()

    async def call() -> None:
        try:
            await run_shielded(work.run())
        finally:
            await run_shielded(late.run())

    loop.run_until_complete(_calls(run_shielded(work.run()), call()))
    _shut_down(loop)
    assert not work.ended
    assert not late.ended


def test_a_worker_begins_nothing_more_when_its_loop_is_shut_down(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """It undoes what it is doing."""
    works = [_Work(), _Work()]

    async def main(task: ShieldedTask) -> None:
        task.active = True
        for work in works:
            await run_or_undo(work.run(), work.undo)

    async def start() -> ShieldedTask:
        task = ShieldedTask(main)
        await _turns()
        return task

    task = loop.run_until_complete(start())
    loop.call_later(0.01, works[0].gate.set)
    _shut_down(loop)
    assert task.cancelled()
    assert works[0].undone == ["made"]
    assert not works[1].begun.is_set()


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_what_work_left_is_cleaned_up_when_it_is_cut_off(
    loop: asyncio.AbstractEventLoop, cleaned: list[float], error: type[BaseException]
) -> None:
    """An interrupt may strike while the work runs; all tasks may be cancelled on a running loop."""

    async def work() -> None:
        raise error

    with pytest.raises(error):
        loop.run_until_complete(run_shielded(work()))
    # A KeyboardInterrupt stops the loop before the caller gets it.
    while tasks := asyncio.all_tasks(loop):
        with suppress(KeyboardInterrupt):
            loop.run_until_complete(asyncio.wait(tasks))
    assert cleaned == [shielding.SHUTDOWN_GRACE]


async def test_work_beside_a_block_ends_with_the_block() -> None:
    """If the block fails, too."""
    with suppress(KeyError):
        async with run_beside(anyio.sleep_forever()) as task:
            await asyncio.sleep(0)
            raise KeyError
    assert task.cancelled()


async def test_an_error_beside_a_block_is_told_by_its_task_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody else gets it, and asyncio does not log it."""

    async def fail() -> None:
        raise KeyError

    async with run_beside(fail()) as task:
        await asyncio.wait([task])
    assert isinstance(task.exception(), KeyError)
    del task
    gc.collect()
    assert "KeyError" not in caplog.text
