"""`map_sessions`: call a function on each item, in fresh or reused sessions."""

from __future__ import annotations

import asyncio
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    AsyncSession,
    FunctionError,
    HttpResponse,
    InvalidArgumentError,
    SessionError,
    SessionNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script


def _plain(*_arguments: object) -> str:
    return "no coroutine"


class _PlainCall:
    def __call__(self, *_arguments: object) -> str:
        return "no coroutine"


class _AsyncCall:
    async def __call__(self, _session: AsyncSession, item: int) -> int:
        return item


@wraps(_plain)
async def _decorated(_session: AsyncSession, item: int) -> int:
    return item


async def _double(_session: AsyncSession, item: int, _more: object = None) -> int:
    return 2 * item


async def _named(session: AsyncSession, item: int) -> str:
    return f"{session.session_id}: {item}"


async def test_each_item_gets_a_fresh_session(bay: AsyncAgentBay, service: FakeService) -> None:
    """Results have the index of the item; all sessions are deleted in the end."""
    outcomes = [one async for one in bay.map_sessions(_named, range(30))]
    assert sorted(one.index for one in outcomes) == list(range(30))
    assert {one.value.partition(": ")[2] for one in outcomes} == {str(n) for n in range(30)}
    assert len({one.value.partition(":")[0] for one in outcomes}) == 30
    assert all(one.attempts == 1 for one in outcomes)
    assert (service.created, service.alive) == (30, set())


@pytest.mark.parametrize(("reuse", "made"), [(True, 2), (5, 4), (1, 20), (False, 20)])
async def test_reuse_limits_the_items_of_a_session(
    bay: AsyncAgentBay, service: FakeService, reuse: bool | int, made: int
) -> None:
    """Twenty items, two at a time."""
    walk = bay.map_sessions(_named, range(20), reuse=reuse, max_concurrency=2)
    outcomes = [one async for one in walk]
    assert all(one.success for one in outcomes)
    assert service.created == made
    assert service.alive == set()


