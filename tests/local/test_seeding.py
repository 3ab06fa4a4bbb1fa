"""Reset, seeding, snapshots and limits of a service."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AsyncAgentBay, QuotaExceededError
from agentbay_local import Fail, LocalService, ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp
    from tests.local.conftest import Api


@pytest.fixture
async def own(api: Api) -> AsyncIterator[Api]:
    """Return a service for this test alone."""
    async with LocalService() as service:
        yield type(api)(api.http, service)


async def test_a_reset_drops_everything(own: Api, sandboxed: None) -> None:
    """Sandboxes, files, rules, entries and limits; the service continues."""
    home = own.service.home
    records = list((home / "running").iterdir())  # of what forks sandboxes, if the machine lets it
    context = await own.context("c")
    session = await own.mounted(context)
    await own.sh(session, "echo 1 > /mnt/data/a")
    await own.put(context, "b", b"1")
    own.service.faults.add(Fail(), "SetLabel")
    own.service.quotas.sessions = 1
    own.service.transitions.manual("delete")
    await own.service.areset()
    assert (len(own.service.faults), own.service.quotas.sessions) == (0, None)
    assert len(own.service.journal) == 0
    assert await own.service.aliving() == {}
    assert await own.code("GetSession", SessionId=session) == "InvalidMcpSession.NotFound"
    assert (await own.ok("ListContexts"))["TotalCount"] == 0
    assert [list((home / name).iterdir()) for name in ("sessions", "contexts")] == [[], []]
    assert list((home / "running").iterdir()) == records
    context = await own.context("c")
    assert await own.names(context) == []
    await own.released(await own.session(Timeout=60))


async def test_sessions_still_expire_after_a_reset(
    timed: Api, clock: ManualClock, sandboxed: None
) -> None:
    """The sweeper continues."""
    await timed.service.areset()
    session = await timed.session(Timeout=60)
    await clock.aadvance(61)
    assert await timed.status(session) == "FINISH"


async def test_clients_see_seeded_data(own: Api, sandboxed: None) -> None:
    """Labels, names and files; the journal has no entry of the seeding."""
    labels = [{"env": "a"}, {"env": "b"}]
    seeded = await own.service.aseed(labels, {"notes": {"x/a.txt": "text", "b": b"\0"}, "more": {}})
    assert len(own.service.journal) == 0
    assert await own.service.aliving() == dict(zip(seeded.sessions, labels, strict=True))
    found = await own.ok("ListSession", Labels={"env": "b"})
    assert [entry["SessionId"] for entry in found["Data"]] == seeded.sessions[1:]
    notes = seeded.contexts["notes"]
    assert await own.context("notes") == notes
    assert await own.fetch(notes, "x/a.txt") == b"text"
    assert await own.fetch(notes, "b") == b"\0"
    assert set(seeded.contexts) == {"notes", "more"}


@pytest.mark.parametrize(
    "seeds", [{"sessions": [{" ": "x"}]}, {"contexts": ["\n"]}, {"contexts": {"c": {"../x": ""}}}]
)
async def test_invalid_seeds_are_rejected(own: Api, seeds: dict[str, Any]) -> None:
    """With the message of the service."""
    with pytest.raises(ValueError, match=r"must|required"):
        await own.service.aseed(**seeds)


async def test_blocking_seeding_on_the_loop_is_an_error(own: Api) -> None:
    """It would wait for itself."""
    with pytest.raises(RuntimeError, match="begins with 'a'"):
        own.service.reset()


async def test_a_snapshot_restores_contexts_and_sessions(
    own: Api, api: Api, tmp_path: Path, sandboxed: None
) -> None:
    """In another service: names, files, links, labels, states."""
    labels = {"a": "b", "c": "d"}
    context = await own.context("kept")
    await own.context("empty")
    session = await own.mounted(context)
    await own.sh(session, "cd /mnt/data; mkdir d; echo 1 > d/a; ln -s d/a l; chmod 700 d/a")
    await own.ok("SyncContext", SessionId=session)
    await own.settled(session, TaskType="upload")
    await own.ok("SetLabel", SessionId=session, Labels=labels)
    paused = await own.session()
    await own.ok("PauseSessionAsync", SessionId=paused)
    await own.reached(paused, "PAUSED")
    await own.service.asnapshot(tmp_path / "s.tar.gz")
    await own.put(context, "later", b"")
    async with LocalService() as other:
        there = type(api)(api.http, other)
        dropped = await there.context("dropped")
        assert (await there.ok("ListSession", Labels=labels))["TotalCount"] == 0
        await other.arestore(tmp_path / "s.tar.gz")
        assert await there.code("GetContext", ContextId=dropped) == "Context.NotFound"
        assert await there.context("kept") == context
        assert await there.names(context) == ["d", "l"]
        assert (await there.ok("ListContexts"))["TotalCount"] == 2
        assert await other.aliving() == {session: labels, paused: {}}
        assert await there.status(paused) == "PAUSED"
        await there.settled(session, TaskType="download")
        assert await there.sh(session, "cat /mnt/data/l; stat -c %a /mnt/data/d/a") == "1\n700\n"
        assert (await there.ok("ListSession", Labels=labels))["TotalCount"] == 1
        await there.sh(session, "echo 2 > /mnt/data/d/a")
        await there.released(session)
        assert await there.fetch(context, "d/a") == b"2\n"
        await there.ok("ResumeSessionAsync", SessionId=paused)
        await there.reached(paused, "RUNNING")


async def test_a_snapshot_keeps_the_remaining_times(
    api: Api, tmp_path: Path, sandboxed: None
) -> None:
    """Also on another clock."""
    clock, other = ManualClock(), ManualClock()
    path = tmp_path / "s"
    async with LocalService(clock=clock) as service:
        session = await type(api)(api.http, service).session(Timeout=60)
        await clock.aadvance(50)
        await service.asnapshot(path)
    await other.aadvance(days=2)
    async with LocalService(clock=other) as service:
        await service.arestore(path)
        await other.aadvance(9)
        assert list(await service.aliving()) == [session]
        await other.aadvance(2)
        assert await service.aliving() == {}


async def test_a_snapshot_replaces_the_previous_one_atomically(own: Api, tmp_path: Path) -> None:
    """A reader sees the old one or the new one; after a failure, the old one."""
    path = tmp_path / "s.tar.gz"
    for name in ("one", "two"):
        await own.context(name)
        await own.service.asnapshot(path)
        os.link(path, tmp_path / name)
    assert os.stat(tmp_path / "one").st_ino != os.stat(tmp_path / "two").st_ino
    await own.service.areset()
    await own.service.arestore(path)
    assert (await own.ok("ListContexts"))["TotalCount"] == 2
    with pytest.raises(OSError, match="no-directory"):
        await own.service.asnapshot(tmp_path / "no-directory" / "s")
    assert sorted(os.listdir(tmp_path)) == ["one", "s.tar.gz", "two"]
    assert list(own.service.home.glob("snapshot-*")) == []


@pytest.mark.parametrize("kind", ["text", "empty", "other", "cut", "rows"])
async def test_an_invalid_snapshot_changes_nothing(own: Api, tmp_path: Path, kind: str) -> None:
    """It is checked before anything is dropped."""
    path = tmp_path / "s"
    await own.put(await own.context("kept"), "a", b"1")
    await own.service.asnapshot(path)
    whole = path.read_bytes()
    if kind == "other":
        with tarfile.open(path, "w:gz") as archive:
            archive.add(__file__, "about.json")
    elif kind == "rows":
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path / "x", filter="data")
        (tmp_path / "x" / "state.db").write_bytes(b"no rows")
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "x", "")
    else:
        path.write_bytes({"text": b"hello", "empty": b"", "cut": whole[: len(whole) // 2]}[kind])
    with pytest.raises(ValueError, match="is not a snapshot"):
        await own.service.arestore(path)
    with pytest.raises(FileNotFoundError):
        await own.service.arestore(tmp_path / "nowhere")
    assert await own.names(await own.context("kept")) == ["a"]
    assert list(own.service.home.glob("snapshot-*")) == []


async def test_a_session_beyond_the_quota_is_rejected(own: Api, sandboxed: None) -> None:
    """With the error type of our client; a released session makes room."""
    first = await own.session()
    own.service.quotas.sessions = 1
    assert await own.code("CreateMcpSession") == "QuotaExceeded.Session"
    async with AsyncAgentBay(own.service.api_key, endpoint=own.service.endpoint) as bay:
        assert isinstance((await bay.create()).error, QuotaExceededError)
    await own.released(first)
    await own.released(await own.session())


async def test_seeds_beyond_the_quota_are_rejected_as_a_whole(own: Api, sandboxed: None) -> None:
    """None of them is created."""
    own.service.quotas.sessions = 2
    with pytest.raises(ValueError, match="At most 2 sessions"):
        await own.service.aseed(sessions=3)
    assert await own.service.aliving() == {}
    assert len((await own.service.aseed(sessions=2)).sessions) == 2


async def test_pages_are_no_larger_than_their_limit(controlled_api: Api) -> None:
    """The answer has the size, and the next page follows."""
    for _ in range(3):
        await controlled_api.context()
    controlled_api.service.quotas.page_size = 2
    page = await controlled_api.ok("ListContexts", MaxResults=50)
    assert (len(page["Data"]), page["MaxResults"]) == (2, 2)
    assert page["NextToken"]


async def test_limits_of_time_hold_to_the_second(
    timed: Api, clock: ManualClock, sandboxed: None
) -> None:
    """Lifetimes of page tokens and URLs, and the lag of the label index."""
    limits = timed.service.quotas
    limits.page_token_seconds, limits.url_seconds, limits.list_lag_seconds = 60, 30, 10
    context = await timed.context()
    await timed.context()
    await timed.put(context, "a", b"1")
    fields = {"ContextId": context, "FilePath": "a"}
    url = (await timed.ok("GetContextFileDownloadUrl", **fields))["Data"]["Url"]
    token = (await timed.ok("ListContexts", MaxResults=1))["NextToken"]
    session = await timed.session()
    assert (await timed.ok("ListSession"))["TotalCount"] == 0
    await clock.aadvance(11)
    (seen,) = (await timed.ok("ListSession"))["Data"]
    assert seen["SessionId"] == session
    await clock.aadvance(18)
    assert await status(timed.http, url) == 200
    await clock.aadvance(2)
    assert await status(timed.http, url) == 403
    await timed.ok("ListContexts", MaxResults=1, NextToken=token)
    await clock.aadvance(30)
    code = await timed.code("ListContexts", MaxResults=1, NextToken=token)
    assert code == "InvalidParameter.NextToken"


async def status(http: aiohttp.ClientSession, url: str) -> int:
    """Return the status of a GET."""
    async with http.get(url) as answer:
        return answer.status


def test_an_invalid_limit_is_rejected(service: LocalService) -> None:
    """The message names it."""
    for name in ("sessions", "page_size", "page_token_seconds", "url_seconds", "list_lag_seconds"):
        with pytest.raises((ValueError, TypeError), match=name):
            setattr(service.quotas, name, -1)
