"""The client: create, get, list by labels, delete, pause and resume."""

from __future__ import annotations

import json
import socket
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    BadAnswerError,
    Config,
    CreateSessionParams,
    InvalidArgumentError,
    LifecyclePolicy,
    ListSessionParams,
    SessionError,
    __version__,
)
from agentbay_async.session_params import DEFAULT_LIFETIME

if TYPE_CHECKING:
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

_GONE = "InvalidMcpSession.NotFound"


async def test_create_sends_few_fields_by_default(bay: AsyncAgentBay, scripted: Script) -> None:
    """Statistics, the region and the library's labels: no lifetime that overrides the account's."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    result = await bay.create()
    assert result.session.session_id == "s-1"
    assert result.request_id == "REQ-CreateMcpSession"
    (form,) = scripted.forms("CreateMcpSession")
    assert sorted(form) == ["Labels", "LoginRegionId", "SdkStats"]
    labels = json.loads(form["Labels"])
    assert sorted(labels) == ["agentbay-idempotency-key", "agentbay-owner", "agentbay-run"]
    assert max(map(len, labels.values())) < 64
    assert form["LoginRegionId"] == bay.region_id == "cn-hangzhou"


async def test_no_label_names_the_user_or_the_host(bay: AsyncAgentBay, scripted: Script) -> None:
    """Everyone who can list the sessions of the account would read them."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    await bay.create()
    (form,) = scripted.forms("CreateMcpSession")
    assert "@" not in form["Labels"]
    assert socket.gethostname() not in form["Labels"]


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({}, ("30", "720")),
        ({"lifecycle_policy": LifecyclePolicy(7, 60)}, ("7", "60")),
        ({"lifecycle_policy": LifecyclePolicy(manual_release=True)}, (None, None)),
        ({"idle_release_timeout": 90}, ("90", None)),
    ],
)
async def test_the_lifetime_of_the_settings_is_for_sessions_without_one(
    bays: Bays, scripted: Script, params: dict[str, Any], sent: tuple[str | None, str | None]
) -> None:
    """It is sent only if the program chose one."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    bay = bays(cfg=Config(default_lifetime=DEFAULT_LIFETIME))
    (await bay.create(CreateSessionParams(**params))).unwrap()
    (form,) = scripted.forms("CreateMcpSession")
    assert (form.get("Timeout"), form.get("MaxRuntime")) == sent


async def test_the_labels_of_the_library_count(bay: AsyncAgentBay, scripted: Script) -> None:
    """The cloud accepts 20 in all, at the create and later."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.ok("SetLabel")
    labels = {f"label-{number}": "x" for number in range(18)}
    with pytest.raises(InvalidArgumentError, match="at most 17 entries, not 18"):
        await bay.create(CreateSessionParams(labels=labels))
    assert scripted.requests == []
    del labels["label-0"]
    session = (await bay.create(CreateSessionParams(labels=labels))).session
    assert (await session.set_labels(labels)).success
    with pytest.raises(InvalidArgumentError, match="at most 17 entries, not 18"):
        await session.set_labels({**labels, "one-more": "x"})
    key = CreateSessionParams(labels=labels, idempotency_key="job")
    with pytest.raises(InvalidArgumentError, match="at most 16 entries, not 17"):
        await bay.create(key)


async def test_create_sends_statistics(bay: AsyncAgentBay, scripted: Script) -> None:
    """They are JSON, with any characters in the framework's name."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    await bay.create(CreateSessionParams(framework='my "own" one'))
    assert json.loads(scripted.forms("CreateMcpSession")[0]["SdkStats"]) == {
        "source": "sdk",
        "sdk_name": "agentbay-async",
        "sdk_language": "python",
        "sdk_version": __version__,
        "is_release": True,
        "framework": 'my "own" one',
    }


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({"image_id": "code_latest"}, {"ImageId": "code_latest"}),
        ({"labels": {"a": "b"}}, {"Labels": '{"a":"b"}'}),
        ({"policy_id": "p-1"}, {"McpPolicyId": "p-1"}),
        ({"idle_release_timeout": 90}, {"Timeout": "90"}),
        ({"lifecycle_policy": LifecyclePolicy(7, 60)}, {"Timeout": "7", "MaxRuntime": "60"}),
        ({"lifecycle_policy": LifecyclePolicy(manual_release=True)}, {"ManualRelease": "true"}),
    ],
)
async def test_create_sends_its_parameters(
    bays: Bays, scripted: Script, params: dict[str, Any], sent: dict[str, str]
) -> None:
    """Each parameter has its field and adds no other."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    (await bays(cfg=Config(reserved_labels=False)).create(CreateSessionParams(**params))).unwrap()
    (form,) = scripted.forms("CreateMcpSession")
    del form["SdkStats"], form["LoginRegionId"]
    assert form == sent


