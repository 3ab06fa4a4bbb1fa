"""Lossless create: one call creates one session, whatever happens to the answer."""

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
from agentbay_async._lifecycle import unheld

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script


class _ShortWaitsOnly:
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
    """The guarantee costs nothing if no answer is lost."""
    assert (await bay.create()).success
    assert scripted.actions == ["CreateMcpSession"]
    assert service.made == 1


@pytest.mark.parametrize("trouble", ["lost", "failed"])
async def test_a_session_whose_answer_was_lost_is_adopted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, trouble: str
) -> None:
    """The client looks it up and uses it."""
    service.trouble("CreateMcpSession", trouble)
    session = (await bay.create(CreateSessionParams(image_id="i"))).session
    assert scripted.actions[:3] == _LOOKED_UP
    assert list(service.sessions) == [session.session_id]
    assert (session.resource_url, session.image_id) == ("https://s-1", "i")
    assert session.remaining is not None


async def test_a_session_whose_answer_timed_out_is_adopted(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """After a timeout the session may exist."""
    service.trouble("CreateMcpSession", "slow")
    session = (await bays(timeout=0.2).create()).session
    assert scripted.actions[:3] == _LOOKED_UP
    assert list(service.sessions) == [session.session_id]


@pytest.mark.parametrize("kind", ["unread", "lost"])
async def test_a_create_is_sent_again_with_the_same_key(
    bay: AsyncAgentBay, service: FakeService, scripted: Script, kind: str
) -> None:
    """Only after the look-up found none; a second loss is handled in the same way."""
    service.trouble("CreateMcpSession", "unread", kind, "fine")
    assert (await bay.create()).success
    first, second, *_ = (json.loads(form["Labels"]) for form in scripted.forms("CreateMcpSession"))
    assert first["agentbay-idempotency-key"] == second["agentbay-idempotency-key"]
    assert len(service.sessions) == service.made == 1


async def test_the_look_up_waits_for_a_lagging_index(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """A session that is not found at once is not created twice."""
    service.lag = 3.0
    service.trouble("CreateMcpSession", "lost")
    assert (await bay.create()).success
    assert service.made == 1


async def test_a_session_that_is_found_too_late_is_deleted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """An index that lags longer makes two sessions; one of them stays."""
    service.lag = 15.0
    service.trouble("CreateMcpSession", "lost")
    session = (await bay.create()).session
    assert service.made == 2
    await scripted.arrival("DeleteSessionAsync")
    await bay.aclose()
    assert list(service.sessions) == [session.session_id]


async def test_one_of_several_sessions_of_a_key_stays(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """In any order."""
    labels = json.dumps({"agentbay-idempotency-key": "job-7"})
    for _ in range(3):
        service.create({"Labels": labels})
    session = (await bay.create(CreateSessionParams(idempotency_key="job-7"))).session
    assert list(service.sessions) == [session.session_id] == ["s-1"]


async def test_a_create_with_a_failed_look_up_is_an_error(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Nothing is sent again, and the error says that a session may exist."""
    service.trouble("CreateMcpSession", "lost")
    service.trouble("ListSession", *["unread"] * 8)
    result = await bays(retry=RetryPolicy(attempts=2)).create()
    assert isinstance(result.error, ConnectionLostError)
    assert "unknown whether a session was created" in result.error_message
    assert scripted.actions.count("CreateMcpSession") == 1


async def test_a_session_that_appears_after_the_failure_is_deleted(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Nobody holds it."""
    service.lag = 30.0
    service.trouble("CreateMcpSession", "failed", "failed")
    bay = bays(retry=RetryPolicy(attempts=2))
    assert isinstance((await bay.create()).error, ServiceError)
    assert len(service.sessions) == 2
    await scripted.arrival("DeleteSessionAsync")
    await bay.aclose()
    assert service.sessions == {}


async def test_a_failed_background_look_up_is_repeated(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """The service may still be failing."""
    service.lag = 15.0
    service.trouble("CreateMcpSession", "lost")
    service.trouble("ListSession", *["fine"] * 5, *["unread"] * 6)
    session = (await bay.create()).session
    await scripted.arrival("DeleteSessionAsync")
    await bay.aclose()
    assert list(service.sessions) == [session.session_id]


async def test_a_session_of_a_given_key_is_not_deleted(bays: Bays, service: FakeService) -> None:
    """With the caller's own idempotency key, the next create finds it."""
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
    """The index still lists it; the client creates another one."""
    service.create({"Labels": json.dumps({"agentbay-idempotency-key": "job-7"})})
    service.trouble("GetSession", "gone")
    session = (await bay.create(CreateSessionParams(idempotency_key="job-7"))).session
    assert session.session_id == "s-2"


async def test_closing_a_client_looks_once_more(bays: Bays, service: FakeService) -> None:
    """Without a wait; the index may have caught up."""
    service.lag = 10.0
    service.trouble("CreateMcpSession", "lost")
    bay = bays(clock=_ShortWaitsOnly(service.clock))
    session = (await bay.create()).session
    assert service.made == 2
    service.lag = 0.0
    await bay.aclose()
    assert list(service.sessions) == [session.session_id]


async def test_a_key_finds_the_session_of_an_earlier_run(
    bay: AsyncAgentBay, bays: Bays, service: FakeService, scripted: Script
) -> None:
    """As long as it lives, for one look-up at the start."""
    params = CreateSessionParams(idempotency_key="job-7")
    first = (await bay.create(params)).session
    assert scripted.actions == ["ListSession", "CreateMcpSession"]
    again = (await bays().create(params)).session
    assert again.session_id == first.session_id
    assert again.remaining is None
    assert (await first.delete()).success
    assert (await bay.create(params)).session.session_id != first.session_id
    assert len(service.sessions) == 1


async def test_a_key_needs_reserved_labels(bays: Bays, scripted: Script) -> None:
    """The look-up uses them."""
    bay = bays(cfg=Config(reserved_labels=False))
    with pytest.raises(InvalidArgumentError, match="reserved_labels"):
        await bay.create(CreateSessionParams(idempotency_key="job-7"))
    assert scripted.requests == []


async def test_a_create_sends_owner_process_and_time(bays: Bays, service: FakeService) -> None:
    """A client can be configured to omit them."""
    await bays(cfg=Config(owner="ci")).create(CreateSessionParams(labels={"a": "b"}))
    await bays(cfg=Config(reserved_labels=False)).create(CreateSessionParams(labels={"a": "b"}))
    with_own, without = (session.labels for session in service.sessions.values())
    assert with_own.pop("agentbay-owner") == "ci"
    assert with_own.pop("agentbay-since") == "1700000000"
    assert sorted(with_own) == ["a", "agentbay-idempotency-key", "agentbay-run"]
    assert without == {"a": "b"}


async def test_reserved_labels_are_hidden_and_kept(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """Setting labels replaces only those of the user."""
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


async def test_a_client_without_reserved_labels_sets_labels_directly(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """It needs no look-up first."""
    session = (await bays(cfg=Config(reserved_labels=False)).create()).session
    found = (await bays(cfg=Config(reserved_labels=False)).get(session.session_id)).session
    assert (await found.set_labels({"a": "b"})).success
    assert service.sessions["s-1"].labels == {"a": "b"}
    assert "GetLabel" not in scripted.actions


@pytest.mark.parametrize("key", ["agentbay-idempotency-key", "agentbay-mine"])
async def test_reserved_labels_are_rejected(bay: AsyncAgentBay, scripted: Script, key: str) -> None:
    """They can neither be set nor used as a filter."""
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


async def test_the_look_up_has_a_time_limit(
    bays: Bays, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """For a service that fails each create."""
    service.lag = 1e9
    service.trouble("CreateMcpSession", *["failed"] * 99)
    began = clock.now
    assert isinstance((await bays().create()).error, ServiceError)
    assert clock.now - began < 60
    assert scripted.actions.count("CreateMcpSession") == 4


async def test_a_create_with_an_answer_is_not_counted_as_cut_off(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Its caller has the session, or an error that says whether there may be one."""
    scripted.fail("CreateMcpSession", "InvalidParameter")
    scripted.ok("CreateMcpSession", {"SessionId": "s-1", "Success": True})
    assert not (await bay.create()).success
    assert (await bay.create()).success
    assert bay._api not in {*unheld.creates.values(), *unheld.sessions.values()}
