"""What nobody holds any more is deleted, also by a service that is not well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import ConnectionLostError

if TYPE_CHECKING:
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay


async def test_a_service_that_is_not_well_is_asked_again_and_again(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """After the block nobody holds the session, so one failed delete is not the end."""
    async with bay.session():
        service.trouble("DeleteSessionAsync", *["unread"] * 9)
    assert service.sessions == {}


async def test_a_session_whose_files_could_not_be_saved_is_told_of_beside_the_error_of_the_block(
    bay: AsyncAgentBay, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left for whoever wants to save them, and the log names it."""

    async def work() -> None:
        async with bay.session(sync_context=True):
            service.arrive = False
            raise LookupError("of the block")

    with pytest.raises(LookupError, match="of the block"):
        await work()
    assert list(service.sessions) == ["s-1"]
    assert "s-1" in caplog.text


async def test_a_delete_that_never_gets_through_is_told(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """The wait is bounded, and the error says which session is left."""

    async def work() -> None:
        async with bay.session():
            service.trouble("DeleteSessionAsync", *["unread"] * 99)

    with pytest.raises(ConnectionLostError) as caught:
        await work()
    assert caught.value.session_id == "s-1"
    assert 8 < scripted.actions.count("DeleteSessionAsync") < 40
    assert list(service.sessions) == ["s-1"]