async def test_a_session_is_reset_and_checked_before_it_is_reused(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """One that cannot be reset, or is not healthy, is deleted and replaced."""
    resets: list[str] = []
    looks: list[str] = []

    async def reset(session: AsyncSession) -> None:
        resets.append(session.session_id)
        if len(resets) == 2:
            raise SessionError("it stays dirty")

    async def healthy(session: AsyncSession) -> bool:
        looks.append(session.session_id)
        return session.session_id != "s-1"

    walk = bay.map_sessions(
        _named, range(4), reuse=True, max_concurrency=1, reset=reset, healthy=healthy
    )
    served = [one.value.partition(":")[0] async for one in walk]
    assert served == ["s-0", "s-0", "s-1", "s-2"]
    assert resets == ["s-0", "s-0", "s-1", "s-2"]
    assert looks == ["s-0", "s-1"]
    assert service.alive == set()


async def test_an_item_whose_session_is_lost_is_tried_in_another(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Whether the error reports the loss, or the service when asked."""

    async def work(session: AsyncSession, item: str) -> str:
        if session.session_id == item:
            service.sessions.pop(item, None)
            raise SessionNotFoundError("gone") if item == "s-0" else SessionError("no answer")
        return session.session_id

    walk = bay.map_sessions(work, ["s-0", "s-2", "s-x"], max_concurrency=1)
    outcomes = [one async for one in walk]
    assert [one.value for one in outcomes] == ["s-1", "s-3", "s-4"]
    assert [one.attempts for one in outcomes] == [2, 2, 1]
    assert service.alive == set()


async def test_an_item_that_loses_every_session_fails_in_the_end(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """After the given number of retries."""

    async def work(_session: AsyncSession, _item: int) -> None:
        raise SessionNotFoundError("gone")

    outcomes = [one async for one in bay.map_sessions(work, [1], retries=3)]
    assert isinstance(outcomes[0].error, SessionNotFoundError)
    assert (outcomes[0].attempts, service.created, service.alive) == (4, 4, set())


async def test_an_error_of_the_function_fails_its_item_alone(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """It is not retried, and its session is not reused."""

    async def work(session: AsyncSession, item: int) -> str:
        if item == 1:
            raise LookupError("of the function")
        if item == 2:
            raise SessionError("of the session")
        return session.session_id

    walk = bay.map_sessions(work, range(4), reuse=True, max_concurrency=1)
    outcomes = [one async for one in walk]
    first, second = outcomes[1].error, outcomes[2].error
    assert isinstance(first, FunctionError)
    assert isinstance(first.__cause__, LookupError)
    assert "LookupError: of the function" in first.message
    assert isinstance(second, SessionError)
    assert [outcomes[0].value, outcomes[3].value] == ["s-0", "s-2"]
    assert all(one.attempts == 1 for one in outcomes)
    assert service.alive == set()


async def test_a_failed_create_fails_its_item(bay: AsyncAgentBay, service: FakeService) -> None:
    """With the error of the service; the function is not called."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number == 0 else None
    )
    outcomes = [one async for one in bay.map_sessions(_named, range(2), max_concurrency=1)]
    assert [one.success for one in outcomes] == [False, True]
    assert (outcomes[0].code, outcomes[0].attempts) == ("QuotaExceeded", 0)


async def test_throttling_does_not_use_retries(bay: AsyncAgentBay, service: FakeService) -> None:
    """The function is called once."""
    service.fail_with = lambda number: (
        HttpResponse.failure("Throttling", status=429) if number < 10 else None
    )
    outcomes = [one async for one in bay.map_sessions(_named, range(3), max_concurrency=3)]
    assert [(one.success, one.attempts) for one in outcomes] == [(True, 1)] * 3


async def test_a_reader_that_exits_or_is_cancelled_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Neither busy nor idle ones."""

    async def leave() -> None:
        async for _ in bay.map_sessions(_named, _endless(), reuse=True, max_concurrency=4):
            break

    async def stay() -> None:
        async for _ in bay.map_sessions(_named, _endless(), reuse=True, max_concurrency=4):
            reading.set()

    reading = asyncio.Event()
    await leave()
    await service.until(lambda: not service.alive and not service.active)
    running = asyncio.create_task(stay())
    await reading.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await service.until(lambda: not service.alive and not service.active)


def _endless() -> Iterator[int]:
    yield from iter(int, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fn": 5}, "fn must be a function"),
        ({"fn": _plain}, "fn must be an async function.*`async def`"),
        ({"fn": partial(_plain, 1)}, "fn must be an async function"),
        ({"fn": _PlainCall()}, "fn must be an async function"),
        ({"reset": _plain}, "reset must be an async function"),
        ({"healthy": _plain}, "healthy must be an async function"),
        ({"reset": 5}, "reset must be a function"),
        ({"healthy": "yes"}, "healthy must be a function"),
        ({"reuse": 0}, "reuse must be at least 1"),
        ({"reuse": "often"}, "reuse must be an int"),
        ({"retries": -1}, "retries must be at least 1"),
        ({"items": 5}, "items must be iterable"),
        ({"params": 5}, "params must be CreateSessionParams"),
    ],
)
async def test_invalid_arguments_are_rejected_at_once(
    bay: AsyncAgentBay, scripted: Script, options: dict[str, Any], words: str
) -> None:
    """Before anything is iterated."""
    given = {"fn": _named, "items": [1], **options}
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=words):
        bay.map_sessions(**given)
    assert scripted.requests == []


@pytest.mark.parametrize(
    "fn",
    [
        partial(_double, _more=1),
        _AsyncCall(),
        _AsyncCall().__call__,
        _decorated,
        lambda session, item: _double(session, item),
    ],
)
async def test_every_form_of_an_async_function_is_accepted(
    bay: AsyncAgentBay, service: FakeService, fn: Any
) -> None:
    """A lambda may return the coroutine of another function."""
    outcomes = [one async for one in bay.map_sessions(fn, [0])]
    assert [one.value for one in outcomes] == [0]
    assert service.alive == set()


async def test_a_lambda_that_gives_no_awaitable_fails_with_the_cure(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """That is known only after the call."""
    fn: Any = lambda _session, item: item  # noqa: E731  # the subject of the test
    outcomes = [one async for one in bay.map_sessions(fn, [7])]
    assert isinstance(outcomes[0].error, ArgumentTypeError)
    assert "fn must return an awaitable, not int" in str(outcomes[0].error)
    assert service.alive == set()