async def test_the_deprecated_context_id_is_still_sent(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Old programs work, with a warning."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    with pytest.warns(DeprecationWarning, match="context_syncs") as warned:
        params = CreateSessionParams(context_id="SdkCtx-1")
    assert warned[0].filename == __file__
    await bay.create(params)
    assert scripted.forms("CreateMcpSession")[0]["ContextId"] == "SdkCtx-1"


async def test_a_created_session_has_the_fields_of_the_answer(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """They can be read without another request."""
    scripted.ok(
        "CreateMcpSession",
        {
            "SessionId": "s-1",
            "Success": True,
            "AppInstanceId": "ai-1",
            "ResourceUrl": "https://watch.example/1",
            "HttpPort": "8080",
        },
    )
    session = (await bay.create(CreateSessionParams(image_id="linux_latest"))).session
    assert (session.image_id, session.status) == ("linux_latest", "RUNNING")
    assert (session.app_instance_id, session.resource_url) == ("ai-1", "https://watch.example/1")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "has no session id"),
        ({}, "has no session id"),
        ({"SessionId": ""}, "has no session id"),
        ({"SessionId": "s-1", "Success": False, "ErrMsg": "no quota left"}, "no quota left"),
        ({"SessionId": "s-1", "Success": False}, "has no session id"),
    ],
)
async def test_an_answer_without_a_session_is_a_failed_create(
    bay: AsyncAgentBay, scripted: Script, data: object, reason: str
) -> None:
    """Even if the envelope reports success."""
    scripted.ok("CreateMcpSession", data)
    result = await bay.create()
    assert isinstance(result.error, SessionError)
    assert reason in result.error_message
    assert result.request_id == "REQ-CreateMcpSession"


@pytest.mark.parametrize("params", [{}, {"labels": {}}, "linux_latest", 0])
async def test_create_needs_params(bay: AsyncAgentBay, scripted: Script, params: Any) -> None:
    """A dict raises at once, and nothing is sent."""
    with pytest.raises(ArgumentTypeError, match="CreateSessionParams"):
        await bay.create(params)
    assert scripted.requests == []


async def test_get_reads_the_session(bay: AsyncAgentBay, scripted: Script) -> None:
    """It has the state and the URLs."""
    scripted.ok(
        "GetSession",
        {"SessionId": "s-1", "Status": "PAUSED", "AppInstanceId": "ai", "ResourceUrl": "https://r"},
    )
    result = await bay.get("s-1")
    session = result.session
    assert scripted.forms("GetSession") == [{"SessionId": "s-1"}]
    assert (session.session_id, session.status) == ("s-1", "PAUSED")
    assert (session.app_instance_id, session.resource_url) == ("ai", "https://r")
    assert result.request_id == "REQ-GetSession"


async def test_get_keeps_the_requested_id(bay: AsyncAgentBay, scripted: Script) -> None:
    """The answer may omit it."""
    scripted.ok("GetSession", {})
    session = (await bay.get("s-1")).session
    assert (session.session_id, session.status, session.resource_url) == ("s-1", "", "")


async def test_get_without_data_fails(bay: AsyncAgentBay, scripted: Script) -> None:
    """A success without data is not a session."""
    scripted.ok("GetSession")
    result = await bay.get("s-1")
    assert isinstance(result.error, BadAnswerError)
    assert result.request_id == "REQ-GetSession"


@pytest.mark.parametrize(
    ("session_id", "kind"),
    [
        ("", InvalidArgumentError),
        ("  ", InvalidArgumentError),
        ("a b", InvalidArgumentError),
        ("a\n", InvalidArgumentError),
        ({"sessionId": "s-1"}, ArgumentTypeError),
        (None, ArgumentTypeError),
        (7, ArgumentTypeError),
    ],
)
async def test_an_invalid_id_is_rejected_before_anything_is_sent(
    bay: AsyncAgentBay, scripted: Script, session_id: Any, kind: type[Exception]
) -> None:
    """Blank ids and dicts raise in every method."""
    for call in (bay.get, bay.delete, bay.pause, bay.resume):
        with pytest.raises(kind, match="session"):
            await call(session_id)
    assert scripted.requests == []


