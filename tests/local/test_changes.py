"""Changes of files: what one question tells of what happened since the last."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.protocol.arguments import Arguments
from agentbay_local.sandbox.base import Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.host.orphans import Orphans
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import backend_for, probe
from agentbay_local.tools.changes import get_file_change, subscribe
from agentbay_local.tools.tool_state import ToolState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.local.conftest import Api

    from agentbay_local.tools.watcher import Subscription

pytestmark = pytest.mark.usefixtures("sandboxed")


async def changes(api: Api, session: str, path: str = "/tmp/w") -> list[tuple[str, str, str]]:
    """Ask what has changed."""
    is_error, text = await api.tool(session, "get_file_change", path=path)
    assert not is_error, text
    return [(entry["eventType"], entry["path"], entry["pathType"]) for entry in json.loads(text)]


@pytest.fixture
async def session(api: Api) -> str:
    """A session with a watched directory that has a file."""
    session = await api.session()
    await api.sh(session, "mkdir -p /tmp/w/sub; echo old > /tmp/w/old")
    assert await changes(api, session) == []
    return session


async def test_what_was_there_at_the_first_question_is_no_change(api: Api, session: str) -> None:
    """Nor is anything, as long as nothing happens."""
    assert await changes(api, session) == []


async def test_a_new_file_is_created_and_changed_an_old_one_only_changed(
    api: Api, session: str
) -> None:
    """And each is told once."""
    await api.sh(session, "echo new > /tmp/w/sub/new; echo again >> /tmp/w/old")
    assert await changes(api, session) == [
        ("create", "/tmp/w/sub/new", "file"),
        ("modify", "/tmp/w/sub/new", "file"),
        ("modify", "/tmp/w/old", "file"),
    ]
    await api.sh(session, "echo more > /tmp/w/sub/new")
    assert await changes(api, session) == [("modify", "/tmp/w/sub/new", "file")]
    assert await changes(api, session) == []


async def test_directories_come_and_go_with_what_is_in_them(api: Api, session: str) -> None:
    """What holds others is told first when it comes, and last when it goes."""
    await api.sh(session, "mkdir /tmp/w/d; touch /tmp/w/d/f")
    assert await changes(api, session) == [
        ("create", "/tmp/w/d", "directory"),
        ("create", "/tmp/w/d/f", "file"),
    ]
    await api.sh(session, "rm -r /tmp/w/d")
    assert await changes(api, session) == [
        ("delete", "/tmp/w/d/f", "file"),
        ("delete", "/tmp/w/d", "directory"),
    ]


async def test_a_file_that_another_one_replaced_has_changed(api: Api, session: str) -> None:
    """Also when size and time are the same."""
    await api.sh(session, "cd /tmp/w; cp -p old ../new; mv ../new old")
    assert await changes(api, session) == [("modify", "/tmp/w/old", "file")]


async def test_each_path_is_remembered_by_itself_however_it_is_written(
    api: Api, session: str
) -> None:
    """A slash at its end means nothing; another path has its own last time."""
    await api.sh(session, "touch /tmp/w/sub/x")
    assert await changes(api, session, "/tmp/w/sub") == []
    assert await changes(api, session, "/tmp//w/") == [("create", "/tmp/w/sub/x", "file")]


async def test_a_watched_directory_may_go_and_come_back(api: Api, session: str) -> None:
    """That is a change like others."""
    await api.sh(session, "rm -r /tmp/w")
    assert ("delete", "/tmp/w", "directory") in await changes(api, session)
    await api.sh(session, "mkdir /tmp/w")
    assert await changes(api, session) == [("create", "/tmp/w", "directory")]


async def test_links_out_of_a_directory_are_not_followed(api: Api, session: str) -> None:
    """What they lead to is not below it; a link in a circle ends nowhere."""
    await api.sh(session, "ln -s / /tmp/w/root; ln -s . /tmp/w/self")
    assert await changes(api, session) == [
        ("create", "/tmp/w/root", "file"),
        ("modify", "/tmp/w/root", "file"),
        ("create", "/tmp/w/self", "file"),
        ("modify", "/tmp/w/self", "file"),
    ]


async def test_names_of_any_kind_are_told_as_they_are(api: Api, session: str) -> None:
    """Line breaks and other alphabets."""
    await api.sh(session, "touch '/tmp/w/a\nb' /tmp/w/汉")
    assert [path for _, path, _ in await changes(api, session)] == ["/tmp/w/a\nb", "/tmp/w/汉"]


async def test_what_is_not_there_cannot_be_watched(api: Api, session: str) -> None:
    """The error says so."""
    is_error, text = await api.tool(session, "get_file_change", path="/tmp/nothing")
    assert is_error
    assert "No such file or directory" in text


async def test_only_so_many_paths_are_remembered(api: Api, session: str) -> None:
    """The one that nobody has asked about for longest begins anew."""
    await api.sh(session, "cd /tmp; for i in $(seq 100); do mkdir n$i; done; touch w/x")
    for number in range(1, 101):
        assert await changes(api, session, f"/tmp/n{number}") == []
    assert await changes(api, session) == []


async def names(follower: Subscription, sandbox: Sandbox) -> list[str]:
    """Return the names that a follower hears of."""
    return [event["path"].rpartition("/")[2] for event in await follower.changes(sandbox)]


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A sandbox of its own with a watched directory."""
    backend = backend_for((await probe(Isolation.NAMESPACES)).isolation, Orphans(tmp_path / "o"))
    async with await backend.start(SandboxSpec(tmp_path / "root", private_uid("s"))) as sandbox:
        await sandbox.make_directory("/tmp/w")
        yield sandbox
    await backend.close()


