"""A cancel at every step of create, create_many, session(), sync and delete leaves no session.

A moment is a suspension of the caller, or the start or end of a request or a pause anywhere in the
library. Each piece of work is run once to count its moments, and then once for each of them.
"""

from __future__ import annotations

import asyncio
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentbay_async import AsyncAgentBay, AsyncSession, ContextSync, CreateSessionParams

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from pathlib import Path

    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

    from agentbay_async import HttpRequest, HttpResponse

    Given = AsyncSession | list[AsyncSession] | None
    Work = Callable[[AsyncAgentBay, FakeService], Coroutine[Any, Any, Given]]

_WITH_FILES = CreateSessionParams(context_syncs=[ContextSync("c-1", "/a")])


class Moments:
    """Counts the steps of a task, and cancels it at some of them.

    Args:
        cancels: At which, the first being 1.
    """

    def __init__(self, *cancels: int) -> None:
        self.count = 0
        self._cancels = cancels
        self._task: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, Given]) -> Given:
        """Run the task; return its result, or None if it was cancelled."""
        self._task = asyncio.create_task(self._stepped(work))
        try:
            return await self._task
        except asyncio.CancelledError:
            return None
        finally:
            self._task = None

    def happen(self) -> None:
        """Count a step."""
        if self._task is not None and not self._task.done():
            self.count += 1
            if self.count in self._cancels:
                # From outside, as every cancel comes: while the task is suspended.
                asyncio.get_running_loop().call_soon(self._task.cancel)

    async def _stepped(self, work: Coroutine[Any, Any, Given]) -> Any:
        return await _each_step(work, self.happen)


