"""Clean-up of abandoned sessions, also by a failing service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import ConnectionLostError, ContextSync, CreateSessionParams
from agentbay_local import Drop, FailTask

if TYPE_CHECKING:
    from agentbay_async import AsyncAgentBay
    from agentbay_local import LocalService


async def test_a_failed_delete_is_repeated(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """After the block nobody holds the session."""
    async with local_bay.session():
        local_service.faults.add(Drop(), "DeleteSessionAsync", times=9)
    assert local_service.living() == {}


async def test_a_failed_upload_is_logged_beside_the_error_of_the_block(
    local_bay: AsyncAgentBay, local_service: LocalService, caplog: pytest.LogCaptureFixture
) -> None:
    """The session stays so that its files can be saved, and the log names it."""
    context = (await local_bay.context.get("notes", create=True)).context
    files = CreateSessionParams(context_syncs=[ContextSync(context.id, "/a")])

    async def work() -> None:
        async with local_bay.session(files, sync_context=True):
            local_service.faults.add(FailTask(), "upload")
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await work()
    (session_id,) = local_service.living()
    assert session_id in caplog.text


async def test_a_delete_that_never_succeeds_is_reported(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """The wait is limited, and the error names the session."""

    async def work() -> None:
        async with local_bay.session():
            local_service.faults.add(Drop(), "DeleteSessionAsync")

    with pytest.raises(ConnectionLostError) as caught:
        await work()
    assert list(local_service.living()) == [caught.value.session_id]
    assert 8 < len(local_service.journal.find("DeleteSessionAsync")) < 40
