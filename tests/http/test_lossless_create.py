"""Lossless create: one call creates one session, whatever happens to the answer."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AsyncAgentBay,
    Config,
    ConnectionLostError,
    CreateSessionParams,
    HttpResponse,
    InvalidArgumentError,
    LifecyclePolicy,
    ListSessionParams,
    RequestTimeoutError,
    RetryPolicy,
    ServiceError,
)
from agentbay_async._lifecycle import unheld
from agentbay_local import Drop, Fail, Garbage, Lag

from .scripted import Relay

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import HttpRequest
    from agentbay_local import LocalService


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


_CREATE, _LIST, _GET, _DELETE = (
    "CreateMcpSession",
    "ListSession",
    "GetSession",
    "DeleteSessionAsync",
)
_LOST = Drop(committed=True)
_KEY = "agentbay-idempotency-key"


def _actions(service: LocalService) -> list[str]:
    """Return the actions of all requests, in order."""
    return [entry.action for entry in service.journal.find()]


def _created(service: LocalService) -> int:
    """Return the number of sessions that were created: those that live, and those deleted."""
    return len(service.living()) + len(service.journal.find(_DELETE, ok=True))


def _fail_creates(bay: AsyncAgentBay, times: int) -> None:
    """Answer creates with an error of a gateway, after the service has performed them."""
    relay = bay._api.transport
    assert isinstance(relay, Relay)
    failing = iter(range(times))

    def replace(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.action == _CREATE and next(failing, None) is not None:
            return HttpResponse(500, b'{"Code": "InternalError"}')
        if request.action == _GET:
            # The local service has no URL for a person's browser.
            document = json.loads(response.body)
            document["Data"]["ResourceUrl"] = f"https://{document['Data']['SessionId']}"
            return HttpResponse(200, json.dumps(document).encode())
        return response

    relay.replace = replace


async def test_a_create_costs_one_request(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """The guarantee costs nothing if no answer is lost."""
    assert (await local_bay.create()).success
    assert _actions(local_service) == [_CREATE]
    assert _created(local_service) == 1


@pytest.mark.parametrize("failure", ["lost", "failed", "replaced by a page"])
async def test_a_session_whose_answer_was_lost_is_adopted(
    local_bay: AsyncAgentBay, local_service: LocalService, failure: str
) -> None:
    """The client looks it up and uses it."""
    if failure == "lost":
        local_service.faults.add(_LOST, _CREATE, nth=1)
    if failure == "replaced by a page":
        local_service.faults.add(Garbage(), _CREATE, nth=1)
    _fail_creates(local_bay, failure == "failed")
    policy = LifecyclePolicy(max_runtime=60)
    params = CreateSessionParams(image_id="code_latest", lifecycle_policy=policy)
    session = (await local_bay.create(params)).session
    assert _actions(local_service)[:3] == [_CREATE, _LIST, _GET]
    assert list(local_service.living()) == [session.session_id]
    assert session.resource_url == f"https://{session.session_id}"
    assert session.image_id == "code_latest"
    assert session.remaining is not None


async def test_a_session_whose_answer_timed_out_is_adopted(
    local_bay: AsyncAgentBay, local_service: LocalService, relay: Relay
) -> None:
    """After a timeout the session may exist."""

    def time_out(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.action == _CREATE:
            raise RequestTimeoutError("CreateMcpSession: no answer within 10 s")
        return response

    relay.replace = time_out
    session = (await local_bay.create()).session
    assert _actions(local_service)[:3] == [_CREATE, _LIST, _GET]
    assert list(local_service.living()) == [session.session_id]


@pytest.mark.parametrize("kind", ["unread", "lost"])
async def test_a_create_is_sent_again_with_the_same_key(
    local_bay: AsyncAgentBay, local_service: LocalService, relay: Relay, kind: str
) -> None:
    """Only after the look-up found none; a second loss is handled in the same way."""
    local_service.faults.add(Drop(), _CREATE, times=1)
    local_service.faults.add(Drop(committed=kind == "lost"), _CREATE, times=1)
    assert (await local_bay.create()).success
    first, second, *_ = (json.loads(form["Labels"]) for form in relay.forms(_CREATE))
    assert first[_KEY] == second[_KEY]
    assert len(local_service.living()) == _created(local_service) == 1


async def test_the_look_up_waits_for_a_lagging_index(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """A session that is not found at once is not created twice."""
    local_service.faults.add(Lag(3), _LIST)
    local_service.faults.add(_LOST, _CREATE, nth=1)
    assert (await local_bay.create()).success
    assert _created(local_service) == 1


async def test_a_session_that_is_found_too_late_is_deleted(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """An index that lags longer makes two sessions; one of them stays."""
    local_service.faults.add(Lag(15), _LIST)
    local_service.faults.add(_LOST, _CREATE, nth=1)
    session = (await local_bay.create()).session
    await local_service.journal.await_for(_DELETE, timeout=30)
    await local_bay.aclose()
    assert _created(local_service) == 2
    assert list(local_service.living()) == [session.session_id]


async def test_one_of_several_sessions_of_a_key_stays(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """In any order."""
    seeded = await local_service.aseed(sessions=[{_KEY: "job-7"}] * 3)
    session = (await local_bay.create(CreateSessionParams(idempotency_key="job-7"))).session
    await local_bay.aclose()
    assert list(local_service.living()) == [session.session_id]
    assert session.session_id in seeded.sessions


async def test_a_create_with_a_failed_look_up_is_an_error(
    local_bays: Bays, local_service: LocalService
) -> None:
    """Nothing is sent again, and the error says that a session may exist."""
    local_service.faults.add(_LOST, _CREATE, nth=1)
    local_service.faults.add(Drop(), _LIST, times=8)
    result = await local_bays(retry=RetryPolicy(attempts=2)).create()
    assert isinstance(result.error, ConnectionLostError)
    assert "unknown whether a session was created" in result.error_message
    assert _actions(local_service).count(_CREATE) == 1


async def test_a_session_that_appears_after_the_failure_is_deleted(
    local_bays: Bays, local_service: LocalService
) -> None:
    """Nobody holds it."""
    local_service.faults.add(Lag(30), _LIST)
    bay = local_bays(retry=RetryPolicy(attempts=2))
    _fail_creates(bay, 2)
    assert isinstance((await bay.create()).error, ServiceError)
    await local_service.journal.await_for(_DELETE, timeout=30)
    await bay.aclose()
    assert _created(local_service) == 2
    assert local_service.living() == {}


async def test_a_failed_background_look_up_is_repeated(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """The service may still be failing."""
    looks = itertools.count()
    local_service.faults.add(Drop(), _LIST, when=lambda _: 5 <= next(looks) < 11)
    local_service.faults.add(Lag(15), _LIST)
    local_service.faults.add(_LOST, _CREATE, nth=1)
    session = (await local_bay.create()).session
    await local_service.journal.await_for(_DELETE, timeout=30)
    await local_bay.aclose()
    assert list(local_service.living()) == [session.session_id]
    assert len(local_service.journal.find(_LIST, fault="drop")) == 6


async def test_a_session_of_a_given_key_is_not_deleted(
    local_bays: Bays, local_service: LocalService
) -> None:
    """With the caller's own idempotency key, the next create finds it."""
    lag = local_service.faults.add(Lag(30), _LIST)
    params = CreateSessionParams(idempotency_key="job-7")
    bay = local_bays(retry=RetryPolicy(attempts=1))
    _fail_creates(bay, 1)
    assert not (await bay.create(params)).success
    (session_id,) = local_service.living()
    local_service.faults.remove(lag)
    assert (await local_bays().create(params)).session.session_id == session_id
    assert _created(local_service) == 1