@types.coroutine
def _each_step(
    work: Coroutine[Any, Any, Any], happen: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """Run a coroutine, and call back before each suspension."""
    resume: Callable[[], Any] = lambda: work.send(None)  # noqa: E731  # it changes with each step
    while True:
        try:
            awaited = resume()
        except StopIteration as end:
            return end.value
        happen()
        try:
            value = yield awaited
        except BaseException as error:  # a cancel is what this is about
            resume = _thrower(work, error)
        else:
            resume = _sender(work, value)


def _thrower(work: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: work.throw(error)


def _sender(work: Coroutine[Any, Any, Any], value: object) -> Callable[[], Any]:
    return lambda: work.send(value)


async def _create(bay: AsyncAgentBay, _: FakeService) -> AsyncSession | None:
    return (await bay.create()).unwrap()


async def _create_with_files(bay: AsyncAgentBay, _: FakeService) -> AsyncSession | None:
    return (await bay.create(_WITH_FILES)).unwrap()


async def _create_in_vain(bay: AsyncAgentBay, service: FakeService) -> AsyncSession | None:
    service.arrive = False
    result = await bay.create(_WITH_FILES)
    return result.session if result.success else None


async def _create_whose_answer_is_lost(
    bay: AsyncAgentBay, service: FakeService
) -> AsyncSession | None:
    service.fail_next("CreateMcpSession", "unread", "lost")
    service.fail_next("ListSession", "fine", "unread")
    return (await bay.create()).unwrap()


async def _create_that_makes_two(bay: AsyncAgentBay, service: FakeService) -> AsyncSession | None:
    service.fail_next("CreateMcpSession", "lost")
    service.lag = 10.0
    return (await bay.create()).unwrap()


async def _block(bay: AsyncAgentBay, _: FakeService) -> AsyncSession | None:
    async with bay.session(_WITH_FILES) as session:
        await session.get_status()
    return None


async def _block_with_failures(bay: AsyncAgentBay, service: FakeService) -> AsyncSession | None:
    service.fail_next("DeleteSessionAsync", "unread", "lost")
    service.fail_next("GetSessionDetail", "unread")
    async with bay.session(sync_context=True):
        pass
    return None


async def _sync(bay: AsyncAgentBay, _: FakeService) -> AsyncSession | None:
    async with bay.session() as session:
        (await session.context.sync()).unwrap()
    return None


async def _create_many(bay: AsyncAgentBay, service: FakeService) -> list[AsyncSession]:
    service.fail_next("CreateMcpSession", "fine", "lost")
    return (await bay.create_many(_WITH_FILES, 3, max_concurrency=2)).sessions


async def _create_many_in_a_block(bay: AsyncAgentBay, _: FakeService) -> AsyncSession | None:
    async with bay.create_many(CreateSessionParams(), 3, max_concurrency=2) as made:
        async for outcome in made:
            await outcome.session.get_status()
    return None


async def _create_all_or_nothing(bay: AsyncAgentBay, service: FakeService) -> AsyncSession | None:
    service.fail_next("CreateMcpSession", "fine", *["unread"] * 9)
    made = bay.create_many(CreateSessionParams(), 3, max_concurrency=2, on_outcome="all_or_nothing")
    assert (await made).sessions == []
    return None


async def _delete(bay: AsyncAgentBay, service: FakeService) -> AsyncSession | None:
    service.add({})
    session = (await bay.get(*service.sessions)).session
    (await session.delete(sync_context=True)).unwrap()
    return None


_WORKS = [
    _create,
    _create_with_files,
    _create_in_vain,
    _create_whose_answer_is_lost,
    _create_that_makes_two,
    _block,
    _block_with_failures,
    _sync,
    _create_many,
    _create_many_in_a_block,
    _create_all_or_nothing,
    _delete,
]


def _ids(given: Given) -> set[str]:
    """Return the ids of the sessions that the caller holds."""
    if given is None:
        return set()
    sessions = given if isinstance(given, list) else [given]
    return {session.session_id for session in sessions}


@pytest.fixture
def attempt(
    monkeypatch: pytest.MonkeyPatch,
    bays: Bays,
    scripted: Script,
    service: FakeService,
    clock: InstantClock,
) -> Callable[..., Coroutine[Any, Any, Moments]]:
    """Return a function that runs a task, cancels it, and checks the remaining sessions."""
    now: list[Moments] = []
    send, sleep = scripted.send, clock.sleep

    async def sent(request: HttpRequest) -> HttpResponse:
        now[-1].happen()
        try:
            response = await send(request)
            # The service has acted on the request, and its answer is on the way.
            now[-1].happen()
            await asyncio.sleep(0)
            return response
        finally:
            now[-1].happen()

    async def slept(seconds: float) -> None:
        now[-1].happen()
        await sleep(seconds)

    monkeypatch.setattr(scripted, "send", sent)
    monkeypatch.setattr(clock, "sleep", slept)

    async def run(work: Work, *cancels: int) -> Moments:
        moments = Moments(*cancels)
        now.append(moments)
        service.reset()
        bay = bays()
        held = _ids(await moments.run(work(bay, service)))
        service.lag = 0.0
        await bay.aclose()
        # A caller that is cancelled during a delete still holds the session.
        given = set(service.sessions) if work is _delete else set[str]()
        assert set(service.sessions) <= held | given, f"left behind by a cancel at {cancels}"
        assert held <= set(service.sessions)
        return moments

    return run


@pytest.mark.parametrize("work", _WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("times", [1, 50])
async def test_a_cancel_leaves_no_session(
    attempt: Callable[..., Coroutine[Any, Any, Moments]], work: Work, times: int
) -> None:
    """At every step, also if another cancel comes at every step of the clean-up."""
    moments = (await attempt(work)).count
    assert moments >= 3
    for first in range(1, moments + 1):
        await attempt(work, *range(first, first + times))


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01, 0.05])
async def test_a_time_limit_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService, seconds: float
) -> None:
    """``wait_for`` cancels, and returns the session only if it was there in time."""
    service.fail_next("CreateMcpSession", "lost")
    held: set[str] = set()
    with suppress(asyncio.TimeoutError):
        held = {(await asyncio.wait_for(bay.create(), seconds)).session.session_id}
    await bay.aclose()
    assert set(service.sessions) == held


async def test_a_cancelled_task_group_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """A group cancels its tasks when it is cancelled or one of them fails."""

    async def work(entered: Callable[[], None]) -> None:
        async with bay.session():
            entered()
            await anyio.sleep_forever()

    async def group() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(work, tasks.cancel_scope.cancel)

    await group()
    assert service.created >= 1
    assert service.sessions == {}


async def test_a_session_that_cannot_be_deleted_is_logged_and_stays_in_the_ledger(
    bays: Bays,
    service: FakeService,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Only an unreachable service leaves a session behind."""
    monkeypatch.setenv("AGENTBAY_LEDGER", str(tmp_path / "ledger.jsonl"))
    bay = bays()
    service.fail_next("DeleteSessionAsync", *["unread"] * 99)
    entered = asyncio.Event()

    async def work() -> None:
        async with bay.session():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "s-0" in caplog.text
    ledger = bay._ledger
    assert ledger is not None
    assert [entry.session_id for entry in ledger.read().open] == ["s-0"]
