"""The session of an adapter is handed in, or made once, labelled, and deleted at the end."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agentbay import AgentBay
from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    ClosedError,
    ContextSync,
    CreateSessionParams,
    LifecyclePolicy,
)
from agentbay_integrations._sessions import BlockingSessionOwner, SessionOwner, session_params

if TYPE_CHECKING:
    from agentbay_local import LocalService


def test_labels_name_framework_and_run_and_a_killed_program_leaves_no_session_for_good():
    """What the caller wishes comes first; the caller's own object stays as it is."""
    given = CreateSessionParams(labels={"team": "x", "run": "mine"})

    made = session_params("smolagents", given, "theirs")

    assert made.labels == {"framework": "smolagents", "run": "mine", "team": "x"}
    assert made.framework == "smolagents"
    assert made.lifecycle_policy.max_runtime == 720
    assert given.labels == {"team": "x", "run": "mine"}
    assert given.lifecycle_policy is None
    mine = CreateSessionParams(lifecycle_policy=LifecyclePolicy(manual_release=True))
    assert session_params("x", mine).lifecycle_policy.manual_release


async def test_concurrent_first_uses_share_one_session_which_is_deleted_at_the_end(
    service: LocalService,
):
    """The client comes from the environment, and is closed with the session."""
    owner = SessionOwner("pydantic-ai", run="42")
    assert owner.session is None

    first, second = await asyncio.gather(owner.get(), owner.get())

    assert first is second
    assert service.living()[first.session_id]["framework"] == "pydantic-ai"
    assert service.living()[first.session_id]["run"] == "42"
    await owner.close()
    assert service.living() == {}
    await owner.close()


async def test_a_session_that_is_handed_in_stays(service: LocalService):
    """Its owner deletes it."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        owner = SessionOwner("pydantic-ai", session=session)

        assert await owner.get() is session
        await owner.close()

        assert list(service.living()) == [session.session_id]


async def test_files_of_contexts_are_saved_before_the_session_is_deleted(service: LocalService):
    """They are what must outlive it."""
    async with AsyncAgentBay() as bay:
        context = (await bay.context.get("kept", create=True)).unwrap()
        params = CreateSessionParams(context_syncs=[ContextSync.new(context.id, "/mnt/data")])
        owner = SessionOwner("pydantic-ai", bay=bay, params=params)
        files = (await owner.get()).file_system
        (await files.write_file("/mnt/data/result.txt", "kept")).unwrap()

        await owner.close()

        found = (await bay.context.list_files(context.id, "/")).unwrap()
        assert [one.file_name for one in found.entries] == ["result.txt"]
        (await bay.context.delete(context)).unwrap()
    assert service.living() == {}


async def test_closing_deletes_the_session_also_while_it_is_cancelled(service: LocalService):
    """A framework that runs out of time cancels what it runs."""
    async with AsyncAgentBay() as bay:
        owner = SessionOwner("pydantic-ai", bay=bay)
        await owner.get()
        closing = asyncio.create_task(owner.close())
        await asyncio.sleep(0)
        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing

        assert service.living() == {}


async def test_a_client_that_could_make_no_session_is_closed(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
):
    """A framework does not close what has not begun."""
    closed: list[AsyncAgentBay] = []
    close = AsyncAgentBay.aclose

    async def note(bay: AsyncAgentBay) -> None:
        closed.append(bay)
        await close(bay)

    monkeypatch.setattr(AsyncAgentBay, "aclose", note)
    params = CreateSessionParams(image_id="no_such_image")

    with pytest.raises(AgentBayError, match="no_such_image"):
        await SessionOwner("pydantic-ai", params=params).get()
    with pytest.raises(AgentBayError, match="no_such_image"):
        await asyncio.to_thread(BlockingSessionOwner("smolagents", params=params).get)

    assert len(closed) == 2  # the client of a blocking one too


def test_threads_share_one_session_of_a_framework_that_blocks(service: LocalService):
    """As on the async side."""
    with AgentBay() as bay, ThreadPoolExecutor(4) as pool:
        owner = BlockingSessionOwner("smolagents", bay=bay)

        found = {session.session_id for session in pool.map(lambda _: owner.get(), range(4))}

        assert found == set(service.living())
        owner.close()
        assert service.living() == {}
        with bay.session() as session:
            handed_in = BlockingSessionOwner("smolagents", session=session)
            assert handed_in.get() is session
            handed_in.close()
            assert list(service.living()) == [session.session_id]


def test_a_blocking_client_of_the_environment_is_closed_with_the_session(service: LocalService):
    """As on the async side."""
    owner = BlockingSessionOwner("smolagents")
    session = owner.get()

    owner.close()

    assert service.living() == {}
    with pytest.raises(ClosedError):
        session.get_status()
