"""Many sessions at once: they leave nothing, and nobody waits longer because of them."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.local.conftest import Api
from tests.sandbox.process_table import descendants, open_count

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import LocalService
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.sandbox.host.limit_enforcer import EVERY, LimitEnforcer, SharedCost
from agentbay_local.sandbox.values import SandboxSpec
from agentbay_local.sessions import sandboxes as module
from agentbay_local.sessions.sandboxes import Sandboxes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MANY = 40


@pytest.fixture
async def own(sandboxed: None) -> AsyncIterator[Api]:
    """Speak to a service that this test alone has."""
    async with LocalService() as service, aiohttp.ClientSession() as http:
        yield Api(http, service)


def mounts() -> int:
    """Count what is mounted where it is most: one thread mounts for the others."""
    tables = Path("/proc/self/task").glob("*/mountinfo")
    return max(len(table.read_text().splitlines()) for table in tables)


def taken(service: LocalService) -> dict[str, int]:
    """Return how much there is of what sandboxes take."""
    return {
        "processes": len(descendants(os.getpid())),
        "descriptors": open_count(),
        "mounts": mounts(),
        "directories": len(list((service.home / "sessions").iterdir())),
        "records": len(list((service.home / "running").iterdir())),
    }


async def crowd(service: LocalService, number: int) -> None:
    """Make sessions, work in all of them at once, and delete them."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        made = await bay.create_many(CreateSessionParams(labels={"run": "crowd"}), number)
        ran = await asyncio.gather(*(session.command.run("hostname") for session in made.sessions))
        assert [result.success for result in ran] == [True] * number
        # Left running, to be ended with their sessions.
        command = "sleep 600 > /dev/null 2>&1 &"
        await asyncio.gather(*(session.command.run(command) for session in made.sessions))
        assert (await bay.delete_many(made.sessions)).failed == 0


async def test_many_sandboxes_leave_nothing(own: Api) -> None:
    """No process, descriptor, mount, directory or record is left of forty that lived at once."""
    # The first sandbox makes some things for all that follow.
    await crowd(own.service, 1)
    before = taken(own.service)
    await crowd(own.service, MANY)

    async def as_before() -> bool:
        # What a client has closed, its service notices a moment later.
        return all(now <= before[name] for name, now in taken(own.service).items())

    await own.until(as_before)


async def test_others_are_answered_while_thousands_are_stored(own: Api) -> None:
    """A listing that is asked for meanwhile is there before the last of them."""
    seeding = asyncio.ensure_future(own.service.aseed(sessions=10_000))
    assert (await own.ok("ListSession"))["TotalCount"] < 10_000
    assert not seeding.done()
    seeded = await seeding
    assert (await own.ok("ListSession"))["TotalCount"] == len(set(seeded.sessions)) == 10_000


