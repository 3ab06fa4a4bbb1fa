"""`create_many`: its inputs and outcomes, awaited, iterated, and around a block."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    AsyncSession,
    ClosedError,
    CreateSessionParams,
    InvalidArgumentError,
    SessionError,
)

from .conftest import collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script


def _params(number: int) -> CreateSessionParams:
    return CreateSessionParams(labels={"number": str(number)})


def _numbers(scripted: Script) -> list[str]:
    forms = scripted.forms("CreateMcpSession")
    return [json.loads(form["Labels"])["number"] for form in forms]


async def test_awaiting_returns_all_sessions(bay: AsyncAgentBay, service: FakeService) -> None:
    """One params object and a count give that many live sessions."""
    result = await bay.create_many(_params(7), 250)
    assert (result.success, result.done, result.failed, len(result)) == (True, 250, 0, 250)
    assert {session.session_id for session in result.sessions} == service.alive
    assert isinstance(result[249], AsyncSession)
    assert result.attempts == 250
    result.raise_for_failures()


async def test_outcomes_have_the_order_of_the_inputs(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Also if the first input is answered last."""
    service.events[0] = asyncio.Event()
    run = bay.create_many(map(_params, range(20)), max_concurrency=2)
    running = asyncio.create_task(run.run())
    await service.until(lambda: service.created == 19)
    service.events[0].set()
    result = await running
    assert [outcome.index for outcome in result.outcomes] == list(range(20))
    assert result.sessions[0].session_id == "s-19"
    assert _numbers(scripted) == [str(number) for number in range(20)]


