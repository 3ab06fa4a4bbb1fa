"""Many sessions at once: no leftovers, and constant response times."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.local.conftest import Api
from tests.sandbox.process_table import descendants, open_count
from tests.waiting import until

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import LocalService
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.sandbox.cgroups.cgroup import Cgroup
from agentbay_local.sandbox.host.limit_enforcer import EVERY, LimitEnforcer, SharedCost
from agentbay_local.sandbox.values import SandboxSpec
from agentbay_local.sessions import removals
from agentbay_local.sessions import sandboxes as module
from agentbay_local.sessions.sandboxes import Sandboxes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MANY = 40


@pytest.fixture
async def own_api(sandboxed: None) -> AsyncIterator[Api]:
    """Return a service for this test alone."""
    async with LocalService() as service, aiohttp.ClientSession() as http:
        yield Api(http, service)


def mounts() -> int:
    """Count the mounts of the thread that has most: one thread mounts for the others."""
    tables = Path("/proc/self/task").glob("*/mountinfo")
    return max(len(table.read_text().splitlines()) for table in tables)


def resources(service: LocalService) -> dict[str, int]:
    """Count the resources that sandboxes use."""
    return {
        "processes": len(descendants(os.getpid())),
        "descriptors": open_count(),
        "mounts": mounts(),
        "directories": len(list((service.home / "sessions").iterdir())),
        "records": len(list((service.home / "running").iterdir())),
    }


async def use_many(service: LocalService, number: int) -> None:
    """Create sessions, use all of them concurrently, and delete them."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        made = await bay.create_many(CreateSessionParams(labels={"run": "crowd"}), number)
        ran = await asyncio.gather(*(session.command.run("hostname") for session in made.sessions))
        assert [result.success for result in ran] == [True] * number
        # Left running, to be ended with their sessions.
        command = "sleep 600 > /dev/null 2>&1 &"
        await asyncio.gather(*(session.command.run(command) for session in made.sessions))
        assert (await bay.delete_many(made.sessions)).failed == 0


@pytest.mark.slow
async def test_many_sandboxes_leave_nothing(own_api: Api) -> None:
    """Forty concurrent ones leave no process, descriptor, mount, directory or record."""
    # The first sandbox makes some things for all that follow.
    await use_many(own_api.service, 1)
    before = resources(own_api.service)
    await use_many(own_api.service, MANY)

    async def as_before() -> bool:
        # What a client has closed, its service notices a moment later.
        return all(now <= before[name] for name, now in resources(own_api.service).items())

    await own_api.until(as_before)


async def test_requests_are_answered_while_thousands_are_stored(own_api: Api) -> None:
    """A listing is answered before the last session is stored."""
    seeding = asyncio.ensure_future(own_api.service.aseed(sessions=10_000))
    assert (await own_api.ok("ListSession"))["TotalCount"] < 10_000
    assert not seeding.done()
    seeded = await seeding
    assert (await own_api.ok("ListSession"))["TotalCount"] == len(set(seeded.sessions)) == 10_000


async def test_pages_are_complete_while_sessions_come_and_go(own_api: Api) -> None:
    """Each session that stays is listed once."""
    labels = {"run": "walk"}
    old = (await own_api.service.aseed(sessions=[labels] * 60)).sessions
    listed: list[str] = []
    token, gone = "", set[str]()
    while True:
        more = {"NextToken": token} if token else {}
        page, *_ = await asyncio.gather(
            own_api.ok("ListSession", Labels=labels, MaxResults=7, **more),
            own_api.service.aseed(sessions=[labels] * 5),
            own_api.released(old[len(listed) // 2]),
        )
        gone.add(old[len(listed) // 2])
        listed += [entry["SessionId"] for entry in page["Data"]]
        token = page["NextToken"]
        if not token:
            break
    walked = [name for name in listed if name in old]
    assert len(walked) == len(set(walked))
    assert walked == sorted(walked, key=old.index, reverse=True)
    assert set(old) - gone <= set(walked)


async def test_stored_sessions_end_with_their_service(tmp_path: Path, own_api: Api) -> None:
    """They finish with a reason; sessions with files lose them."""
    async with LocalService(home=tmp_path) as first:
        seeded = (await first.aseed(sessions=[{"n": str(n)} for n in range(300)])).sessions
        used = await Api(own_api.http, first).session()
        await Api(own_api.http, first).sh(used, "echo x > file")
    assert list((tmp_path / "sessions").iterdir()) == []
    async with LocalService(home=tmp_path) as second:
        api = Api(own_api.http, second)
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

    async def start(self, spec: SandboxSpec) -> Started:
        """Start when the test allows it."""
        del spec
        self.begun += 1
        if self.begun == module._CONCURRENT_STARTS:
            self.full.set()
        await self.go.wait()
        return Started()


class Started:
    """A started sandbox."""

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


async def test_time_in_the_queue_does_not_count_against_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The starts ahead hang until their timeout; the next one has its full time."""
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


async def test_a_session_released_in_the_queue_is_not_started(tmp_path: Path) -> None:
    """It would only be ended again."""
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


async def test_files_of_deleted_sessions_are_removed_after_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start needs the processors."""
    monkeypatch.setattr(removals, "_POSTPONED", 600)
    backend, sandboxes = slow_sandboxes(tmp_path)
    starting = asyncio.ensure_future(sandboxes.get("s-1"))
    (tmp_path / "s-2").mkdir()
    await until(lambda: backend.begun == 1)
    await sandboxes.remove("s-2")
    removing = asyncio.ensure_future(sandboxes._removals.finish())
    await asyncio.wait([removing], timeout=0.1)
    assert os.listdir(tmp_path) == [".s-2.1"]

    backend.go.set()
    await asyncio.gather(starting, removing)
    assert os.listdir(tmp_path) == []


async def test_a_service_without_descriptors_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the cause and the remedy."""
    backend, waiting = slow_sandboxes(tmp_path)

    async def start(spec: SandboxSpec) -> Started:
        raise OSError(errno.EMFILE, "Too many open files", str(spec.root))

    monkeypatch.setattr(backend, "start", start)
    with pytest.raises(ApiError, match=r"cannot open more files.*ulimit -n") as caught:
        await waiting.get("s-1")
    assert str(tmp_path) not in caught.value.message


def test_all_watches_share_one_budget_of_time() -> None:
    """All polls take a twentieth of the time, for one session or a thousand."""
    for awake in (1, 10, 100, 1000):
        watches = SharedCost()
        watches.awake = awake
        took = 0.0005
        assert awake * took / watches.pause(took) <= 1 / 20
        assert watches.pause(0.0) == EVERY


async def test_a_watch_polls_only_while_processes_run(tmp_path: Path) -> None:
    """It stops when it finds none, and does not count once it is closed."""
    watches = SharedCost()
    childless = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        watch, other = (
            LimitEnforcer(childless.pid, SandboxSpec(tmp_path), watches, Cgroup({}))
            for _ in range(2)
        )
        for woken in (watch, watch, other):
            woken.wake()
        assert watches.awake == 2
        other.stop()
        other.wake()
        assert watches.awake == 1
        until = time.monotonic() + 30
        while watches.awake:
            assert time.monotonic() < until
            await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.01)
        watch.wake()
        assert watches.awake == 1
        watch.stop()
        assert watches.awake == 0
    finally:
        childless.kill()
        await childless.wait()
        watches.close()
