"""Sessions: create, look up, release, pause, resume, and errors."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")

BY_ID = [
    "GetSession",
    "GetSessionDetail",
    "GetMcpResource",
    "GetLabel",
    "SetLabel",
    "DeleteSessionAsync",
    "ReleaseMcpSession",
    "PauseSessionAsync",
    "ResumeSessionAsync",
    "RefreshSessionIdleTime",
    "SyncContext",
    "GetContextInfo",
    "BindContexts",
    "DescribeSessionContexts",
    "CallMcpTool",
]


async def test_a_created_session_can_be_looked_up(api: Api) -> None:
    """Create returns an id and the tools; a look-up returns both."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    found = (await api.ok("GetSession", SessionId=created["SessionId"]))["Data"]
    assert created["Success"] is True
    assert found["Status"] == "RUNNING"
    assert found["AppInstanceId"] == created["AppInstanceId"]
    tools = {tool["name"]: tool["server"] for tool in json.loads(found["ToolList"])}
    assert tools["shell"] == "wuying_shell"
    assert json.loads(created["ToolList"]) == json.loads(found["ToolList"])


@pytest.mark.parametrize("action", BY_ID)
async def test_an_unknown_session_is_not_found(api: Api, action: str) -> None:
    """Every action has the same error, with HTTP 400."""
    status, body = await api.call(action, SessionId="s-never", Labels={"a": "b"}, Name="shell")
    assert (status, body["Code"]) == (400, "InvalidMcpSession.NotFound")


@pytest.mark.parametrize("action", BY_ID)
@pytest.mark.parametrize("given", ["", "   "])
async def test_a_blank_session_id_is_a_missing_parameter(api: Api, action: str, given: str) -> None:
    """The error names SessionId."""
    status, body = await api.call(action, SessionId=given)
    assert (status, body["Code"]) == (400, "MissingParameter")
    assert "SessionId" in body["Message"]


async def test_a_released_session_is_not_found(api: Api) -> None:
    """Only its detail is kept, with the status FINISH."""
    session = await api.session()
    await api.ok("DeleteSessionAsync", SessionId=session)
    await api.reached(session, "FINISH")
    assert await api.code("GetSession", SessionId=session) == "InvalidMcpSession.NotFound"
    assert await api.code("DeleteSessionAsync", SessionId=session) == "InvalidMcpSession.NotFound"


async def test_nothing_of_a_released_session_is_left(api: Api) -> None:
    """Neither its directory nor a process of it."""
    session = await api.session()
    await api.sh(session, "sleep 1000 >/dev/null 2>&1 & echo x > file")
    place = api.service.home / "sessions" / session
    assert (place / "home/wuying/file").exists()
    await api.released(session)
    assert not place.exists()


async def test_concurrent_releases_are_one_release(api: Api) -> None:
    """The second request joins the first, or the session is gone."""
    session = await api.session()
    await api.sh(session, "true")
    calls = [api.call("DeleteSessionAsync", SessionId=session) for _ in range(2)]
    codes = {body["Code"] for _, body in await asyncio.gather(*calls)}
    assert codes <= {"ok", "InvalidMcpSession.NotFound"}
    assert "ok" in codes
    await api.reached(session, "FINISH")


async def test_release_of_an_old_client_is_synchronous(api: Api) -> None:
    """Old clients do not poll."""
    session = await api.session()
    await api.ok("ReleaseMcpSession", SessionId=session)
    assert await api.status(session) == "FINISH"


@pytest.mark.parametrize(
    "fields",
    [
        {"Timeout": 0},
        {"Timeout": -5},
        {"Timeout": 5, "MaxRuntime": 0},
        {"Timeout": 5, "ManualRelease": True},
        {"MaxRuntime": 10**12},
    ],
)
async def test_invalid_lifetimes_are_rejected(api: Api, fields: dict[str, Any]) -> None:
    """No session is created."""
    assert await api.code("CreateMcpSession", **fields) == "InvalidParameter"


async def test_a_session_reports_its_isolation(api: Api) -> None:
    """The level is in every session's description."""
    session = await api.session()
    data = (await api.ok("GetMcpResource", SessionId=session))["Data"]
    properties = json.loads(data["DesktopInfo"]["ConnectionProperties"])
    assert properties["isolation"] == api.service.isolation.isolation.value


async def test_pause_stops_the_processes_and_resume_continues_them(api: Api) -> None:
    """A counting process continues after a pause."""
    session = await api.session()
    await api.sh(session, "(while sleep 0.01; do echo x >> /tmp/count; done) >/dev/null 2>&1 &")
    await api.ok("PauseSessionAsync", SessionId=session)
    assert await api.status(session) in ("PAUSING", "PAUSED")
    await api.reached(session, "PAUSED")
    await api.ok("ResumeSessionAsync", SessionId=session)
    assert await api.status(session) in ("RESUMING", "RUNNING")
    await api.reached(session, "RUNNING")
    before = await api.sh(session, "wc -l < /tmp/count || echo 0")
    grown = f"until [ $(wc -l < /tmp/count) -gt {int(before)} ]; do sleep 0.01; done"
    await api.sh(session, grown)
    await api.released(session)


@pytest.mark.parametrize("action", ["CallMcpTool", "DeleteSessionAsync", "SyncContext"])
async def test_a_paused_session_rejects_requests(api: Api, action: str) -> None:
    """Tools, release and syncs fail with a remedy."""
    session = await api.session()
    await api.ok("PauseSessionAsync", SessionId=session)
    await api.reached(session, "PAUSED")
    status, body = await api.call(action, SessionId=session, Name="shell", Args={"command": "ls"})
    assert (status, body["Code"]) == (400, "IncorrectSessionStatus")
    assert "resume" in body["Message"]
    await api.ok("ResumeSessionAsync", SessionId=session)
    await api.reached(session, "RUNNING")
    await api.released(session)


async def test_pause_and_resume_are_idempotent(api: Api) -> None:
    """Repeating them is not an error."""
    session = await api.session()
    await api.ok("PauseSessionAsync", SessionId=session)
    await api.ok("PauseSessionAsync", SessionId=session)
    await api.reached(session, "PAUSED")
    await api.ok("ResumeSessionAsync", SessionId=session)
    await api.ok("ResumeSessionAsync", SessionId=session)
    await api.reached(session, "RUNNING")