async def ask(memory: ToolState, sandbox: Sandbox) -> list[str]:
    """Ask as the tool does, and return the names that are answered."""
    place: Any = SimpleNamespace(memory=memory, sandbox=sandbox)
    text = await get_file_change(place, Arguments("get_file_change", {"path": "/tmp/w"}))
    return [event["path"].rpartition("/")[2] for event in json.loads(text)]


async def test_a_follower_that_asks_once_what_it_missed_hears_nothing_twice(
    sandbox: Sandbox,
) -> None:
    """Neither what it was told before it asked, nor what the answer told, nor what came later."""
    memory = ToolState()
    assert await ask(memory, sandbox) == []
    await sandbox.make_directory("/tmp/w/before")
    follower = await subscribe(memory, sandbox, "/tmp/w/")
    assert await ask(memory, sandbox) == ["before"]
    await sandbox.make_directory("/tmp/w/after")
    assert await names(follower, sandbox) == ["after"]
    assert await ask(memory, sandbox) == []


async def test_what_others_ask_for_is_heard_by_those_who_follow(sandbox: Sandbox) -> None:
    """So that a question of one cannot take it from another."""
    memory = ToolState()
    follower = await subscribe(memory, sandbox, "/tmp/w")
    assert await ask(memory, sandbox) == []
    await sandbox.make_directory("/tmp/w/new")
    assert await ask(memory, sandbox) == ["new"]
    assert await names(follower, sandbox) == ["new"]


async def test_where_several_may_be_asking_all_of_them_hear(sandbox: Sandbox) -> None:
    """Rather twice than never."""
    memory = ToolState()
    first, second = [await subscribe(memory, sandbox, "/tmp/w") for _ in range(2)]
    await sandbox.make_directory("/tmp/w/new")
    assert await ask(memory, sandbox) == ["new"]
    assert await names(first, sandbox) == ["new"]
    assert await names(second, sandbox) == ["new"]
    second.leave()
    await sandbox.make_directory("/tmp/w/other")
    assert await names(first, sandbox) == ["other"]
    second.leave()
    assert await second.changes(sandbox) == []
