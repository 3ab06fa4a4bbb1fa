"""File changes: the tool `get_file_change` and subscriptions."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.protocol.arguments import Arguments
from agentbay_local.sandbox.base import Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.host.orphans import Orphans
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import backend_for, probe
from agentbay_local.tools import watcher
from agentbay_local.tools.changes import get_file_change, subscribe
from agentbay_local.tools.tool_state import ToolState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.local.conftest import Api

    from agentbay_local.tools.watcher import Subscription

pytestmark = pytest.mark.usefixtures("sandboxed")


async def changes(api: Api, session: str, path: str = "/tmp/w") -> list[tuple[str, str, str]]:
    """Return the changes since the last call."""
    is_error, text = await api.tool(session, "get_file_change", path=path)
    assert not is_error, text
    return [(entry["eventType"], entry["path"], entry["pathType"]) for entry in json.loads(text)]


@pytest.fixture
async def session(api: Api) -> str:
    """Return a session with a watched directory that has a file."""
    session = await api.session()
    await api.sh(session, "mkdir -p /tmp/w/sub; echo old > /tmp/w/old")
    assert await changes(api, session) == []
    return session


async def test_files_that_exist_at_the_first_call_are_not_changes(api: Api, session: str) -> None:
    """A call without a change in between returns none."""
    assert await changes(api, session) == []


async def test_a_new_file_is_created_and_modified_an_old_one_only_modified(
    api: Api, session: str
) -> None:
    """Each change is reported once."""
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
    """A directory comes before its entries when created, and after them when deleted."""
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


async def test_a_file_that_is_replaced_is_modified(api: Api, session: str) -> None:
    """Even if size and time are the same."""
    await api.sh(session, "cd /tmp/w; cp -p old ../new; mv ../new old")
    assert await changes(api, session) == [("modify", "/tmp/w/old", "file")]


async def test_paths_are_normalized_and_independent(api: Api, session: str) -> None:
    """A trailing slash is ignored; each path has its own last call."""
    await api.sh(session, "touch /tmp/w/sub/x")
    assert await changes(api, session, "/tmp/w/sub") == []
    assert await changes(api, session, "/tmp//w/") == [("create", "/tmp/w/sub/x", "file")]


async def test_a_watched_directory_may_be_deleted_and_created_again(api: Api, session: str) -> None:
    """Both are ordinary changes."""
    await api.sh(session, "rm -r /tmp/w")
    assert ("delete", "/tmp/w", "directory") in await changes(api, session)
    await api.sh(session, "mkdir /tmp/w")
    assert await changes(api, session) == [("create", "/tmp/w", "directory")]


async def test_links_out_of_a_directory_are_not_followed(api: Api, session: str) -> None:
    """Their targets are not below it; a link to its own directory does no harm."""
    await api.sh(session, "ln -s / /tmp/w/root; ln -s . /tmp/w/self")
    assert await changes(api, session) == [
        ("create", "/tmp/w/root", "file"),
        ("modify", "/tmp/w/root", "file"),
        ("create", "/tmp/w/self", "file"),
        ("modify", "/tmp/w/self", "file"),
    ]


async def test_names_are_reported_unchanged(api: Api, session: str) -> None:
    """With line breaks and other alphabets."""
    await api.sh(session, "touch '/tmp/w/a\nb' /tmp/w/汉")
    assert [path for _, path, _ in await changes(api, session)] == ["/tmp/w/a\nb", "/tmp/w/汉"]


async def test_a_missing_path_cannot_be_watched(api: Api, session: str) -> None:
    """The error says that it does not exist."""
    is_error, text = await api.tool(session, "get_file_change", path="/tmp/nothing")
    assert is_error
    assert "No such file or directory" in text


async def test_the_least_recently_used_path_is_forgotten(api: Api, session: str) -> None:
    """Its next call counts as the first."""
    await api.sh(session, "cd /tmp; for i in $(seq 100); do mkdir n$i; done; touch w/x")
    for number in range(1, 101):
        assert await changes(api, session, f"/tmp/n{number}") == []
    assert await changes(api, session) == []


async def test_many_changes_are_compared_on_a_thread(
    api: Api, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service answers others meanwhile."""
    threads = set[threading.Thread]()
    whole = watcher._compare

    def noting(before: Any, after: Any) -> Any:
        threads.add(threading.current_thread())
        return whole(before, after)

    monkeypatch.setattr(watcher, "_compare", noting)
    await api.sh(session, "cd /tmp/w && seq 5000 | xargs touch")
    assert len(await changes(api, session)) == 5000
    assert len(threads) == 1
    assert all("asyncio_" in thread.name for thread in threads)


async def names(subscription: Subscription, sandbox: Sandbox) -> list[str]:
    """Return the names that a subscription receives."""
    events = await subscription.read_events(sandbox)
    return [event["path"].rpartition("/")[2] for event in events]


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Return a sandbox with a watched directory."""
    backend = backend_for((await probe(Isolation.NAMESPACES)).isolation, Orphans(tmp_path / "o"))
    async with await backend.start(
        SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))
    ) as sandbox:
        await sandbox.make_directory("/tmp/w")
        yield sandbox
    await backend.close()


async def call(state: ToolState, sandbox: Sandbox) -> list[str]:
    """Call the tool, and return the names of its answer."""
    context: Any = SimpleNamespace(state=state, sandbox=sandbox)
    text = await get_file_change(context, Arguments("get_file_change", {"path": "/tmp/w"}))
    return [event["path"].rpartition("/")[2] for event in json.loads(text)]


async def test_a_subscriber_that_catches_up_receives_no_change_twice(
    sandbox: Sandbox,
) -> None:
    """Not before the call, not by the call, and not after it."""
    state = ToolState()
    assert await call(state, sandbox) == []
    await sandbox.make_directory("/tmp/w/before")
    subscription = await subscribe(state, sandbox, "/tmp/w/")
    assert await call(state, sandbox) == ["before"]
    await sandbox.make_directory("/tmp/w/after")
    assert await names(subscription, sandbox) == ["after"]
    assert await call(state, sandbox) == []


async def test_the_changes_of_a_call_reach_the_subscriptions(sandbox: Sandbox) -> None:
    """A call of one client takes no change from another."""
    state = ToolState()
    subscription = await subscribe(state, sandbox, "/tmp/w")
    assert await call(state, sandbox) == []
    await sandbox.make_directory("/tmp/w/new")
    assert await call(state, sandbox) == ["new"]
    assert await names(subscription, sandbox) == ["new"]


async def test_several_subscribers_that_may_catch_up_receive_all_changes(
    sandbox: Sandbox,
) -> None:
    """A duplicate is better than a loss."""
    state = ToolState()
    first, second = [await subscribe(state, sandbox, "/tmp/w") for _ in range(2)]
    await sandbox.make_directory("/tmp/w/new")
    assert await call(state, sandbox) == ["new"]
    assert await names(first, sandbox) == ["new"]
    assert await names(second, sandbox) == ["new"]
    second.close()
    await sandbox.make_directory("/tmp/w/other")
    assert await names(first, sandbox) == ["other"]
    second.close()
    assert await second.read_events(sandbox) == []
