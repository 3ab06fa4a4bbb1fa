"""Sessions that ended, clients that were closed, and uploads that broke off."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AsyncAgentBay,
    ClosedError,
    ContextSync,
    CreateSessionParams,
    SessionNotFoundError,
)
from agentbay_local.testing.fault_actions import Drop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_local import LocalService
    from agentbay_local.testing.faults import Call


@pytest.fixture
async def bay(service: LocalService) -> AsyncIterator[AsyncAgentBay]:
    """Give a client of it."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        yield bay


async def test_a_direct_call_of_a_deleted_session_fails_like_any_other(
    service: LocalService, bay: AsyncAgentBay
) -> None:
    """With the same type and the same reason as a call through the API."""
    direct = (await bay.create()).unwrap()
    other = (await bay.get(direct.session_id)).unwrap()
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as other_client:
        (await other_client.delete(direct.session_id)).unwrap()
    assert direct._api.access[direct.session_id].server_for("shell", 0.0)
    errors = [(await direct.command.run("true")).error, (await other.info()).error]
    for error in errors:
        assert isinstance(error, SessionNotFoundError)
        assert (error.reason, error.end_reason) == ("released", "released by the client")


async def test_a_call_that_a_release_interrupts_fails_like_a_later_one(
    service: LocalService, bay: AsyncAgentBay
) -> None:
    """So does one that comes while the service still releases the session."""
    session = (await bay.create()).unwrap()
    other = (await bay.get(session.session_id)).unwrap()
    running = asyncio.create_task(session.command.run("echo > /tmp/started; sleep 600"))
    (await other.command.run("until [ -e /tmp/started ]; do sleep 0.02; done")).unwrap()
    service.transitions.manual("delete")
    deletion = asyncio.create_task(other.delete())
    try:
        while (await other.get_status()).status != "DELETING":
            pass
        errors = [(await session.command.run("true")).error]
    finally:
        service.transitions.finish("delete")
        service.transitions.reset()
    (await asyncio.wait_for(deletion, 30)).unwrap()
    errors += [(await asyncio.wait_for(running, 30)).error]
    errors += [(await session.command.run("true")).error]
    for error in errors:
        assert isinstance(error, SessionNotFoundError)
        assert (error.reason, error.end_reason) == ("released", "released by the client")


async def test_a_closed_client_says_so_wherever_it_is_used(bay: AsyncAgentBay) -> None:
    """Before anything is sent, with the cure."""
    session = (await bay.create()).unwrap()
    changes: Any = session.file_system.watch("/tmp")
    (await session.delete()).unwrap()
    await bay.aclose()

    async def enter() -> None:
        async with bay:
            pass

    async def enter_session() -> None:
        async with bay.session():
            pass

    async def watch() -> None:
        async with aclosing(changes):
            await anext(changes)

    for use in (enter, enter_session, watch, session.pty.create, session.pty.list):
        with pytest.raises(ClosedError, match="Make a new one"):
            await use()


async def test_the_rest_of_an_interrupted_upload_reaches_no_context(
    service: LocalService, bay: AsyncAgentBay
) -> None:
    """Neither by a sync nor by the release; the files beside it do."""
    context = (await bay.context.get(f"parts-{uuid.uuid4().hex}", create=True)).unwrap()
    params = CreateSessionParams(context_syncs=[ContextSync(context.id, "/mnt/data")])
    list_parts = "find /mnt/data -name '.agentbay-*.part*'"
    writes = 0

    def breaks_off(call: Call) -> bool:
        nonlocal writes
        writes += call.form.get("Name") in ("write_file", "shell")
        return writes > 1

    async with bay.session(params) as session:
        (await session.file_system.write_file("/mnt/data/whole", "x")).unwrap()
        service.faults.add(Drop(reset=True), when=breaks_off)
        try:
            result = await session.file_system.write_file("/mnt/data/large", b"y" * (9 << 20))
        finally:
            service.faults.clear()
        assert not result.success
        assert ".part" in (await session.command.run(list_parts)).stdout
        (await session.context.sync()).unwrap()
        files = (await bay.context.list_files(context.id, "/")).unwrap()
        assert [file.file_name for file in files.entries] == ["whole"]
    async with bay.session(params) as again:
        assert (await again.command.run("ls -A /mnt/data")).stdout == "whole\n"