async def test_a_session_that_ends_while_it_is_looked_up_is_not_adopted(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """The index still lists it; the client creates another one."""
    seeded = await local_service.aseed(sessions=[{_KEY: "job-7"}])
    local_service.faults.add(Fail("InvalidMcpSession.NotFound", 400), _GET, nth=1)
    session = (await local_bay.create(CreateSessionParams(idempotency_key="job-7"))).session
    assert session.session_id not in seeded.sessions


async def test_closing_a_client_looks_once_more(
    local_bays: Bays, local_service: LocalService, clock: InstantClock
) -> None:
    """Without a wait; the index may have caught up."""
    lag = local_service.faults.add(Lag(3600), _LIST)
    local_service.faults.add(_LOST, _CREATE, nth=1)
    bay = local_bays(clock=_ShortWaitsOnly(clock))
    session = (await bay.create()).session
    assert _created(local_service) == len(local_service.living()) == 2
    local_service.faults.remove(lag)
    await bay.aclose()
    assert list(local_service.living()) == [session.session_id]


async def test_a_key_finds_the_session_of_an_earlier_run(
    local_bay: AsyncAgentBay, local_bays: Bays, local_service: LocalService
) -> None:
    """As long as it lives, for one look-up at the start."""
    params = CreateSessionParams(idempotency_key="job-7")
    first = (await local_bay.create(params)).session
    assert _actions(local_service) == [_LIST, _CREATE]
    again = (await local_bays().create(params)).session
    assert again.session_id == first.session_id
    assert again.remaining is None
    assert (await first.delete()).success
    assert (await local_bay.create(params)).session.session_id != first.session_id
    assert len(local_service.living()) == 1


async def test_a_key_needs_reserved_labels(bays: Bays, scripted: Script) -> None:
    """The look-up uses them."""
    bay = bays(cfg=Config(reserved_labels=False))
    with pytest.raises(InvalidArgumentError, match="reserved_labels"):
        await bay.create(CreateSessionParams(idempotency_key="job-7"))
    assert scripted.requests == []


async def test_a_create_sends_owner_process_and_time(
    local_bays: Bays, local_service: LocalService
) -> None:
    """A client can be configured to omit them."""
    since = int(local_service.clock.time())
    params = CreateSessionParams(labels={"a": "b"})
    await local_bays(cfg=Config(owner="ci")).create(params)
    await local_bays(cfg=Config(reserved_labels=False)).create(params)
    without, with_own = sorted(local_service.living().values(), key=len)
    assert with_own.pop("agentbay-owner") == "ci"
    assert with_own[_KEY].endswith(f"-{since:x}")
    assert sorted(with_own) == ["a", _KEY, "agentbay-run"]
    assert without == {"a": "b"}


async def test_reserved_labels_are_hidden_and_kept(
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """Setting labels replaces only those of the user."""
    created = (await local_bay.create(CreateSessionParams(labels={"a": "b"}))).session
    labels = local_service.living()[created.session_id]
    own = {key: value for key, value in labels.items() if key != "a"}
    assert (await created.get_labels()).data == {"a": "b"}
    assert (await created.set_labels({"c": "d"})).success
    assert local_service.living()[created.session_id] == {"c": "d", **own}
    assert _actions(local_service) == [_CREATE, "GetLabel", "SetLabel"]

    found = (await local_bay.get(created.session_id)).session
    for labels in ({"e": "f"}, {"g": "h"}):
        assert (await found.set_labels(labels)).success
        assert local_service.living()[created.session_id] == {**labels, **own}
    assert _actions(local_service)[3:] == [_GET, "GetLabel", "SetLabel", "SetLabel"]


async def test_a_client_without_reserved_labels_sets_labels_directly(
    local_bays: Bays, local_service: LocalService
) -> None:
    """It needs no look-up first."""
    session = (await local_bays(cfg=Config(reserved_labels=False)).create()).session
    other = local_bays(cfg=Config(reserved_labels=False))
    found = (await other.get(session.session_id)).session
    assert (await found.set_labels({"a": "b"})).success
    assert local_service.living()[session.session_id] == {"a": "b"}
    assert "GetLabel" not in _actions(local_service)


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
    local_bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """For a service that fails each create."""
    local_service.faults.add(Lag(1e9), _LIST)
    _fail_creates(local_bay, 99)
    began = local_service.clock.monotonic()
    assert isinstance((await local_bay.create()).error, ServiceError)
    assert local_service.clock.monotonic() - began < 60
    assert _actions(local_service).count(_CREATE) == 4


async def test_a_create_with_an_answer_is_not_counted_as_cut_off(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Its caller has the session, or an error that says whether there may be one."""
    scripted.fail("CreateMcpSession", "InvalidParameter")
    scripted.ok("CreateMcpSession", {"SessionId": "s-1", "Success": True})
    assert not (await bay.create()).success
    assert (await bay.create()).success
    assert bay._api not in {*unheld.creates.values(), *unheld.sessions.values()}
