"""A create that is asked for once makes one session, whatever happens to its answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AsyncAgentBay,
    Config,
    ConnectionLostError,
    CreateSessionParams,
    InvalidArgumentError,
    ListSessionParams,
    RetryPolicy,
    ServiceError,
)

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script


class _Tired:
    """A clock on which short waits take no time, and long ones never end."""

    def __init__(self, clock: InstantClock) -> None:
        self._clock = clock
        self.time = clock.time
        self.monotonic = clock.monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait, at most for 2 seconds."""
        if seconds >= 2.0 and self._clock.sleeps[-1:] == [2.0]:
            await asyncio.Event().wait()
        await self._clock.sleep(seconds)


_LOOKED_UP = ["CreateMcpSession", "ListSession", "GetSession"]


async def test_a_create_costs_one_request(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Being lossless costs nothing as long as nothing is lost."""
    assert (await bay.create()).success
    assert scripted.actions == ["CreateMcpSession"]
    assert service.made == 1


@pytest.mark.parametrize("trouble", ["lost", "failed"])
async def test_a_session_whose_answer_was_lost_is_adopted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, trouble: str
) -> None:
    """The session is there, so it is used, with all that is needed to reach it."""
    service.trouble("CreateMcpSession", trouble)
    session = (await bay.create(CreateSessionParams(image_id="i"))).session
    assert scripted.actions[:3] == _LOOKED_UP
    assert list(service.sessions) == [session.session_id]
    assert (session.resource_url, session.image_id) == ("https://s-1", "i")
    assert session.remaining is not None


async def test_a_session_whose_answer_did_not_come_in_time_is_adopted(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """A timeout says nothing of what the service did."""
    service.trouble("CreateMcpSession", "slow")
    session = (await bays(timeout=0.2).create()).session
    assert scripted.actions[:3] == _LOOKED_UP
    assert list(service.sessions) == [session.session_id]


@pytest.mark.parametrize("kind", ["unread", "lost"])
async def test_a_create_that_made_nothing_is_sent_again_with_the_same_intent(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, kind: str
) -> None:
    """Only after the look-up found none; and what is lost then is found again."""
    service.trouble("CreateMcpSession", "unread", kind, "fine")
    assert (await bay.create()).success
    first, second, *_ = (json.loads(form["Labels"]) for form in scripted.forms("CreateMcpSession"))
    assert first["agentbay-idempotency-key"] == second["agentbay-idempotency-key"]
    assert len(service.sessions) == service.made == 1


async def test_an_index_that_lags_is_waited_for(bay: AsyncAgentBay, service: FakeService) -> None:
    """A session that is not found at once is not made twice."""
    service.lag = 3.0
    service.trouble("CreateMcpSession", "lost")
    assert (await bay.create()).success
    assert service.made == 1


async def test_a_session_that_is_found_too_late_is_deleted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """An index that lags more than anybody waits makes two; one of them stays."""
    service.lag = 15.0
    service.trouble("CreateMcpSession", "lost")
    session = (await bay.create()).session
    assert service.made == 2
    await scripted.arrival("DeleteSessionAsync")
    await bay.aclose()
    assert list(service.sessions) == [session.session_id]


async def test_of_several_sessions_of_an_intent_one_stays(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """However they came about."""
    labels = json.dumps({"agentbay-idempotency-key": "job-7"})
    for _ in range(3):
        service.create({"Labels": labels})
    session = (await bay.create(CreateSessionParams(idempotency_key="job-7"))).session
    assert list(service.sessions) == [session.session_id] == ["s-1"]


async def test_a_create_that_nobody_can_look_after_says_so(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Where the look-up fails too, nothing is sent again, and the error says what that means."""
    service.trouble("CreateMcpSession", "lost")
    service.trouble("ListSession", *["unread"] * 8)
    result = await bays(retry=RetryPolicy(attempts=2)).create()
    assert isinstance(result.error, ConnectionLostError)
    assert "unknown whether a session was created" in result.error_message
    assert scripted.actions.count("CreateMcpSession") == 1


async def test_a_session_that_shows_up_after_the_failure_is_deleted(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Nobody holds it, and nobody would ever look for it."""
    service.lag = 30.0
    service.trouble("CreateMcpSession", "failed", "failed")
    bay = bays(retry=RetryPolicy(attempts=2))
    assert isinstance((await bay.create()).error, ServiceError)
    assert len(service.sessions) == 2
    await scripted.arrival("DeleteSessionAsync")
    await bay.aclose()
    assert service.sessions == {}


async def test_a_look_that_fails_afterwards_is_taken_again(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """The service may still be as unwell as it was when it lost the answer."""
    service.lag = 15.0
    service.trouble("CreateMcpSession", "lost")
    service.trouble("ListSession", *["fine"] * 5, *["unread"] * 6)
    session = (await bay.create()).session
    await scripted.arrival("DeleteSessionAsync")
    await bay.aclose()
    assert list(service.sessions) == [session.session_id]


async def test_an_intent_that_failed_is_left_for_the_next_try(
    bays: Bays, service: FakeService
) -> None:
    """What shows up late of an idempotency key of the caller's is what the caller will find."""
    service.lag = 30.0
    service.trouble("CreateMcpSession", "failed")
    params = CreateSessionParams(idempotency_key="job-7")
    assert not (await bays(retry=RetryPolicy(attempts=1)).create(params)).success
    service.lag = 0.0
    assert (await bays().create(params)).session.session_id == "s-1"
    assert service.made == 1


async def test_a_session_that_ends_while_it_is_looked_up_is_not_adopted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """The index still lists it; another one is made."""
    service.create({"Labels": json.dumps({"agentbay-idempotency-key": "job-7"})})
    service.trouble("GetSession", "gone")
    session = (await bay.create(CreateSessionParams(idempotency_key="job-7"))).session
    assert session.session_id == "s-2"


async def test_a_client_that_is_closed_looks_once_more(bays: Bays, service: FakeService) -> None:
    """There is no time to wait, but the index may have caught up meanwhile."""
    service.lag = 10.0
    service.trouble("CreateMcpSession", "lost")
    bay = bays(clock=_Tired(service.clock))
    session = (await bay.create()).session
    assert service.made == 2
    service.lag = 0.0
    await bay.aclose()
    assert list(service.sessions) == [session.session_id]


async def test_an_intent_finds_the_session_of_an_earlier_run(
    bay: AsyncAgentBay, bays: Bays, service: FakeService, scripted: Script
) -> None:
    """The same key is the same session while that lives, for one look-up at the start."""
    params = CreateSessionParams(idempotency_key="job-7")
    first = (await bay.create(params)).session
    assert scripted.actions == ["ListSession", "CreateMcpSession"]
    again = (await bays().create(params)).session
    assert again.session_id == first.session_id
    assert again.remaining is None
    assert (await first.delete()).success
    assert (await bay.create(params)).session.session_id != first.session_id
    assert len(service.sessions) == 1


async def test_an_intent_needs_labels(bays: Bays, scripted: Script) -> None:
    """A promise that cannot be kept is not made."""
    bay = bays(cfg=Config(reserved_labels=False))
    with pytest.raises(InvalidArgumentError, match="reserved_labels"):
        await bay.create(CreateSessionParams(idempotency_key="job-7"))
    assert scripted.requests == []


async def test_a_create_tells_whose_it_is(bays: Bays, service: FakeService) -> None:
    """Owner, process and time go along, and a client can be told to leave them out."""
    await bays(cfg=Config(owner="ci")).create(CreateSessionParams(labels={"a": "b"}))
    await bays(cfg=Config(reserved_labels=False)).create(CreateSessionParams(labels={"a": "b"}))
    with_own, without = (session.labels for session in service.sessions.values())
    assert with_own.pop("agentbay-owner") == "ci"
    assert with_own.pop("agentbay-since") == "1700000000"
    assert sorted(with_own) == ["a", "agentbay-idempotency-key", "agentbay-run"]
    assert without == {"a": "b"}


async def test_labels_of_the_library_are_never_shown_and_never_lost(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Whoever replaces the labels of a session replaces the user's."""
    created = (await bay.create(CreateSessionParams(labels={"a": "b"}))).session
    own = {key: v for key, v in service.sessions["s-1"].labels.items() if key != "a"}
    assert (await created.get_labels()).data == {"a": "b"}
    assert (await created.set_labels({"c": "d"})).success
    assert service.sessions["s-1"].labels == {"c": "d", **own}
    assert scripted.actions == ["CreateMcpSession", "GetLabel", "SetLabel"]

    found = (await bay.get("s-1")).session
    for labels in ({"e": "f"}, {"g": "h"}):
        assert (await found.set_labels(labels)).success
        assert service.sessions["s-1"].labels == {**labels, **own}
    assert scripted.actions[3:] == ["GetSession", "GetLabel", "SetLabel", "SetLabel"]


async def test_a_client_without_labels_of_its_own_sets_what_it_is_given(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Nothing to keep is nothing to ask for."""
    session = (await bays(cfg=Config(reserved_labels=False)).create()).session
    found = (await bays(cfg=Config(reserved_labels=False)).get(session.session_id)).session
    assert (await found.set_labels({"a": "b"})).success
    assert service.sessions["s-1"].labels == {"a": "b"}
    assert "GetLabel" not in scripted.actions


@pytest.mark.parametrize("key", ["agentbay-idempotency-key", "agentbay-mine"])
async def test_reserved_labels_are_not_for_users(
    bay: AsyncAgentBay, scripted: Script, key: str
) -> None:
    """They can neither be set nor asked for."""
    labels: dict[str, Any] = {key: "x"}
    for refused in (
        lambda: CreateSessionParams(labels=labels),
        lambda: ListSessionParams(labels=labels),
        lambda: bay.list(labels=labels),
    ):
        with pytest.raises(InvalidArgumentError, match="reserved"):
            refused()
    with pytest.raises(InvalidArgumentError, match="reserved"):
        await bay.list_by_labels(labels)
    assert scripted.requests == []


async def test_nobody_waits_for_ever_for_the_look_up(
    bays: Bays, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """A service that fails each create is given up after a bounded time."""
    service.lag = 1e9
    service.trouble("CreateMcpSession", *["failed"] * 99)
    began = clock.now
    assert isinstance((await bays().create()).error, ServiceError)
    assert clock.now - began < 60
    assert scripted.actions.count("CreateMcpSession") == 4
