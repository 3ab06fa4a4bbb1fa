"""How long a session lives: known, kept up, warned of, and told when it is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    CreateSessionParams,
    InvalidArgumentError,
    LifecyclePolicy,
    SessionNotFoundError,
)

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_GONE = "InvalidMcpSession.NotFound"
_HOUR = CreateSessionParams(lifecycle_policy=LifecyclePolicy(10, 60))


class SteppedClock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved so far."""
        if seconds <= 0:
            return
        due = asyncio.Event()
        self._sleepers.append((self.now + seconds, due))
        await due.wait()

    async def advance(self, seconds: float) -> None:
        """Move on, waking one sleeper after the other, each at its time."""
        end = self.now + seconds
        while True:
            await _turns()
            self._sleepers.sort(key=lambda sleeper: sleeper[0])
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            self.now, due = self._sleepers.pop(0)
            due.set()
        self.now = end


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0.001)


@pytest.fixture
def stepped() -> SteppedClock:
    """Give a clock that goes on only when it is told to."""
    return SteppedClock()


@pytest.fixture
async def kept(bays: Bays, service: FakeService, stepped: SteppedClock) -> AsyncSession:
    """Give a session that lives for an hour."""
    return (await bays(clock=stepped).create(_HOUR)).session


async def test_a_session_knows_how_long_it_lives_at_most(
    kept: AsyncSession, stepped: SteppedClock
) -> None:
    """Of what was asked for, so much is left; and never less than nothing."""
    assert kept.remaining == timedelta(hours=1)
    await stepped.advance(600)
    assert kept.remaining == timedelta(minutes=50)
    await stepped.advance(7200)
    assert kept.remaining == timedelta(0)


@pytest.mark.parametrize(
    "params",
    [
        CreateSessionParams(lifecycle_policy=LifecyclePolicy(manual_release=True)),
        CreateSessionParams(idle_release_timeout=90),
    ],
)
async def test_a_session_without_an_end_has_no_time_left_to_tell(
    bay: AsyncAgentBay, service: FakeService, params: CreateSessionParams
) -> None:
    """Nor has one that was only looked up."""
    session = (await bay.create(params)).session
    assert session.remaining is None
    assert (await bay.get(session.session_id)).session.remaining is None


async def test_a_session_is_kept_alive_while_a_block_runs(
    kept: AsyncSession, stepped: SteppedClock, scripted: Script
) -> None:
    """Every minute, and not any more after the block."""
    async with kept.keep_alive_while(every=timedelta(minutes=1)):
        await stepped.advance(150)
        assert scripted.actions.count("RefreshSessionIdleTime") == 2
    await stepped.advance(150)
    assert scripted.actions.count("RefreshSessionIdleTime") == 2


async def test_a_sign_of_life_that_fails_is_no_reason_to_stop(
    kept: AsyncSession,
    stepped: SteppedClock,
    scripted: Script,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told in the log; the next one may do."""
    scripted.clear()
    scripted.fail("RefreshSessionIdleTime", "Some.Code")
    scripted.ok("RefreshSessionIdleTime")
    async with kept.keep_alive_while(every=60):
        await stepped.advance(125)
    assert scripted.actions.count("RefreshSessionIdleTime") == 2
    assert "could not be kept alive" in caplog.text


async def test_a_session_that_ended_meanwhile_is_told_at_the_end(
    kept: AsyncSession, stepped: SteppedClock, service: FakeService, scripted: Script
) -> None:
    """Nobody believes that work was done in a session that was not there."""

    async def work() -> None:
        async with kept.keep_alive_while(every=60):
            service.sessions.clear()
            await stepped.advance(300)

    with pytest.raises(SessionNotFoundError):
        await work()
    assert scripted.actions.count("RefreshSessionIdleTime") == 1


async def test_an_error_of_the_block_comes_first(
    kept: AsyncSession, stepped: SteppedClock, service: FakeService
) -> None:
    """It is raised as it is, alone."""

    async def work() -> None:
        async with kept.keep_alive_while(every=60):
            service.sessions.clear()
            await stepped.advance(300)
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await work()


async def test_a_cancelled_block_ends_at_once(kept: AsyncSession, stepped: SteppedClock) -> None:
    """What kept the session alive ends with it."""

    async def work() -> None:
        async with kept.keep_alive_while():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await stepped.advance(90)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_end_is_warned_of_once(kept: AsyncSession, stepped: SteppedClock) -> None:
    """In time to save what is to be saved."""
    warned: list[timedelta] = []
    async with kept.keep_alive_while(every=600, warn=warned.append, warn_before=300):
        await stepped.advance(3299)
        assert warned == []
        await stepped.advance(1)
        assert warned == [timedelta(minutes=5)]
        await stepped.advance(900)
    assert len(warned) == 1


async def test_a_warning_may_be_awaited(kept: AsyncSession, stepped: SteppedClock) -> None:
    """It has time to do something about it."""
    done = asyncio.Event()

    async def save(_: timedelta) -> None:
        await asyncio.sleep(0)
        done.set()

    async with kept.keep_alive_while(every=600, warn=save, warn_before=timedelta(minutes=90)):
        await asyncio.wait_for(done.wait(), 10)


async def test_a_warning_that_fails_is_not_passed_over(
    kept: AsyncSession, stepped: SteppedClock
) -> None:
    """Its error is raised at the end of the block."""

    def fail(_: timedelta) -> None:
        raise LookupError("of the warning")

    async def work() -> None:
        async with kept.keep_alive_while(warn=fail, warn_before=7200):
            await stepped.advance(1)

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
async def test_times_that_cannot_be_meant_are_refused(
    kept: AsyncSession, options: dict[str, Any], kind: type[Exception]
) -> None:
    """When the block is entered."""
    with pytest.raises(kind, match=next(iter(options))):
        await kept.keep_alive_while(**options).__aenter__()


@pytest.mark.parametrize(
    ("detail", "reason", "words"),
    [
        ({"Status": "FINISH"}, "released", "It was released"),
        ({"Status": "FINISH", "EndReason": "by the user"}, "released", "released (by the user)"),
        ({"Status": "FINISH", "EndReason": "it was idle"}, "expired", "expired (it was idle)"),
        ({"Status": "DELETED", "EndReason": "its longest run time is over"}, "expired", "run time"),
        ({"Status": "RUNNING"}, "", ""),
        (None, "", ""),
    ],
)
async def test_a_session_that_is_gone_says_why(
    bay: AsyncAgentBay, scripted: Script, detail: object, reason: str, words: str
) -> None:
    """Where the service knows; for one more request, and that only of a call that failed."""
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


async def test_a_service_that_cannot_say_why_is_not_asked_again(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """The reason is a courtesy; the error is the answer."""
    scripted.fail("GetSession", _GONE)
    scripted.fail("GetSessionDetail", "ServiceUnavailable", status=503)
    assert isinstance((await bay.get("s-1")).error, SessionNotFoundError)
    assert scripted.actions == ["GetSession", "GetSessionDetail"]
    assert clock.sleeps == []
