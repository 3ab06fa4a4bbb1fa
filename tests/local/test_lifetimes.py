"""Sessions that expire, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sessions import lifecycle
from agentbay_local.sessions.lifecycle import Lifecycle

if TYPE_CHECKING:
    from tests.local.conftest import Api

    from agentbay_local import ManualClock
    from agentbay_local.store import Session

pytestmark = pytest.mark.usefixtures("sandboxed")


async def test_an_idle_session_is_released(timed: Api, clock: ManualClock) -> None:
    """``Timeout`` alone is in seconds."""
    session = await timed.session(Timeout=60)
    await clock.aadvance(59)
    assert await timed.status(session) == "RUNNING"
    await clock.aadvance(2)
    assert await timed.status(session) == "FINISH"
    detail = await timed.ok("GetSessionDetail", SessionId=session)
    assert detail["Data"]["EndReason"] == "it was idle"


async def test_timeout_beside_max_runtime_is_minutes(timed: Api, clock: ManualClock) -> None:
    """The unit of the field depends on the other field."""
    session = await timed.session(Timeout=5, MaxRuntime=30)
    await clock.aadvance(4 * 60)
    assert await timed.status(session) == "RUNNING"
    await clock.aadvance(61)
    assert await timed.status(session) == "FINISH"


@pytest.mark.parametrize("action", ["RefreshSessionIdleTime", "CallMcpTool"])
async def test_use_restarts_the_idle_time(timed: Api, clock: ManualClock, action: str) -> None:
    """Keep-alive requests and tool calls do; a look-up does not."""
    session = await timed.session(Timeout=60)
    await clock.aadvance(50)
    await timed.ok(action, SessionId=session, Name="shell", Args={"command": "true"})
    await clock.aadvance(50)
    await timed.ok("GetSession", SessionId=session)
    assert await timed.status(session) == "RUNNING"
    await clock.aadvance(11)
    assert await timed.status(session) == "FINISH"


async def test_a_long_command_is_use_until_its_end(timed: Api, clock: ManualClock) -> None:
    """The idle time begins with the end."""
    session = await timed.session(Timeout=60)
    waits = "touch /tmp/begun; while ! [ -e /tmp/end ]; do sleep 0.05; done"
    command = asyncio.create_task(timed.sh(session, waits))

    async def begun() -> bool:
        return not (await timed.tool(session, "shell", command="test -e /tmp/begun"))[0]

    await timed.until(begun)
    await clock.aadvance(hours=1)
    assert await timed.status(session) == "RUNNING"
    await timed.sh(session, "touch /tmp/end")
    await command
    await clock.aadvance(59)
    assert await timed.status(session) == "RUNNING"
    await clock.aadvance(2)
    assert await timed.status(session) == "FINISH"


async def test_a_slow_release_does_not_keep_the_sweeper_busy(
    timed: Api, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session has no deadline any more."""
    timed.service.transitions.manual("delete")
    session = await timed.session(Timeout=60)
    await clock.aadvance(61)
    assert await timed.status(session) == "DELETING"
    sweeps: list[object] = []
    monkeypatch.setattr(Lifecycle, "sweep", sweeps.append)
    await clock.aadvance(1)
    assert sweeps == []


async def test_the_state_of_a_session_waits_for_the_end_of_its_release(
    timed: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a client that asks at once need not ask again."""
    asked, wait = threading.Event(), Lifecycle.wait_briefly

    async def observed(self: Lifecycle, session: Session) -> None:
        asked.set()
        await wait(self, session)

    monkeypatch.setattr(Lifecycle, "wait_briefly", observed)
    monkeypatch.setattr(lifecycle, "_BRIEFLY", 30.0)
    timed.service.transitions.manual("delete")
    session = await timed.session()
    await timed.ok("DeleteSessionAsync", SessionId=session)
    status = asyncio.create_task(timed.status(session))
    assert await asyncio.to_thread(asked.wait, 30)
    assert timed.service.transitions.finish("delete") == 1
    assert await status == "FINISH"


async def test_the_longest_run_time_ends_a_session_in_use(timed: Api, clock: ManualClock) -> None:
    """Use does not extend it."""
    session = await timed.session(Timeout=20, MaxRuntime=30)
    await clock.aadvance(15 * 60)
    await timed.ok("RefreshSessionIdleTime", SessionId=session)
    await clock.aadvance(15 * 60 + 1)
    assert await timed.status(session) == "FINISH"
    detail = await timed.ok("GetSessionDetail", SessionId=session)
    assert detail["Data"]["EndReason"] == "its longest run time is over"


async def test_a_session_with_manual_release_lives_on(timed: Api, clock: ManualClock) -> None:
    """Until it is released."""
    session = await timed.session(ManualRelease=True)
    await clock.aadvance(days=30)
    assert await timed.status(session) == "RUNNING"


async def test_a_session_without_limits_has_those_of_the_service(
    timed: Api, clock: ManualClock
) -> None:
    """A program that is killed leaves none for good."""
    idle, used = await timed.session(), await timed.session()
    for _ in range(24):
        assert await timed.status(used) == "RUNNING"
        await clock.aadvance(minutes=29)
        if await timed.status(used) == "RUNNING":
            await timed.ok("RefreshSessionIdleTime", SessionId=used)
    assert await timed.status(idle) == "FINISH"
    assert await timed.status(used) == "RUNNING"
    await clock.aadvance(minutes=25)
    assert await timed.status(used) == "FINISH"


async def test_a_paused_session_is_not_idle(timed: Api, clock: ManualClock) -> None:
    """Its idle time begins again when it is resumed."""
    session = await timed.session(Timeout=60)
    await timed.ok("PauseSessionAsync", SessionId=session)
    await timed.reached(session, "PAUSED")
    await clock.aadvance(301)
    assert await timed.status(session) == "PAUSED"
    await timed.ok("ResumeSessionAsync", SessionId=session)
    await timed.reached(session, "RUNNING")
    await clock.aadvance(61)
    assert await timed.status(session) == "FINISH"


async def test_files_are_saved_when_a_session_expires(timed: Api, clock: ManualClock) -> None:
    """The release uploads like any other."""
    context = await timed.context()
    item = {"ContextId": context, "Path": "/mnt/data"}
    session = await timed.session(Timeout=60, PersistenceDataList=[item])
    await timed.sh(session, "echo 1 > /mnt/data/a")
    await clock.aadvance(61)
    assert await timed.status(session) == "FINISH"
    assert await timed.fetch(context, "a") == b"1\n"


async def test_a_finished_session_is_forgotten_after_a_day(timed: Api, clock: ManualClock) -> None:
    """Look-ups do not find it any more."""
    session = await timed.session()
    await timed.released(session)
    await clock.aadvance(hours=24, minutes=-1)
    assert await timed.status(session) == "FINISH"
    await clock.aadvance(minutes=2)
    assert await timed.code("GetSessionDetail", SessionId=session) == "InvalidMcpSession.NotFound"