async def test_pages_are_whole_while_sessions_come_and_go(own: Api) -> None:
    """Each that was there and stays is shown once, whatever happens between and during pages."""
    labels = {"run": "walk"}
    old = (await own.service.aseed(sessions=[labels] * 60)).sessions
    shown: list[str] = []
    token, gone = "", set[str]()
    while True:
        more = {"NextToken": token} if token else {}
        page, *_ = await asyncio.gather(
            own.ok("ListSession", Labels=labels, MaxResults=7, **more),
            own.service.aseed(sessions=[labels] * 5),
            own.released(old[len(shown) // 2]),
        )
        gone.add(old[len(shown) // 2])
        shown += [entry["SessionId"] for entry in page["Data"]]
        token = page["NextToken"]
        if not token:
            break
    walked = [name for name in shown if name in old]
    assert len(walked) == len(set(walked))
    assert walked == sorted(walked, key=old.index, reverse=True)
    assert set(old) - gone <= set(walked)


async def test_stored_sessions_are_over_with_their_service(tmp_path: Path, own: Api) -> None:
    """One by one or not: they are finished, with the reason, and those with files lose them."""
    async with LocalService(home=tmp_path) as first:
        seeded = (await first.aseed(sessions=[{"n": str(n)} for n in range(300)])).sessions
        used = await Api(own.http, first).session()
        await Api(own.http, first).sh(used, "echo x > file")
    assert list((tmp_path / "sessions").iterdir()) == []
    async with LocalService(home=tmp_path) as second:
        api = Api(own.http, second)
        assert (await api.ok("ListSession"))["TotalCount"] == 0
        for session in (seeded[0], seeded[-1], used):
            detail = (await api.ok("GetSessionDetail", SessionId=session))["Data"]
            assert (detail["Status"], detail["EndReason"]) == ("FINISH", "the service stopped")


class Slow:
    """A backend whose starts end when a test lets them; it stands in for `Backend`.

    Attributes:
        begun: How many starts there were.
        full: There are as many as there may be at once.
        go: Lets those under way go on.
    """

    isolation = Isolation.NAMESPACES

    def __init__(self) -> None:
        self.begun = 0
        self.full = asyncio.Event()
        self.go = asyncio.Event()

    async def start(self, spec: SandboxSpec) -> Standing:
        """Take as long as the test wants it."""
        del spec
        self.begun += 1
        if self.begun == module._CONCURRENT_STARTS:
            self.full.set()
        await self.go.wait()
        return Standing()


class Standing:
    """A sandbox that was started."""

    def __init__(self) -> None:
        self.dead = asyncio.Event()

    async def close(self) -> None:
        """End."""
        self.dead.set()


def slow_sandboxes(directory: Path) -> tuple[Slow, Sandboxes]:
    """Return sandboxes and the backend that starts them."""
    backend = Slow()
    wanted = Isolation.NAMESPACES
    return backend, Sandboxes(directory, backend, "", wanted, Limits())  # type: ignore[arg-type]  # the part of it that is used


async def test_who_waits_in_line_loses_no_time_of_their_own_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The starts before hang until their time is over; the one behind them then has all of its."""
    monkeypatch.setattr(module, "_START_WITHIN", 0.05)
    backend, waiting = slow_sandboxes(tmp_path)
    names = [f"s-{n}" for n in range(module._CONCURRENT_STARTS)]
    before = [asyncio.ensure_future(waiting.get(name)) for name in names]
    last = asyncio.ensure_future(waiting.get("s-last"))
    await asyncio.wait(before)
    backend.go.set()
    assert not (await last).dead.is_set()
    for start in before:
        with pytest.raises(ApiError):
            await start


async def test_a_session_that_is_released_in_line_is_not_started(tmp_path: Path) -> None:
    """Nobody starts a thousand sandboxes only to end them."""
    backend, waiting = slow_sandboxes(tmp_path)
    names = [f"s-{n}" for n in range(module._CONCURRENT_STARTS)]
    before = [asyncio.ensure_future(waiting.get(name)) for name in names]
    last = asyncio.ensure_future(waiting.get("s-last"))
    await backend.full.wait()
    removal = asyncio.ensure_future(waiting.remove("s-last"))
    await asyncio.sleep(0)
    backend.go.set()
    await asyncio.gather(removal, *before)
    with pytest.raises(ApiError, match="being released"):
        await last
    assert backend.begun == module._CONCURRENT_STARTS


async def test_a_service_without_descriptors_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what takes them, and what helps."""
    backend, waiting = slow_sandboxes(tmp_path)

    async def start(spec: SandboxSpec) -> Standing:
        raise OSError(errno.EMFILE, "Too many open files", str(spec.root))

    monkeypatch.setattr(backend, "start", start)
    with pytest.raises(ApiError, match=r"cannot open more files.*ulimit -n") as caught:
        await waiting.get("s-1")
    assert str(tmp_path) not in caught.value.message


def test_a_thousand_watches_look_no_more_than_one_may() -> None:
    """All looks together take a twentieth of the time, from one session to a thousand."""
    for awake in (1, 10, 100, 1000):
        watches = SharedCost()
        watches.awake = awake
        took = 0.0005
        assert awake * took / watches.pause(took) <= 1 / 20
        assert watches.pause(0.0) == EVERY


async def test_a_watch_is_awake_while_there_is_something_to_look_at(tmp_path: Path) -> None:
    """It is woken once, rests when it finds no process, and is no longer counted when stopped."""
    watches = SharedCost()
    childless = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        watch, other = (
            LimitEnforcer(childless.pid, SandboxSpec(tmp_path), watches) for _ in range(2)
        )
        for woken in (watch, watch, other):
            woken.wake()
        assert watches.awake == 2
        other.stop()
        other.wake()
        assert watches.awake == 1
        watch._check()
        assert watches.awake == 0
        watch.wake()
        assert watches.awake == 1
        watch.stop()
        assert watches.awake == 0
    finally:
        childless.kill()
        await childless.wait()
