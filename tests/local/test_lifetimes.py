"""Sessions that end by themselves, on a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api, HandClock

pytestmark = pytest.mark.usefixtures("sandboxed")


async def test_an_idle_session_is_released_after_its_seconds(timed: Api, clock: HandClock) -> None:
    """Timeout alone is seconds; the session is there before and gone after."""
    session = await timed.session(Timeout=60)
    clock.advance(59)
    assert await timed.status(session) == "RUNNING"
    clock.advance(2)
    await timed.reached(session, "FINISH")
    detail = await timed.ok("GetSessionDetail", SessionId=session)
    assert detail["Data"]["EndReason"] == "it was idle"


async def test_timeout_beside_max_runtime_is_minutes(timed: Api, clock: HandClock) -> None:
    """The same field has another unit when the other field is there."""
    session = await timed.session(Timeout=5, MaxRuntime=30)
    clock.advance(4 * 60)
    assert await timed.status(session) == "RUNNING"
    clock.advance(61)
    await timed.reached(session, "FINISH")


@pytest.mark.parametrize("action", ["RefreshSessionIdleTime", "CallMcpTool"])
async def test_use_counts_the_idle_time_anew(timed: Api, clock: HandClock, action: str) -> None:
    """Keeping alive and calling tools both count as use; a look-up does not."""
    session = await timed.session(Timeout=60)
    clock.advance(50)
    await timed.ok(action, SessionId=session, Name="shell", Args={"command": "true"})
    clock.advance(50)
    await timed.ok("GetSession", SessionId=session)
    assert await timed.status(session) == "RUNNING"
    clock.advance(11)
    await timed.reached(session, "FINISH")


async def test_the_longest_run_time_ends_a_session_in_use(timed: Api, clock: HandClock) -> None:
    """Use does not extend it."""
    session = await timed.session(Timeout=20, MaxRuntime=30)
    clock.advance(15 * 60)
    await timed.ok("RefreshSessionIdleTime", SessionId=session)
    clock.advance(15 * 60 + 1)
    await timed.reached(session, "FINISH")
    detail = await timed.ok("GetSessionDetail", SessionId=session)
    assert detail["Data"]["EndReason"] == "its longest run time is over"


@pytest.mark.parametrize("fields", [{}, {"ManualRelease": True}])
async def test_a_session_without_limits_lives_on(
    timed: Api, clock: HandClock, fields: dict[str, bool]
) -> None:
    """Nothing given and released by hand both mean until somebody releases it."""
    session = await timed.session(**fields)
    marker = await timed.session(Timeout=60)
    clock.advance(30 * 24 * 3600)
    await timed.reached(marker, "FINISH")
    assert await timed.status(session) == "RUNNING"


async def test_a_paused_session_is_not_idle(timed: Api, clock: HandClock) -> None:
    """Its time stands still, and begins anew when it is resumed."""
    session, marker = await timed.session(Timeout=60), await timed.session(Timeout=300)
    await timed.ok("PauseSessionAsync", SessionId=session)
    await timed.reached(session, "PAUSED")
    clock.advance(301)
    await timed.reached(marker, "FINISH")
    assert await timed.status(session) == "PAUSED"
    await timed.ok("ResumeSessionAsync", SessionId=session)
    await timed.reached(session, "RUNNING")
    clock.advance(61)
    await timed.reached(session, "FINISH")


async def test_files_are_saved_when_a_session_ends_by_itself(timed: Api, clock: HandClock) -> None:
    """An idle release uploads like any other."""
    context = await timed.context()
    item = {"ContextId": context, "Path": "/mnt/data"}
    session = await timed.session(Timeout=60, PersistenceDataList=[item])
    await timed.sh(session, "echo 1 > /mnt/data/a")
    clock.advance(61)
    await timed.reached(session, "FINISH")
    assert await timed.fetch(context, "a") == b"1\n"


async def test_a_finished_session_is_forgotten_after_a_day(timed: Api, clock: HandClock) -> None:
    """Then it never was."""
    session, marker = await timed.session(), await timed.session(Timeout=23 * 3600)
    await timed.released(session)
    clock.advance(24 * 3600 + 1)
    await timed.reached(marker, "FINISH")

    async def forgotten() -> bool:
        return (await timed.call("GetSessionDetail", SessionId=session))[0] == 400

    await timed.until(forgotten)
