"""``async with bay.session()``: the session is always deleted at the end of the block."""

from __future__ import annotations

import asyncio
import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING

import anyio
import pytest

from agentbay_async import (
    APIError,
    AsyncAgentBay,
    AuthenticationError,
    ContextSync,
    ContextSyncError,
    CreateSessionParams,
)
from agentbay_async._lifecycle import unheld

if TYPE_CHECKING:
    from tests.http.scripted import Script


@pytest.fixture(autouse=True)
def _service(scripted: Script) -> None:
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})


async def test_the_session_lives_as_long_as_the_block(bay: AsyncAgentBay, scripted: Script) -> None:
    """Created before, deleted after, with a wait for the end."""
    async with bay.session(CreateSessionParams(image_id="code_latest")) as session:
        assert session.session_id == "s-1"
        assert scripted.actions == ["CreateMcpSession"]
    assert scripted.actions == ["CreateMcpSession", "DeleteSessionAsync", "GetSessionDetail"]
    assert scripted.forms("CreateMcpSession")[0]["ImageId"] == "code_latest"


async def test_a_service_is_enough_to_delete_its_session(
    bay: AsyncAgentBay, caplog: pytest.LogCaptureFixture
) -> None:
    """A program may keep ``session.command`` only; its session counts as one that it has."""
    command = (await bay.create()).session.command
    gc.collect()
    assert "s-1" not in unheld.sessions
    assert "s-1" in unheld.created
    assert await command.session.delete()
    assert "s-1" not in unheld.created
    await bay.aclose()
    assert not caplog.records


async def test_a_block_that_fails_keeps_its_error(bay: AsyncAgentBay, scripted: Script) -> None:
    """The session is deleted, and the error of the block is raised."""
    with pytest.raises(LookupError, match="of the block"):
        async with bay.session():
            raise LookupError("of the block")
    assert "DeleteSessionAsync" in scripted.actions


async def test_a_block_that_fails_keeps_its_error_when_the_delete_fails_too(
    bay: AsyncAgentBay, scripted: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the second error and the remaining session."""
    scripted.clear()
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.fail("DeleteSessionAsync", "Some.Code")
    with pytest.raises(LookupError, match="of the block"):
        async with bay.session():
            raise LookupError("of the block")
    assert "s-1" in caplog.text
    assert "could not be deleted" in caplog.text
    assert scripted.actions.count("DeleteSessionAsync") == 1


async def test_a_block_that_closes_the_client_and_fails_keeps_its_error(
    bay: AsyncAgentBay,
) -> None:
    """The error of the block is raised although nothing can be sent."""

    async def work() -> None:
        async with bay.session():
            await bay.aclose()
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await work()


async def test_a_cancelled_block_deletes_the_session(bay: AsyncAgentBay, scripted: Script) -> None:
    """The task ends only after its session."""

    async def work() -> None:
        async with bay.session():
            entered.set()
            await asyncio.Event().wait()

    entered = asyncio.Event()
    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.actions[-2:] == ["DeleteSessionAsync", "GetSessionDetail"]


async def test_a_block_that_runs_out_of_time_deletes_the_session(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """A cancel scope around the block does not interrupt the clean-up."""
    with anyio.move_on_after(0) as scope:
        async with bay.session():
            pytest.fail("nothing is created in a scope that is over")
    assert scope.cancelled_caught
    with anyio.move_on_after(30) as scope:
        async with bay.session():
            scope.deadline = anyio.current_time()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert scripted.actions[-2:] == ["DeleteSessionAsync", "GetSessionDetail"]


async def test_a_cancel_during_the_create_deletes_the_session(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The service creates it nevertheless."""
    scripted.clear()
    gate = asyncio.Event()
    scripted.ok_after("CreateMcpSession", gate, {"SessionId": "s-1"})
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})
    task = asyncio.create_task(bay.create())
    await scripted.arrival("CreateMcpSession")
    task.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.actions == ["CreateMcpSession", "DeleteSessionAsync", "GetSessionDetail"]


async def test_a_cancel_while_files_arrive_deletes_the_session(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The caller never receives the session."""
    scripted.hang("GetContextInfo")
    params = CreateSessionParams(context_syncs=[ContextSync("c-1", "/a")])
    task = asyncio.create_task(bay.create(params))
    await scripted.arrival("GetContextInfo")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.forms("DeleteSessionAsync") == [{"SessionId": "s-1"}]


async def test_a_cancel_while_files_are_saved_deletes_the_session(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Also a cancel after the block, before the delete is sent."""
    scripted.hang("GetContextInfo")

    async def work() -> None:
        async with bay.session(sync_context=True):
            pass

    task = asyncio.create_task(work())
    await scripted.arrival("GetContextInfo")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.forms("DeleteSessionAsync") == [{"SessionId": "s-1"}]


async def test_a_second_cancel_does_not_break_the_clean_up(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """As with a second Ctrl-C."""
    gate = asyncio.Event()
    scripted.ok_after("DeleteSessionAsync", gate)

    async def work() -> None:
        async with bay.session():
            entered.set()
            await asyncio.Event().wait()

    entered = asyncio.Event()
    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    await scripted.arrival("DeleteSessionAsync")
    task.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.actions[-1] == "GetSessionDetail"


async def test_a_session_that_cannot_be_created_raises(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The block does not run, and nothing is deleted."""
    scripted.clear()
    scripted.fail("CreateMcpSession", "NOT_LOGIN")
    with pytest.raises(AuthenticationError):
        async with bay.session():
            pytest.fail("there is no session")
    assert scripted.actions == ["CreateMcpSession"]


async def test_a_session_that_cannot_be_deleted_raises_after_a_good_block(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """A remaining session costs money."""
    scripted.clear()
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.fail("DeleteSessionAsync", "Some.Code")
    with pytest.raises(APIError):
        async with bay.session():
            pass


@pytest.mark.parametrize("status", ["Success", "Failed"])
async def test_the_files_are_saved_at_the_end_on_request(
    bay: AsyncAgentBay, scripted: Script, status: str
) -> None:
    """If that fails, the session stays and the error says so."""
    task = {"contextId": "c-1", "path": "/a", "taskType": "upload", "status": status}
    scripted.ok("SyncContext")
    scripted.ok("DescribeSessionContexts", [{"ContextId": "c-1", "Path": "/a"}])
    scripted.tasks([], [task])
    refusal = pytest.raises(ContextSyncError) if status == "Failed" else nullcontext()
    with refusal:
        async with bay.session(sync_context=True):
            pass
    assert ("DeleteSessionAsync" in scripted.actions) == (status == "Success")