async def test_list_by_labels_returns_one_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """With its token, its counts and its ids."""
    data = [{"SessionId": "s-1", "ImageId": "i", "SessionStatus": "RUNNING"}, {"SessionId": "s-2"}]
    scripted.ok("ListSession", data, NextToken="t-2", MaxResults="2", TotalCount=5)
    params = ListSessionParams(max_results=2, labels={"a": "b"})
    params.next_token = "t-1"
    result = await bay.list_by_labels(params)
    assert scripted.forms("ListSession") == [
        {"Labels": '{"a":"b"}', "MaxResults": "2", "NextToken": "t-1"}
    ]
    assert result.session_ids == ["s-1", "s-2"]
    assert [session.image_id for session in result] == ["i", ""]
    assert (result.next_token, result.max_results, result.total_count) == ("t-2", 2, 5)
    assert len(result) == len(result.sessions) == 2


@pytest.mark.parametrize(("params", "labels"), [(None, "{}"), ({"a": "b"}, '{"a":"b"}')])
async def test_list_by_labels_accepts_plain_labels(
    bay: AsyncAgentBay, scripted: Script, params: Any, labels: str
) -> None:
    """Labels alone, or nothing, request the first page of ten."""
    scripted.ok("ListSession", [])
    result = await bay.list_by_labels(params)
    assert scripted.forms("ListSession") == [{"Labels": labels, "MaxResults": "10"}]
    assert (result.sessions, result.next_token, result.total_count) == ([], "", None)


async def test_list_by_labels_skips_entries_without_an_id(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """They cannot be used."""
    scripted.ok("ListSession", [{"SessionStatus": "RUNNING"}, {"SessionId": "s-2"}])
    assert (await bay.list_by_labels()).session_ids == ["s-2"]


async def test_delete_waits_until_the_session_is_gone(bay: AsyncAgentBay, scripted: Script) -> None:
    """It polls until the service does not know the session any more."""
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "DELETING"})
    scripted.ok("GetSessionDetail")
    scripted.fail("GetSessionDetail", _GONE)
    result = await bay.delete("s-1")
    assert result.success
    assert result.unwrap() is None
    assert scripted.actions == ["DeleteSessionAsync"] + ["GetSessionDetail"] * 3
    assert scripted.forms("DeleteSessionAsync") == [{"SessionId": "s-1"}]


async def test_the_repr_of_a_client_has_the_endpoint_but_no_key(
    bay: AsyncAgentBay, scripted: Script, api_key: str
) -> None:
    """It is fit for a log."""
    assert repr(bay) == f"AsyncAgentBay({scripted.endpoint!r})"
    assert api_key not in repr(bay)


async def test_the_region_is_sent(bays: Bays, scripted: Script) -> None:
    """The default region is sent if the protocol requires one."""
    scripted.ok("GetContext", {"Id": "SdkCtx-1"})
    await bays().context.get("data", create=True)
    assert scripted.forms("GetContext")[0]["LoginRegionId"] == "cn-hangzhou"


@pytest.mark.usefixtures("over_http")
async def test_the_endpoint_local_starts_an_embedded_service(
    monkeypatch: pytest.MonkeyPatch, scripted: Script
) -> None:
    """At the first call, once, and without a key."""
    started: list[ModuleType] = []
    module = ModuleType("agentbay_local.embedded")

    def embedded(_options: object) -> SimpleNamespace:
        started.append(module)
        return SimpleNamespace(endpoint=scripted.endpoint, api_key="akm-of-the-service")

    vars(module)["embedded"] = embedded
    monkeypatch.setitem(sys.modules, module.__name__, module)
    scripted.ok("ListContexts", [])
    async with AsyncAgentBay(endpoint="local") as bay:
        assert started == []
        for _ in range(2):
            assert (await bay.context.list()).success
    assert len(started) == 1
    assert b"Authorization=Bearer+akm-of-the-service" in scripted.requests[0].body


async def test_pause_and_resume_accept_a_session_or_its_id(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The client's methods are those of the session, under both names."""
    scripted.ok("PauseSessionAsync")
    scripted.ok("ResumeSessionAsync")
    scripted.ok("GetSession", {"SessionId": "s-1", "Status": "PAUSED"})
    session = (await bay.get("s-1")).session
    assert (await bay.pause(session, timedelta(seconds=3))).status == "PAUSED"
    assert (await bay.beta_pause("s-1")).status == "PAUSED"
    scripted.clear()
    scripted.ok("ResumeSessionAsync")
    scripted.ok("GetSession", {"Status": "RUNNING"})
    assert (await bay.resume(session)).status == "RUNNING"
    assert session.status == "RUNNING"
    assert (await bay.beta_resume("s-1")).status == "RUNNING"
