"""``session.context``: sync and info."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentBayError,
    ArgumentTypeError,
    AuthenticationError,
    Config,
    ContextStatusData,
    ContextSync,
    ContextSyncError,
    InvalidArgumentError,
    SyncFailedError,
    SyncMissingError,
    SyncTimeoutError,
    session_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_BINDINGS = [{"ContextId": "c-1", "Path": "/a"}, {"ContextId": "c-2", "Path": "/b"}]


def _task(
    context: str = "c-1", status: str = "Success", kind: str = "upload", start: int = 1, **more: Any
) -> dict[str, Any]:
    place = {"contextId": context, "path": f"/{context}", "taskType": kind}
    return {**place, "status": status, "startTime": start, **more}


@pytest.fixture
def syncing(scripted: Script, session: AsyncSession) -> Script:
    """Return a service that accepts syncs for a session with two contexts."""
    scripted.ok("SyncContext")
    scripted.ok("BindContexts")
    scripted.ok("DescribeSessionContexts", _BINDINGS)
    return scripted


async def test_sync_returns_a_receipt(session: AsyncSession, syncing: Script) -> None:
    """It has the finished task of every context of the session."""
    syncing.tasks([], [_task("c-1")], [_task("c-1"), _task("c-2", finishTime=9)])
    result = await session.context.sync()
    assert result.request_id == "REQ-SyncContext"
    assert [task.context_id for task in result.receipt.tasks] == ["c-1", "c-2"]
    assert result.receipt.tasks[1] == ContextStatusData(
        "c-2", "/c-2", status="Success", start_time=1, finish_time=9, task_type="upload"
    )
    assert syncing.forms("SyncContext") == [{"SessionId": "s-1"}]
    assert {one["TaskType"] for one in syncing.forms("GetContextInfo")} == {"upload"}


async def test_sync_of_one_context_waits_for_that_one(
    session: AsyncSession, syncing: Script
) -> None:
    """Id, path and direction are sent; other contexts are ignored."""
    syncing.tasks([], [_task("c-2", "Running", "download"), _task("c-1", kind="download")])
    result = await session.context.sync("c-1", "/a", "download")
    assert [task.context_id for task in result.receipt.tasks] == ["c-1"]
    assert syncing.forms("SyncContext") == [
        {"SessionId": "s-1", "ContextId": "c-1", "Path": "/a", "Mode": "download"}
    ]
    assert "DescribeSessionContexts" not in syncing.actions


async def test_sync_of_one_path_waits_for_its_context(
    session: AsyncSession, syncing: Script
) -> None:
    """The bindings of the session have the context of a path."""
    syncing.tasks([], [_task("c-2")])
    result = await session.context.sync(path="/b")
    assert [task.context_id for task in result.receipt.tasks] == ["c-2"]


async def test_a_receipt_has_bytes_files_and_duration(
    session: AsyncSession, syncing: Script, clock: InstantClock
) -> None:
    """If the service reports them; a sum with an unknown part is unknown."""
    one = {**_task("c-1", start=10), "finishTime": 13, "files": 2, "bytes": 100}
    two = {**_task("c-2", start=10), "files": 3, "bytes": 50}
    syncing.tasks([], [], [one, two], [], [one, {**two, "bytes": None}])
    receipt = (await session.context.sync()).receipt
    assert (receipt.files, receipt.size) == (5, 150)
    assert [task.duration for task in receipt.tasks] == [3, None]
    assert receipt.duration == pytest.approx(sum(clock.sleeps))
    again = (await session.context.sync()).receipt
    assert (again.files, again.size) == (5, None)


async def test_sync_without_contexts_is_empty(
    session: AsyncSession, syncing: Script, scripted: Script
) -> None:
    """An empty receipt, without a wait."""
    scripted.clear()
    scripted.ok("SyncContext")
    scripted.ok("DescribeSessionContexts", [])
    scripted.tasks([])
    assert (await session.context.sync()).receipt.tasks == ()


async def test_a_stale_task_never_counts(
    session: AsyncSession, syncing: Script, clock: InstantClock
) -> None:
    """An old success does not prove that the present files have arrived."""
    old = _task("c-1", start=1)
    syncing.tasks([old], [old], [old, _task("c-1", "Running", start=2)])
    syncing.tasks([old, _task("c-1", "Failed", start=2, errorMessage="disk full")])
    result = await session.context.sync("c-1")
    assert isinstance(result.error, ContextSyncError)
    assert "disk full" in result.error_message
    assert [(task.start_time, task.status) for task in result.error.tasks] == [(2, "Failed")]


async def test_equal_tasks_are_counted(session: AsyncSession, syncing: Script) -> None:
    """Times are whole seconds; the second of two equal tasks is the new one."""
    syncing.tasks([_task()], [_task()], [_task(), _task(status="Failed")])
    assert isinstance((await session.context.sync("c-1")).error, ContextSyncError)


async def test_a_failed_task_is_a_failed_sync(session: AsyncSession, syncing: Script) -> None:
    """One failure among successes fails the sync; the error has context, path and reason."""
    syncing.tasks([], [_task("c-1"), _task("c-2", "Failed", errorMessage="no space")])
    result = await session.context.sync()
    assert isinstance(result.error, SyncFailedError)
    assert "upload failed: c-2 at /c-2: no space" in result.error_message
    assert [task.context_id for task in result.error.tasks] == ["c-2"]
    assert result.error.session_id == "s-1"
    with pytest.raises(ContextSyncError):
        _ = result.receipt


async def test_a_failure_without_a_reason_is_still_a_failure(
    session: AsyncSession, syncing: Script
) -> None:
    """The service may omit it."""
    syncing.tasks([], [_task("c-1", "Failed")])
    assert "no reason given" in (await session.context.sync("c-1")).error_message


async def test_a_sync_without_a_listed_task_is_an_unconfirmed_success(
    session: AsyncSession, syncing: Script, clock: InstantClock
) -> None:
    """The service often lists none if there is nothing to do."""
    syncing.tasks([])
    receipt = (await session.context.sync("c-1")).receipt
    assert (receipt.tasks, receipt.confirmed) == ((), False)
    assert 5 < sum(clock.sleeps) < 8


async def test_a_strict_sync_without_a_listed_task_is_a_failure(
    session: AsyncSession, syncing: Script
) -> None:
    """For callers that need proof."""
    syncing.tasks([])
    result = await session.context.sync("c-1", strict=True)
    assert isinstance(result.error, SyncMissingError)
    assert "lists no upload of c-1" in result.error_message


async def test_strict_sync_of_the_client_is_the_default_of_calls(
    bays: Bays, syncing: Script
) -> None:
    """A call may override ``Config.strict_sync``."""
    bay = bays(cfg=Config(strict_sync=True, task_listing_timeout=1), timeout=None)
    syncing.ok("GetSession", {"SessionId": "s-1", "Status": "RUNNING"})
    session = (await bay.get("s-1")).session
    syncing.tasks([])
    assert isinstance((await session.context.sync("c-1")).error, SyncMissingError)
    assert not (await session.context.sync("c-1", strict=False)).receipt.confirmed


async def test_a_receipt_is_confirmed_by_a_new_task_of_every_context(
    session: AsyncSession, syncing: Script
) -> None:
    """A finished task from before the sync proves nothing."""
    syncing.tasks([], [_task("c-1"), _task("c-2")])
    assert (await session.context.sync()).receipt.confirmed
    syncing.tasks([_task("c-1"), _task("c-2")], [_task("c-1"), _task("c-2"), _task("c-2", start=7)])
    receipt = (await session.context.sync()).receipt
    assert [task.context_id for task in receipt.tasks] == ["c-2"]
    assert not receipt.confirmed


async def test_an_unfinished_task_is_polled(
    session: AsyncSession, syncing: Script, clock: InstantClock
) -> None:
    """The time limit for listing does not limit the transfer."""
    running = [[_task("c-1", "Running")]] * 20
    syncing.tasks([], *running, [_task("c-1")])
    assert (await session.context.sync("c-1")).receipt.confirmed
    assert sum(clock.sleeps) > 10


async def test_bind_without_a_listed_download_is_an_unconfirmed_success(
    session: AsyncSession, syncing: Script
) -> None:
    """An empty context has nothing to download."""
    syncing.tasks([])
    context = ContextSync("c-1", "/mnt/data")
    assert not (await session.context.bind(context)).receipt.confirmed
    result = await session.context.bind(context, strict=True)
    assert isinstance(result.error, SyncMissingError)


async def test_a_task_that_does_not_end_is_a_failure(
    session: AsyncSession, syncing: Script, clock: InstantClock
) -> None:
    """The wait ends at the timeout; the error names the unfinished task."""
    syncing.tasks([], [_task("c-1"), _task("c-2", "Running")])
    result = await session.context.sync(timeout=timedelta(seconds=20))
    assert isinstance(result.error, SyncTimeoutError)
    assert "c-2 at /c-2 did not finish within 20 s" in result.error_message
    assert {task.context_id for task in result.error.tasks} == {"c-1", "c-2"}
    assert sum(clock.sleeps) == pytest.approx(20)


async def test_a_timeout_before_any_task_was_listed_names_the_contexts(
    session: AsyncSession, syncing: Script
) -> None:
    """A timeout below the listing time of the service is a timeout."""
    syncing.tasks([])
    result = await session.context.sync("c-1", timeout=5)
    assert isinstance(result.error, SyncTimeoutError)
    assert "upload of c-1 did not finish within 5 s" in result.error_message


async def test_sync_is_not_retried_after_a_lost_answer(
    session: AsyncSession, syncing: Script, scripted: Script
) -> None:
    """The error is returned."""
    scripted.clear()
    scripted.tasks([])
    scripted.disconnect("SyncContext")
    assert not (await session.context.sync("c-1")).success
    assert scripted.actions.count("SyncContext") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"mode": "both"}, "mode"),
        ({"context_id": ""}, "context_id"),
        ({"context_id": "a b"}, "context_id"),
        ({"path": "relative"}, "path"),
        ({"path": "/a/../b"}, "path"),
        ({"timeout": 0}, "timeout"),
    ],
)
async def test_an_invalid_sync_is_rejected(
    session: AsyncSession, scripted: Script, arguments: dict[str, Any], named: str
) -> None:
    """Nothing is sent, not even the request for old tasks."""
    with pytest.raises(InvalidArgumentError, match=named):
        await session.context.sync(**arguments)
    assert scripted.requests == []


async def test_info_lists_the_tasks(session: AsyncSession, scripted: Script) -> None:
    """All of them, or those of a context, a path or a direction."""
    scripted.tasks([_task("c-1", "Running", errorMessage="slow")])
    result = await session.context.info("c-1", "/c-1", "upload")
    assert scripted.forms("GetContextInfo") == [
        {"SessionId": "s-1", "ContextId": "c-1", "Path": "/c-1", "TaskType": "upload"}
    ]
    (task,) = result.context_status_data
    assert (task.status, task.error_message, task.finished) == ("Running", "slow", False)


@pytest.mark.parametrize("data", [None, {}, {"ContextStatus": ""}, {"ContextStatus": "[]"}])
async def test_info_without_tasks_is_empty(
    session: AsyncSession, scripted: Script, data: object
) -> None:
    """For a session that never synchronised."""
    scripted.ok("GetContextInfo", data)
    assert (await session.context.info()).context_status_data == []


@pytest.mark.parametrize("text", ["no json", "{}", "[1]", '[{"type": "data", "data": "["}]', "5"])
async def test_a_malformed_list_of_tasks_is_empty_and_proves_nothing(
    session: AsyncSession, scripted: Script, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """The log says that it cannot be read; a sync is then not confirmed."""
    scripted.ok("SyncContext")
    scripted.ok("GetContextInfo", {"ContextStatus": text})
    assert (await session.context.info()).context_status_data == []
    assert "the tasks of s-1 cannot be read" in caplog.text
    receipt = (await session.context.sync("c-1", "/data")).unwrap()
    assert not receipt.confirmed


@pytest.mark.parametrize("word", ["Success", "SUCCESS", "Finished", "ok", "done", "completed"])
async def test_every_word_for_success_ends_a_wait(
    session: AsyncSession, scripted: Script, word: str
) -> None:
    """Images use different words."""
    task = {"contextId": "c-1", "path": "/data", "taskType": "upload", "status": word}
    scripted.ok("SyncContext")
    scripted.tasks([], [task])
    receipt = (await session.context.sync("c-1", "/data")).unwrap()
    assert receipt.confirmed
    assert receipt.tasks[0].status == word


@pytest.mark.parametrize("word", ["Failed", "FAILED", "error"])
async def test_every_word_for_failure_is_an_error(
    session: AsyncSession, scripted: Script, word: str
) -> None:
    """It must not be waited for."""
    task = {"contextId": "c-1", "path": "/data", "taskType": "upload", "status": word}
    scripted.ok("SyncContext")
    scripted.tasks([], [task])
    result = await session.context.sync("c-1", "/data")
    assert isinstance(result.error, SyncFailedError)


@pytest.mark.parametrize("argument", ["context_id", "path", "task_type"])
async def test_info_rejects_a_dict_instead_of_text(
    session: AsyncSession, scripted: Script, argument: str
) -> None:
    """Its repr would match nothing."""
    wrong: Any = {"id": "c-1"}
    with pytest.raises(ArgumentTypeError, match=argument):
        await session.context.info(**{argument: wrong})
    assert scripted.requests == []


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.context.sync(),
        lambda session: session.context.bind(ContextSync("c-1", "/a")),
    ],
)
@pytest.mark.parametrize("step", ["the look at old tasks", "the request itself"])
async def test_an_error_of_any_step_is_a_failed_result(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[AsyncSession], Any],
    step: str,
) -> None:
    """The result has the error of that step."""
    scripted.fail("SyncContext", "Some.Code")
    scripted.fail("BindContexts", "Some.Code")
    if step == "the request itself":
        scripted.tasks([])
    else:
        scripted.fail("GetContextInfo", "Some.Code")
    result = await call(session)
    assert isinstance(result.error, AgentBayError)
    assert result.code == "Some.Code"


async def test_a_sync_is_sent_with_the_key_in_the_query_if_the_gateway_misses_it(
    session: AsyncSession, scripted: Script
) -> None:
    """Official clients send it there. Later syncs go there at once, other actions never."""
    scripted.fail("SyncContext", "NOT_LOGIN")
    scripted.ok("SyncContext")
    scripted.tasks([], [_task("c-1")])
    assert (await session.context.sync("c-1")).success
    assert (await session.context.sync("c-1")).success
    syncs = [request for request in scripted.requests if request.action == "SyncContext"]
    assert ["Authorization" in request.query for request in syncs] == [False, True, True]
    with_key = {one.action for one in scripted.requests if "Authorization" in one.query}
    assert with_key == {"SyncContext"}


async def test_a_wrong_key_is_not_kept_in_the_query(
    session: AsyncSession, scripted: Script
) -> None:
    """It was refused in both places, so it is not where the gateway missed it."""
    scripted.fail("SyncContext", "NOT_LOGIN")
    scripted.tasks([])
    for _ in range(2):
        assert isinstance((await session.context.sync("c-1")).error, AuthenticationError)
    syncs = [request for request in scripted.requests if request.action == "SyncContext"]
    assert ["Authorization" in request.query for request in syncs] == [False, True] * 2


@pytest.mark.parametrize(
    ("looks", "pause", "seconds"), [(1, 1000, 1.0), (2, 1000, 2.1), (3, 5000, 15.0), (200, 1, 500)]
)
def test_the_looks_of_the_official_client_are_a_time_limit(
    looks: int, pause: int, seconds: float
) -> None:
    """Each pause is a tenth longer than the one before, up to five seconds."""
    limit = session_context._sync_limit(None, looks, pause)
    expected = sum(min(pause * 1.1**number, 5000) for number in range(looks)) / 1000
    assert limit == pytest.approx(expected)
    assert limit >= seconds


async def test_a_time_limit_and_looks_exclude_each_other(session: AsyncSession) -> None:
    """Either may be given alone."""
    with pytest.raises(InvalidArgumentError, match="max_retries"):
        await session.context.sync(max_retries=3, timeout=3)
    with pytest.raises(InvalidArgumentError, match="max_retries"):
        await session.context.sync(max_retries=0)
    assert session_context._sync_limit(None, None, None) == session_context.SYNC_TIMEOUT
    assert session_context._sync_limit(None, None, 1000) > 600
