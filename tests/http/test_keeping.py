"""The lifetime of a session: remaining time, keep-alive, the warning, and the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    Config,
    CreateSessionParams,
    InvalidArgumentError,
    LifecyclePolicy,
    SessionNotFoundError,
)
from agentbay_local import ManualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

    Advance = Callable[[float], Awaitable[None]]

_GONE = "InvalidMcpSession.NotFound"
_HOUR = CreateSessionParams(lifecycle_policy=LifecyclePolicy(10, 60))


@pytest.fixture
def manual() -> ManualClock:
    """Return a clock that only advances when the test moves it."""
    return ManualClock()


@pytest.fixture
async def kept(bays: Bays, scripted: Script, manual: ManualClock) -> AsyncSession:
    """Return a session with a lifetime of an hour."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    # Closing would look for duplicates, and wait on a clock that nobody moves any more.
    bay = bays(clock=manual, cfg=Config(reserved_labels=False))
    session = (await bay.create(_HOUR)).session
    scripted.clear()
    scripted.ok("RefreshSessionIdleTime")
    return session


@pytest.fixture
def advance(manual: ManualClock, asleep: Callable[[ManualClock, int], Awaitable[None]]) -> Advance:
    """Return a function that advances the clock once the keep-alive sleeps on it."""

    async def advance_by(seconds: float) -> None:
        await asleep(manual, 1)
        await manual.aadvance(seconds)

    return advance_by


def _expire(scripted: Script) -> None:
    """Let the service have no such session any more."""
    scripted.clear()
    scripted.fail("RefreshSessionIdleTime", _GONE)
    scripted.fail("GetSessionDetail", _GONE)


async def test_remaining_time_counts_down(kept: AsyncSession, manual: ManualClock) -> None:
    """It never becomes negative."""
    assert kept.remaining == timedelta(hours=1)
    await manual.aadvance(600)
    assert kept.remaining == timedelta(minutes=50)
    await manual.aadvance(7200)
    assert kept.remaining == timedelta(0)


@pytest.mark.parametrize(
    "params",
    [
        CreateSessionParams(lifecycle_policy=LifecyclePolicy(manual_release=True)),
        CreateSessionParams(idle_release_timeout=90),
    ],
)
async def test_remaining_time_is_none_without_a_limit(
    bay: AsyncAgentBay, scripted: Script, params: CreateSessionParams
) -> None:
    """Also for a session that was only looked up."""
    for action in ("CreateMcpSession", "GetSession"):
        scripted.ok(action, {"SessionId": "s-1", "Status": "RUNNING"})
    session = (await bay.create(params)).session
    assert session.remaining is None
    assert (await bay.get(session.session_id)).session.remaining is None


async def test_a_session_is_kept_alive_while_a_block_runs(
    kept: AsyncSession, manual: ManualClock, advance: Advance, scripted: Script
) -> None:
    """Every minute, and not after the block."""
    async with kept.keep_alive_while(every=timedelta(minutes=1)):
        await advance(150)
        assert scripted.actions.count("RefreshSessionIdleTime") == 2
    await manual.aadvance(150)
    assert scripted.actions.count("RefreshSessionIdleTime") == 2