async def test_iterating_yields_outcomes_as_they_arrive(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Fast ones do not wait for the slowest one."""
    slow = service.events[0] = asyncio.Event()
    seen = []
    async for outcome in bay.create_many(_params(1), 6):
        seen.append(outcome.session.session_id)
        if len(seen) == 5:
            assert not slow.is_set()
            slow.set()
    assert sorted(seen) == sorted(service.alive)
    assert len(seen) == 6


async def test_nothing_is_sent_before_it_is_awaited_or_iterated(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """A run only starts when its outcomes are read."""
    bay.create_many(_params(1), 5)
    async with bay.create_many(_params(1), 5):
        await asyncio.sleep(0)
    assert service.requested == 0


async def test_a_run_runs_once(bay: AsyncAgentBay, service: FakeService) -> None:
    """Awaiting it again returns the same result; iterating it again is an error with a remedy."""
    run = bay.create_many(_params(1), 3)
    assert (await run) is (await run)
    assert service.created == 3
    with pytest.raises(ClosedError, match="Call create_many again"):
        await collect(run, [])


async def test_a_block_deletes_its_sessions(bay: AsyncAgentBay, service: FakeService) -> None:
    """Both those iterated in the block and those awaited."""
    async with bay.create_many(_params(1), 5) as made:
        async for outcome in made:
            assert outcome.session.session_id in service.alive
    async with bay.create_many(_params(1), 5) as made:
        await made
        assert len(service.alive) == 5
    assert (service.created, service.alive) == (10, set())


async def test_a_block_that_fails_or_exits_early_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """The error of the block is raised, and the rest of the run is deleted too."""

    async def fail() -> None:
        async with bay.create_many(_params(1), 50) as made:
            async for _ in made:
                raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with bay.create_many(_params(1), 50) as made:
        async for _ in made:
            break
    # A generator that was left is closed by the loop, a moment later.
    await service.until(lambda: not service.alive and not service.active)
    assert service.created > 0


async def test_a_block_reports_sessions_that_could_not_be_deleted(
    bay: AsyncAgentBay, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """They cost money, so it raises, or logs beside another error; each is named once."""
    service.undeletable = {"s-1", "s-2"}
    with pytest.raises(SessionError, match="s-1, s-2"):
        async with bay.create_many(_params(1), 3) as made:
            await made
    service.undeletable = {"s-4", "s-5"}

    async def fail() -> None:
        async with bay.create_many(_params(1), 3) as made:
            await made
            raise LookupError

    assert not caplog.records
    with pytest.raises(LookupError):
        await fail()
    assert service.alive == {"s-1", "s-2", "s-4", "s-5"}
    await bay.aclose()
    (record,) = caplog.records
    assert "2 sessions are still there and may cost money: s-4, s-5" in record.getMessage()


async def test_a_block_after_a_restart_of_the_service_names_nothing(
    bay: AsyncAgentBay, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """The sessions that the service does not know any more are gone."""
    async with bay, bay.create_many(_params(1), 150) as made:
        await made
        service.sessions.clear()
    assert service.alive == set()
    assert not caplog.records


async def test_a_block_without_a_service_names_its_sessions_once(
    bay: AsyncAgentBay, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """They could not be asked about; closing the client says nothing more."""

    async def lose_the_service() -> None:
        async with bay, bay.create_many(_params(1), 20) as made:
            await made
            service.down = True

    with pytest.raises(SessionError) as caught:
        await lose_the_service()
    for session_id in service.alive:
        assert len(re.findall(rf"{session_id}\b", str(caught.value))) == 1
    assert not caplog.records


@pytest.mark.parametrize("kind", ["list", "generator", "asynchronous generator"])
async def test_inputs_come_from_any_iterable(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, kind: str
) -> None:
    """Each item becomes one session."""

    async def later() -> AsyncIterator[CreateSessionParams]:
        for number in range(30):
            await asyncio.sleep(0)
            yield _params(number)

    inputs: Any = {
        "list": [_params(number) for number in range(30)],
        "generator": (_params(number) for number in range(30)),
        "asynchronous generator": later(),
    }[kind]
    result = await bay.create_many(inputs)
    assert len(result.sessions) == service.created == 30
    assert sorted(_numbers(scripted), key=int) == [str(number) for number in range(30)]


async def test_an_empty_iterable_makes_an_empty_result(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Without inputs there are no failures."""
    result = await bay.create_many([])
    assert (result.success, len(result), dict(result)) == (True, 0, {})
    assert [outcome async for outcome in bay.create_many(iter(()))] == []
    assert service.requested == 0


async def test_an_endless_source_is_pulled_no_faster_than_it_is_read(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """A reader that pauses after one outcome limits the number of pulled inputs."""
    pulled = 0

    def endless() -> Iterator[CreateSessionParams]:
        nonlocal pulled
        while True:
            pulled += 1
            yield _params(pulled)

    seen = 0
    walk = aiter(bay.create_many(endless(), max_concurrency=4))
    for _ in range(40):
        await anext(walk)
        seen += 1
        for _ in range(50):
            await asyncio.sleep(0)
        assert pulled <= seen + 2 * 4 + 4
    await walk.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert len(service.alive) == seen


async def test_params_changed_during_the_run_do_not_change_it(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """They are copied when they are passed, or pulled."""
    params = _params(1)
    run = bay.create_many(params, 10, max_concurrency=1)
    params.labels["number"] = "2"
    await run
    assert set(_numbers(scripted)) == {"1"}

    def changing() -> Iterator[CreateSessionParams]:
        one = _params(0)
        for number in range(10):
            one.labels["number"] = str(number)
            yield one

    scripted.requests.clear()
    # All are pulled before the first request: they wait for their turns.
    await bay.create_many(changing(), rate=1000.0)
    assert sorted(_numbers(scripted)) == [str(number) for number in range(10)]
    assert service.created == 20


async def test_an_iterable_that_raises_ends_the_run_and_deletes_its_sessions(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Its error is raised, and nobody would hold the sessions."""

    def failing() -> Iterator[CreateSessionParams]:
        yield from map(_params, range(30))
        raise LookupError("in the middle")

    with pytest.raises(LookupError, match="in the middle"):
        await bay.create_many(failing(), max_concurrency=5)
    assert service.created > 20
    assert service.alive == set()


async def test_an_iterable_that_raises_keeps_the_outcomes_that_were_read(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Sessions that were yielded stay; all others are deleted."""

    async def failing() -> AsyncIterator[CreateSessionParams]:
        for number in range(30):
            yield _params(number)
        raise LookupError("in the middle")

    seen: list[str] = []
    with pytest.raises(LookupError):
        await collect(bay.create_many(failing(), max_concurrency=5), seen)
    assert seen
    assert service.alive == set(seen)


async def test_an_invalid_item_is_named(bay: AsyncAgentBay, service: FakeService) -> None:
    """The error has its position; the sessions are deleted."""
    items: Any = [_params(0), _params(1), {"labels": {}}]
    with pytest.raises(ArgumentTypeError, match=r"params\[2\] must be CreateSessionParams"):
        await bay.create_many(items, max_concurrency=1)
    assert service.alive == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"params": CreateSessionParams(), "count": 0}, "count must be at least 1"),
        ({"params": CreateSessionParams(), "count": -3}, "count must be at least 1"),
        ({"params": CreateSessionParams(), "count": True}, "count must be an int"),
        ({"params": CreateSessionParams()}, "goes with a count"),
        ({"params": [], "count": 3}, "count goes with one"),
        ({"params": 5}, r"create_many\(CreateSessionParams\(\), 5\)"),
        ({"params": 5.5}, "params must be iterable"),
        ({"params": "abc"}, "params must be iterable"),
        ({"rate": -1.0}, "rate must be above 0"),
        ({"rate": 0}, "rate must be above 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"rate": "fast"}, "rate must be a number"),
        ({"burst": 2}, "burst needs rate"),
        ({"rate": 1, "burst": 0}, "burst must be at least 1"),
        ({"max_concurrency": 0}, "max_concurrency must be at least 1"),
        ({"max_starting": 0}, "max_starting must be at least 1"),
        ({"deadline": -1}, "deadline must be above 0"),
        ({"each_deadline": 0}, "each_deadline must be above 0"),
        ({"on_outcome": "hope"}, "on_outcome must be one of best_effort, all_or_nothing"),
        ({"min_success": 0}, "min_success must be at least 1"),
        ({"min_success": 6}, "min_success must be at most 5"),
        ({"min_success": 1, "on_outcome": "all_or_nothing"}, "exclude each other"),
        ({"on_progress": 5}, "on_progress must be a function"),
        ({"progress": 1}, "progress must be True or False"),
    ],
)
async def test_invalid_arguments_are_rejected_at_once(
    bays: Bays, arguments: dict[str, Any], words: str
) -> None:
    """Before anything is awaited; the message names the argument."""
    if "params" not in arguments:
        arguments = {"params": CreateSessionParams(), "count": 5, **arguments}
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=words):
        bays().create_many(**arguments)
