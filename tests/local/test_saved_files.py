"""``sync_context=True``: a success means that the files are in their contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread

from agentbay_async import (
    AsyncAgentBay,
    AsyncSession,
    ContextSync,
    CreateSessionParams,
    LifecyclePolicy,
    SyncPolicy,
    SyncUnknownError,
    UploadPolicy,
)
from agentbay_local import LocalService, ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("sandboxed")


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that advances by itself and can be moved."""
    return ManualClock(auto=True)


@pytest.fixture
async def restartable(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalService]:
    """Return a service that a test may kill and restart."""
    async with LocalService(home=tmp_path / "home", clock=clock) as service:
        yield service


@pytest.fixture
async def bay(restartable: LocalService) -> AsyncIterator[AsyncAgentBay]:
    """Return a client of that service."""
    async with AsyncAgentBay(
        restartable.api_key, endpoint=restartable.endpoint, clock=restartable.clock
    ) as one:
        yield one


async def _params(bay: AsyncAgentBay, *, auto_upload: bool = True) -> CreateSessionParams:
    context = (await bay.context.get("work", create=True)).context
    policy = SyncPolicy(upload_policy=UploadPolicy(auto_upload=auto_upload))
    return CreateSessionParams(
        context_syncs=[ContextSync.new(context.id, "/mnt/data", policy)],
        lifecycle_policy=LifecyclePolicy(idle_release_timeout=1, max_runtime=60),
    )


async def _write(session: AsyncSession, text: str = "precious") -> None:
    assert (await session.file_system.write_file("/mnt/data/note", text)).success


def _is_unknown(result: Any) -> bool:
    return isinstance(result.error, SyncUnknownError)


async def _end(bay: AsyncAgentBay, restartable: LocalService, session: AsyncSession) -> None:
    """Delete a session as another client would."""
    async with AsyncAgentBay(
        restartable.api_key, endpoint=restartable.endpoint, clock=restartable.clock
    ) as other:
        assert (await other.delete(session.session_id)).success


async def test_a_session_deleted_by_another_client_is_not_a_success(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """This client does not know whether it was uploaded."""
    session = (await bay.create(await _params(bay))).session
    await _write(session)
    await _end(bay, restartable, session)
    assert _is_unknown(await session.delete(sync_context=True))
    assert _is_unknown(await bay.delete(session.session_id, sync_context=True))
    assert (await session.delete(sync_context=True, force=True)).success


async def test_an_expired_session_is_not_a_success(
    bay: AsyncAgentBay, restartable: LocalService, clock: ManualClock
) -> None:
    """Without ``auto_upload`` its files are lost; the error has the reason."""
    session = (await bay.create(await _params(bay, auto_upload=False))).session
    await _write(session)
    await clock.aadvance(120)
    result = await session.delete(sync_context=True)
    assert _is_unknown(result)
    assert "expired" in result.error_message


async def test_a_block_whose_session_vanished_raises(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """The block must not seem to have succeeded."""

    async def block() -> None:
        async with bay.session(await _params(bay), sync_context=True) as session:
            await _write(session)
            await _end(bay, restartable, session)

    with pytest.raises(SyncUnknownError):
        await block()


async def test_a_block_whose_session_vanished_succeeds_when_forced(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """The caller accepts the loss of files."""
    async with bay.session(await _params(bay), sync_context=True, force=True) as session:
        await _end(bay, restartable, session)


async def test_an_error_in_a_block_is_not_replaced_when_its_session_vanished(
    bay: AsyncAgentBay, restartable: LocalService, caplog: pytest.LogCaptureFixture
) -> None:
    """The unknown state of the files is logged."""

    async def block() -> None:
        async with bay.session(await _params(bay), sync_context=True) as session:
            await _write(session)
            await _end(bay, restartable, session)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await block()
    assert "unknown whether its files were saved" in caplog.text


async def test_delete_many_reports_sessions_with_unknown_files(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """A live session is saved and deleted; the other one is a typed failure."""
    alive = (await bay.create(await _params(bay))).session
    gone = (await bay.create(await _params(bay))).session
    for session in (alive, gone):
        await _write(session)
    await _end(bay, restartable, gone)
    result = await bay.delete_many([alive, gone], sync_context=True)
    assert result.outcomes[0].success
    assert _is_unknown(result.outcomes[1])


async def test_a_restart_before_the_delete_is_not_a_success(tmp_path: Path) -> None:
    """Sandboxes end with their service, and files that were not uploaded are lost."""
    first = LocalService(home=tmp_path / "home", api_key="akm-restart")
    await to_thread.run_sync(first.start)
    endpoint = first.endpoint
    async with AsyncAgentBay("akm-restart", endpoint=endpoint) as bay:
        session = (await bay.create(await _params(bay, auto_upload=False))).session
        await _write(session)
        await to_thread.run_sync(first.stop)
        port = int(endpoint.rpartition(":")[2])
        async with LocalService(home=tmp_path / "home", api_key="akm-restart", port=port):
            assert _is_unknown(await session.delete(sync_context=True))


async def test_a_confirmed_upload_with_nothing_written_since_is_a_success(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """This client knows that everything is saved, although the session is gone."""
    session = (await bay.create(await _params(bay))).session
    await _write(session)
    assert (await session.context.sync()).receipt.confirmed
    assert (await session.file_system.read_file("/mnt/data/note")).success
    await _end(bay, restartable, session)
    assert (await session.delete(sync_context=True)).success


async def test_a_write_after_a_confirmed_upload_makes_it_unknown_again(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """The upload did not include it."""
    session = (await bay.create(await _params(bay))).session
    await _write(session)
    assert (await session.context.sync()).receipt.confirmed
    await _write(session, "newer")
    await _end(bay, restartable, session)
    assert _is_unknown(await session.delete(sync_context=True))


async def test_a_second_delete_with_upload_is_a_success(bay: AsyncAgentBay) -> None:
    """The first one saved the files."""
    session = (await bay.create(await _params(bay))).session
    await _write(session)
    assert (await session.delete(sync_context=True)).success
    assert (await session.delete(sync_context=True)).success


async def test_a_session_without_contexts_has_nothing_to_lose(
    bay: AsyncAgentBay, restartable: LocalService
) -> None:
    """This client created it without any, and bound none."""
    session = (await bay.create()).session
    await _end(bay, restartable, session)
    assert (await session.delete(sync_context=True)).success
