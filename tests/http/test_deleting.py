"""Delete a session: the wait, idempotence, and the upload of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import (
    ContextSyncError,
    OperationTimeoutError,
    SyncUnknownError,
)

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_GONE = "InvalidMcpSession.NotFound"


@pytest.mark.parametrize("status", ["FINISH", "DELETED"])
async def test_delete_waits_for_a_final_state(
    session: AsyncSession, scripted: Script, status: str
) -> None:
    """Both final states end the wait."""
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": status})
    assert (await session.delete()).success
    assert len(scripted.requests) == 2


async def test_a_session_that_is_not_found_is_deleted_whatever_the_code(
    session: AsyncSession, scripted: Script
) -> None:
    """The look-up after a delete may answer with another code than the documented one."""
    scripted.ok("DeleteSessionAsync")
    scripted.fail("GetSessionDetail", "InvalidParameter", "The session s-1 is not found.")
    assert (await session.delete()).success


async def test_another_refusal_of_the_look_up_is_a_failure(
    session: AsyncSession, scripted: Script
) -> None:
    """It does not tell whether the session is gone."""
    scripted.ok("DeleteSessionAsync")
    scripted.fail("GetSessionDetail", "InvalidParameter", "The session id is malformed.")
    assert not (await session.delete()).success


async def test_deleting_a_missing_session_is_a_success(
    session: AsyncSession, scripted: Script
) -> None:
    """The caller wanted it gone."""
    scripted.fail("DeleteSessionAsync", _GONE)
    result = await session.delete()
    assert result.success
    assert result.request_id == "REQ-DeleteSessionAsync"


async def test_delete_times_out(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """A release that never ends is a failed result."""
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "DELETING"})
    result = await session.delete(timeout=20)
    assert isinstance(result.error, OperationTimeoutError)
    assert "release of s-1" in result.error_message
    assert sum(clock.sleeps) == pytest.approx(20)


def _upload(scripted: Script, status: str) -> None:
    """Script a session with one context whose next upload ends as given."""
    scripted.ok("SyncContext")
    scripted.ok("DescribeSessionContexts", [{"ContextId": "c-1", "Path": "/mnt"}])
    task = {"contextId": "c-1", "path": "/mnt", "taskType": "upload", "status": status}
    scripted.tasks([], [task])
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})


async def test_delete_uploads_first_when_asked_to(session: AsyncSession, scripted: Script) -> None:
    """The release is sent only after the files have arrived."""
    _upload(scripted, "Success")
    assert (await session.delete(sync_context=True)).success
    assert scripted.forms("SyncContext") == [{"SessionId": "s-1", "Mode": "upload"}]
    assert scripted.actions[-2:] == ["DeleteSessionAsync", "GetSessionDetail"]


async def test_delete_stops_when_the_upload_failed(session: AsyncSession, scripted: Script) -> None:
    """The files are not lost; the error says how to force it."""
    _upload(scripted, "Failed")
    result = await session.delete(sync_context=True)
    assert isinstance(result.error, ContextSyncError)
    assert isinstance(result.error.__cause__, ContextSyncError)
    assert "force=True" in result.error_message
    assert result.error.session_id == "s-1"
    assert "DeleteSessionAsync" not in scripted.actions


async def test_forced_delete_continues_after_a_failed_upload(
    session: AsyncSession, scripted: Script
) -> None:
    """The caller accepts the loss of the files."""
    _upload(scripted, "Failed")
    assert (await session.delete(sync_context=True, force=True)).success
    assert "DeleteSessionAsync" in scripted.actions


async def test_delete_with_upload_of_a_missing_session_is_unknown(
    session: AsyncSession, scripted: Script
) -> None:
    """The error says so, and how to continue."""
    scripted.fail("GetContextInfo", _GONE)
    result = await session.delete(sync_context=True)
    assert isinstance(result.error, SyncUnknownError)
    assert "s-1 is already gone" in result.error_message
    assert "force=True" in (result.error.hint or "")


async def test_forced_delete_with_upload_of_a_missing_session_succeeds(
    session: AsyncSession, scripted: Script
) -> None:
    """The caller accepts the loss of the files."""
    scripted.fail("GetContextInfo", _GONE)
    scripted.fail("DeleteSessionAsync", _GONE)
    assert (await session.delete(sync_context=True, force=True)).success


async def test_delete_with_upload_needs_no_listed_task(
    session: AsyncSession, scripted: Script
) -> None:
    """A live session without a listed task is deleted."""
    scripted.ok("SyncContext")
    scripted.ok("DescribeSessionContexts", [{"ContextId": "c-1", "Path": "/mnt"}])
    scripted.tasks([])
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})
    assert (await session.delete(sync_context=True)).success
    assert "DeleteSessionAsync" in scripted.actions
