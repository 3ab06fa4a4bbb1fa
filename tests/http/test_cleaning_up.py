"""Clean-up of abandoned sessions, also by a failing service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import ConnectionLostError

if TYPE_CHECKING:
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay


async def test_a_failed_delete_is_repeated(bay: AsyncAgentBay, service: FakeService) -> None:
    """After the block nobody holds the session."""
    async with bay.session():
        service.trouble("DeleteSessionAsync", *["unread"] * 9)
    assert service.sessions == {}


async def test_a_failed_upload_is_logged_beside_the_error_of_the_block(
    bay: AsyncAgentBay, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """The session stays so that its files can be saved, and the log names it."""

    async def work() -> None:
        async with bay.session(sync_context=True):
            service.arrive = False
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await work()
    assert list(service.sessions) == ["s-1"]
    assert "s-1" in caplog.text


async def test_a_delete_that_never_succeeds_is_reported(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """The wait is limited, and the error names the session."""

    async def work() -> None:
        async with bay.session():
            service.trouble("DeleteSessionAsync", *["unread"] * 99)

    with pytest.raises(ConnectionLostError) as caught:
        await work()
    assert caught.value.session_id == "s-1"
    assert 8 < scripted.actions.count("DeleteSessionAsync") < 40
    assert list(service.sessions) == ["s-1"]
