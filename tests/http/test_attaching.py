"""Contexts of a session: given at its creation, or bound later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    ContextBinding,
    ContextSync,
    ContextSyncError,
    CreateSessionParams,
    DownloadPolicy,
    InvalidArgumentError,
    SyncPolicy,
)
from agentbay_async._protocol.policy import policy_from_text

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession


def _download(context: str, status: str = "Success") -> dict[str, Any]:
    place = {"contextId": context, "path": f"/{context}", "taskType": "download"}
    return {**place, "status": status}


@pytest.fixture
def binding(scripted: Script, session: AsyncSession) -> Script:
    """Return a service that binds contexts to a session."""
    scripted.ok("BindContexts")
    return scripted


async def test_bindings_are_listed(session: AsyncSession, scripted: Script) -> None:
    """Each with its policy as on the wire."""
    entry = {"ContextName": "data", "Policy": {"a": 1}, "BindTime": "2025-01-01"}
    scripted.ok("DescribeSessionContexts", [{"ContextId": "c-1", "Path": "/a", **entry}, {}])
    assert (await session.context.list_bindings()).bindings == [
        ContextBinding("c-1", "data", "/a", '{"a":1}', "2025-01-01"),
        ContextBinding(),
    ]


async def test_bind_sends_and_waits_for_the_files(session: AsyncSession, binding: Script) -> None:
    """The receipt proves that the files have arrived."""
    binding.tasks([], [_download("c-3")])
    policy = SyncPolicy(download_policy=DownloadPolicy(auto_download=True))
    result = await session.context.bind(ContextSync("c-3", "/c", policy))
    assert [task.context_id for task in result.receipt.tasks] == ["c-3"]
    (form,) = binding.forms("BindContexts")
    (entry,) = json.loads(form["PersistenceDataList"])
    assert (entry["ContextId"], entry["Path"]) == ("c-3", "/c")
    assert policy_from_text(entry["Policy"]) == policy


@pytest.mark.parametrize("reason", ["wait_for_completion", "auto_download", "sync flag"])
async def test_bind_does_not_wait_without_a_download(
    session: AsyncSession, binding: Script, clock: InstantClock, reason: str
) -> None:
    """If the caller did not ask for it, or the policy downloads nothing."""
    binding.tasks([])
    policy = SyncPolicy(download_policy=DownloadPolicy(auto_download=reason != "auto_download"))
    sync = ContextSync("c-3", "/c", policy, wait_for_completion=reason != "sync flag")
    result = await session.context.bind(sync, wait_for_completion=reason != "wait_for_completion")
    assert result.receipt.tasks == ()
    assert clock.sleeps == []


async def test_bind_with_a_failed_download_fails(session: AsyncSession, binding: Script) -> None:
    """The caller asked for a context with its files."""
    binding.tasks([], [_download("c-3", "Failed")])
    result = await session.context.bind(ContextSync("c-3", "/c"))
    assert isinstance(result.error, ContextSyncError)


@pytest.mark.parametrize(
    ("contexts", "kind"), [((), InvalidArgumentError), (("c-1",), ArgumentTypeError)]
)
async def test_bind_needs_a_context_sync(
    session: AsyncSession, scripted: Script, contexts: Any, kind: type[Exception]
) -> None:
    """Nothing, or an id, is an error."""
    with pytest.raises(kind, match="contexts"):
        await session.context.bind(*contexts)
    assert scripted.requests == []


def _created(scripted: Script) -> None:
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})


async def test_create_sends_its_contexts_and_waits_for_their_files(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The files are there when create returns."""
    _created(scripted)
    scripted.tasks([], [_download("c-1", "Running")], [_download("c-1")])
    syncs = [
        ContextSync("c-1", "/a"),
        ContextSync("c-2", "/b", SyncPolicy.default(), wait_for_completion=False),
    ]
    (await bay.create(CreateSessionParams(context_syncs=syncs))).unwrap()
    (form,) = scripted.forms("CreateMcpSession")
    first, second = json.loads(form["PersistenceDataList"])
    assert first == {"ContextId": "c-1", "Path": "/a"}
    assert policy_from_text(second.pop("Policy")) == SyncPolicy.default()
    assert second == {"ContextId": "c-2", "Path": "/b"}
    assert scripted.actions.count("GetContextInfo") == 3
    assert "DeleteSessionAsync" not in scripted.actions


@pytest.mark.parametrize(
    "tasks",
    [
        pytest.param([_download("c-1", "Failed")], id="failed"),
        pytest.param([_download("c-1", "Running")], id="unfinished"),
    ],
)
async def test_create_fails_when_the_files_do_not_arrive(
    bay: AsyncAgentBay, scripted: Script, tasks: list[dict[str, Any]]
) -> None:
    """The result is a failure, and the session is deleted."""
    _created(scripted)
    scripted.tasks(tasks)
    params = CreateSessionParams(context_syncs=[ContextSync("c-1", "/a")])
    result = await bay.create(params)
    assert isinstance(result.error, ContextSyncError)
    assert result.error.session_id == result.session_id == "s-1"
    assert scripted.forms("DeleteSessionAsync") == [{"SessionId": "s-1"}]


async def test_create_succeeds_without_a_listed_download(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The service often lists none for an empty context."""
    _created(scripted)
    scripted.tasks([])
    params = CreateSessionParams(context_syncs=[ContextSync("c-1", "/a")])
    assert (await bay.create(params)).session.session_id == "s-1"
    assert "DeleteSessionAsync" not in scripted.actions


async def test_keep_on_failure_keeps_the_session(bay: AsyncAgentBay, scripted: Script) -> None:
    """The result is a failure nevertheless; it has the id of the session."""
    _created(scripted)
    scripted.tasks([_download("c-1", "Failed")])
    syncs = [ContextSync("c-1", "/a")]
    result = await bay.create(CreateSessionParams(context_syncs=syncs, keep_on_failure=True))
    assert isinstance(result.error, ContextSyncError)
    assert result.session_id == "s-1"
    assert "DeleteSessionAsync" not in scripted.actions


async def test_create_logs_a_session_that_could_not_be_deleted(
    bay: AsyncAgentBay, scripted: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The result keeps the first error."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.fail("GetContextInfo", "Some.Code")
    scripted.fail("DeleteSessionAsync", "Other.Code")
    result = await bay.create(CreateSessionParams(context_syncs=[ContextSync("c-1", "/a")]))
    assert result.code == "Some.Code"
    assert "s-1" in caplog.text
