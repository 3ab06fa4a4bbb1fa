"""Transitions of state that take time, or wait for the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_local import LocalService

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Api

    from agentbay_local import ManualClock

pytestmark = pytest.mark.usefixtures("sandboxed")


async def begin(api: Api, kind: str) -> str:
    """Begin a transition of a new session, and return its id."""
    session = await api.session()
    if kind == "resume":
        await api.ok("PauseSessionAsync", SessionId=session)
        await api.reached(session, "PAUSED")
    action = {"pause": "Pause", "resume": "Resume", "delete": "Delete"}[kind]
    await api.ok(f"{action}SessionAsync", SessionId=session)
    return session


CASES = [
    ("pause", "PAUSING", "PAUSED"),
    ("resume", "RESUMING", "RUNNING"),
    ("delete", "DELETING", "FINISH"),
]


@pytest.mark.parametrize(("kind", "on_its_way", "there"), CASES)
async def test_a_manual_transition_lasts_until_it_is_finished(
    controlled_api: Api, kind: str, on_its_way: str, there: str
) -> None:
    """Later ones wait again."""
    controlled_api.service.transitions.manual(kind)
    for _ in range(2):
        session = await begin(controlled_api, kind)
        assert await controlled_api.status(session) == on_its_way

        async def finished() -> int:
            return controlled_api.service.transitions.finish(kind)

        assert await controlled_api.until(finished) == 1
        await controlled_api.reached(session, there)


@pytest.mark.parametrize(("kind", "on_its_way", "there"), CASES)
async def test_a_timed_transition_takes_its_time_on_the_clock(
    timed: Api, clock: ManualClock, kind: str, on_its_way: str, there: str
) -> None:
    """Neither less nor more."""
    timed.service.transitions.timed(kind, 30)
    session = await begin(timed, kind)
    await clock.aadvance(29)
    assert await timed.status(session) == on_its_way
    await clock.aadvance(2)
    assert await timed.status(session) == there


async def test_clearing_a_context_can_take_time(controlled_api: Api) -> None:
    """Its files stay until then."""
    controlled_api.service.transitions.manual("clear")
    context = await controlled_api.context("cleared")
    await controlled_api.put(context, "a", b"1")
    await controlled_api.ok("ClearContext", Id=context)
    state = (await controlled_api.ok("GetContext", ContextId=context))["Data"]["State"]
    assert (state, await controlled_api.names(context)) == ("clearing", ["a"])
    controlled_api.service.transitions.immediate("clear")

    async def available() -> bool:
        data = (await controlled_api.ok("GetContext", ContextId=context))["Data"]
        return bool(data["State"] == "available")

    await controlled_api.until(available)
    assert await controlled_api.names(context) == []


async def test_a_stop_ends_manual_transitions(api: Api, tmp_path: Path) -> None:
    """It neither hangs nor loses files."""
    async with LocalService(home=tmp_path) as service:
        service.transitions.manual("delete")
        own = type(api)(api.http, service)
        context = await own.context("kept")
        session = await own.mounted(context)
        await own.sh(session, "echo 1 > /mnt/data/a")
        await own.ok("DeleteSessionAsync", SessionId=session)
        assert await own.status(session) == "DELETING"
    async with LocalService(home=tmp_path) as service:
        assert await type(api)(api.http, service).fetch(context, "a") == b"1\n"


def test_an_unknown_transition_is_rejected(service: LocalService) -> None:
    """The message has the valid names; a time must not be negative."""
    for change in (
        service.transitions.manual,
        service.transitions.immediate,
        service.transitions.finish,
    ):
        with pytest.raises(ValueError, match="pause, resume, delete, clear"):
            change("restart")
    with pytest.raises(ValueError, match="negative"):
        service.transitions.timed("pause", -1)