async def test_a_failed_keep_alive_does_not_stop_the_others(
    kept: AsyncSession,
    advance: Advance,
    scripted: Script,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged; the next one may succeed."""
    scripted.clear()
    scripted.fail("RefreshSessionIdleTime", "Some.Code")
    scripted.ok("RefreshSessionIdleTime")
    async with kept.keep_alive_while(every=60):
        await advance(125)
    assert scripted.actions.count("RefreshSessionIdleTime") == 2
    assert "could not be kept alive" in caplog.text


async def test_an_expired_session_raises_at_the_end_of_the_block(
    kept: AsyncSession, advance: Advance, scripted: Script
) -> None:
    """The caller must not believe that the session was alive."""

    async def work() -> None:
        async with kept.keep_alive_while(every=60):
            _expire(scripted)
            await advance(300)

    with pytest.raises(SessionNotFoundError):
        await work()
    assert scripted.actions.count("RefreshSessionIdleTime") == 1


async def test_an_error_of_the_block_is_raised_unchanged(
    kept: AsyncSession, advance: Advance, scripted: Script
) -> None:
    """Not in a group with others."""

    async def work() -> None:
        async with kept.keep_alive_while(every=60):
            _expire(scripted)
            await advance(300)
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await work()


async def test_a_cancelled_block_ends_at_once(kept: AsyncSession, advance: Advance) -> None:
    """The keep-alive task ends with it."""

    async def work() -> None:
        async with kept.keep_alive_while():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await advance(90)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_warning_comes_once(kept: AsyncSession, advance: Advance) -> None:
    """Early enough to save files."""
    warned: list[timedelta] = []
    async with kept.keep_alive_while(every=600, warn=warned.append, warn_before=300):
        await advance(3299)
        assert warned == []
        await advance(1)
        assert warned == [timedelta(minutes=5)]
        await advance(900)
    assert len(warned) == 1


async def test_a_warning_callback_may_be_async(kept: AsyncSession, manual: ManualClock) -> None:
    """The coroutine is awaited."""
    done = asyncio.Event()

    async def save(_: timedelta) -> None:
        await asyncio.sleep(0)
        done.set()

    async with kept.keep_alive_while(every=600, warn=save, warn_before=timedelta(minutes=90)):
        await asyncio.wait_for(done.wait(), 10)


async def test_a_failed_warning_callback_raises(kept: AsyncSession, manual: ManualClock) -> None:
    """At the end of the block."""

    def fail(_: timedelta) -> None:
        raise LookupError("of the warning")

    async def work() -> None:
        async with kept.keep_alive_while(warn=fail, warn_before=7200):
            await manual.aadvance(1)

    with pytest.raises(LookupError, match="of the warning"):
        await work()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"every": 0}, InvalidArgumentError),
        ({"every": "1"}, ArgumentTypeError),
        ({"warn_before": -1}, InvalidArgumentError),
    ],
)
async def test_invalid_times_are_rejected(
    kept: AsyncSession, options: dict[str, Any], kind: type[Exception]
) -> None:
    """At the start of the block."""
    with pytest.raises(kind, match=next(iter(options))):
        await kept.keep_alive_while(**options).__aenter__()


@pytest.mark.parametrize(
    ("detail", "reason", "words"),
    [
        ({"Status": "FINISH"}, "released", "Session s-1 was released"),
        ({"Status": "FINISH", "EndReason": "by the user"}, "released", "released (by the user)"),
        ({"Status": "FINISH", "EndReason": "it was idle"}, "expired", "expired (it was idle)"),
        ({"Status": "DELETED", "EndReason": "its longest run time is over"}, "expired", "run time"),
        ({"Status": "RUNNING"}, "", "s-1"),
        (None, "", "The service knows no session s-1"),
    ],
)
async def test_the_error_of_a_missing_session_has_the_reason(
    bay: AsyncAgentBay, scripted: Script, detail: object, reason: str, words: str
) -> None:
    """It costs one more request, and only after a failure."""
    scripted.fail("GetSession", _GONE, "Resource [McpSession] is not found.")
    if detail is None:
        scripted.fail("GetSessionDetail", _GONE)
    else:
        scripted.ok("GetSessionDetail", detail)
    error = (await bay.get("s-1")).error
    assert isinstance(error, SessionNotFoundError)
    assert error.reason == reason
    assert error.end_reason == (detail.get("EndReason", "") if isinstance(detail, dict) else "")
    assert words in str(error)
    assert scripted.actions == ["GetSession", "GetSessionDetail"]


async def test_a_failed_query_for_the_reason_is_not_repeated(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """The first error stays."""
    scripted.fail("GetSession", _GONE)
    scripted.fail("GetSessionDetail", "ServiceUnavailable", status=503)
    assert isinstance((await bay.get("s-1")).error, SessionNotFoundError)
    assert scripted.actions == ["GetSession", "GetSessionDetail"]
    assert clock.sleeps == []
