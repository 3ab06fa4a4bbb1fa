"""One session: labels, info, status, keep_alive, pause and resume."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    APIError,
    ArgumentTypeError,
    BadAnswerError,
    GetSessionData,
    InvalidArgumentError,
    OperationTimeoutError,
    SessionInfo,
    SessionNotFoundError,
    SessionStateError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession, Result

_GONE = "InvalidMcpSession.NotFound"


async def test_set_labels_sends_all_labels(session: AsyncSession, scripted: Script) -> None:
    """As JSON text, with every character."""
    scripted.ok("GetLabel")
    scripted.ok("SetLabel")
    result = await session.set_labels({"project": "grüße", "a": "b"})
    assert result.success
    assert result.data is None
    (form,) = scripted.forms("SetLabel")
    assert form["SessionId"] == "s-1"
    assert json.loads(form["Labels"]) == {"project": "grüße", "a": "b"}


@pytest.mark.parametrize(
    ("labels", "kind", "named"),
    [
        ({}, InvalidArgumentError, "labels"),
        ({"": "x"}, InvalidArgumentError, "key"),
        ({" ": "x"}, InvalidArgumentError, "key"),
        ({"a": ""}, InvalidArgumentError, r"labels\['a'\]"),
        ({"a": "\t"}, InvalidArgumentError, r"labels\['a'\]"),
        ({"a": 1}, ArgumentTypeError, r"labels\['a'\]"),
        ({1: "a"}, ArgumentTypeError, "key"),
        (None, ArgumentTypeError, "labels"),
        (["a"], ArgumentTypeError, "labels"),
        ("a=b", ArgumentTypeError, "labels"),
    ],
)
async def test_set_labels_rejects_invalid_labels(
    session: AsyncSession,
    scripted: Script,
    labels: Any,
    kind: type[Exception],
    named: str,
) -> None:
    """Blank keys, blank values and other types raise before anything is sent."""
    with pytest.raises(kind, match=named):
        await session.set_labels(labels)
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ({"Labels": '{"a": "b"}'}, {"a": "b"}),
        ({"Labels": {"a": "b"}}, {"a": "b"}),
        ({"Labels": '{"a": 1, "b": true}'}, {"a": "1", "b": "true"}),
        ({"Labels": ""}, {}),
        ({"Labels": None}, {}),
        ({}, {}),
        (None, {}),
    ],
)
async def test_get_labels_reads_text_or_an_object(
    session: AsyncSession, scripted: Script, data: object, labels: dict[str, str]
) -> None:
    """Labels are JSON text, an object or absent."""
    scripted.ok("GetLabel", data)
    result = await session.get_labels()
    assert result.data == labels
    assert scripted.forms("GetLabel") == [{"SessionId": "s-1"}]


@pytest.mark.parametrize("labels", ["not json", "[1]", ["a"], 5])
async def test_malformed_labels_are_a_bad_answer(
    session: AsyncSession, scripted: Script, labels: object
) -> None:
    """They are not taken for no labels."""
    scripted.ok("GetLabel", {"Labels": labels})
    assert isinstance((await session.get_labels()).error, BadAnswerError)


async def test_info_has_the_desktop_of_the_session(session: AsyncSession, scripted: Script) -> None:
    """Every field; secrets are not in the repr."""
    desktop = {
        "AppId": "app",
        "AuthCode": "the-auth-code",
        "ConnectionProperties": {"a": 1},
        "ResourceId": "p-1",
        "ResourceType": "AIAgent",
        "Ticket": "the-ticket",
    }
    answer = {"SessionId": "s-1", "ResourceUrl": "https://r/?code=x", "DesktopInfo": desktop}
    scripted.ok("GetMcpResource", answer)
    info = (await session.info()).data
    assert info == SessionInfo(
        "s-1",
        "https://r/?code=x",
        "app",
        "the-auth-code",
        '{"a":1}',
        "p-1",
        "AIAgent",
        "the-ticket",
    )
    for secret in ("the-auth-code", "the-ticket", "code=x"):
        assert secret not in repr(info)


async def test_details_are_all_that_the_service_says(
    session: AsyncSession, scripted: Script
) -> None:
    """What it does not say is empty."""
    answer = {
        "SessionId": "s-1",
        "Status": "RUNNING",
        "Token": "t0ken",
        "LinkUrl": "https://link",
        "HttpPort": "8080",
        "VpcResource": True,
        "contexts": [{"id": "c-1", "name": "data"}],
    }
    scripted.ok("GetSession", answer)
    details = (await session.get_details()).data
    assert details == GetSessionData(
        session_id="s-1",
        status="RUNNING",
        success=True,
        token="t0ken",
        link_url="https://link",
        http_port="8080",
        vpc_resource=True,
        contexts=[{"id": "c-1", "name": "data"}],
    )
    for secret in ("t0ken", "https://link"):
        assert secret not in repr(details)


async def test_details_without_data_fail(session: AsyncSession, scripted: Script) -> None:
    """They are not taken for empty ones."""
    scripted.ok("GetSession")
    assert isinstance((await session.get_details()).error, BadAnswerError)


async def test_info_without_a_desktop_has_empty_fields(
    session: AsyncSession, scripted: Script
) -> None:
    """They are never None."""
    scripted.ok("GetMcpResource", {})
    assert (await session.info()).data == SessionInfo()


async def test_info_without_data_fails(session: AsyncSession, scripted: Script) -> None:
    """It is not taken for an empty answer."""
    scripted.ok("GetMcpResource")
    assert isinstance((await session.info()).error, BadAnswerError)


@pytest.mark.parametrize(
    ("data", "status"), [({"Status": "FINISH"}, "FINISH"), ({}, ""), (None, "")]
)
async def test_get_status_returns_the_state(
    session: AsyncSession, scripted: Script, data: object, status: str
) -> None:
    """As the service writes it, or empty text."""
    scripted.ok("GetSessionDetail", data)
    assert (await session.get_status()).status == status


async def test_keep_alive_is_acknowledged(session: AsyncSession, scripted: Script) -> None:
    """The idle time restarts; the answer has no other data."""
    scripted.ok("RefreshSessionIdleTime", {"Anything": 1})
    result = await session.keep_alive()
    assert result.success
    assert result.data is None
    assert scripted.forms("RefreshSessionIdleTime") == [{"SessionId": "s-1"}]


_CALLS: dict[str, Callable[[AsyncSession], Coroutine[Any, Any, Result[Any]]]] = {
    "SetLabel": lambda session: session.set_labels({"a": "b"}),
    "GetLabel": lambda session: session.get_labels(),
    "GetMcpResource": lambda session: session.info(),
    "GetSessionDetail": lambda session: session.get_status(),
    "RefreshSessionIdleTime": lambda session: session.keep_alive(),
    "PauseSessionAsync": lambda session: session.pause(),
    "ResumeSessionAsync": lambda session: session.resume(),
    "DeleteSessionAsync": lambda session: session.delete(),
    "ListMcpTools": lambda session: session.list_mcp_tools("linux_latest"),
    "CallMcpTool": lambda session: session.call_mcp_tool("shell", {}),
    "GetContextInfo": lambda session: session.context.info(),
    "DescribeSessionContexts": lambda session: session.context.list_bindings(),
}


@pytest.mark.parametrize("action", _CALLS)
@pytest.mark.parametrize("status", [200, 400])
async def test_an_error_is_a_failed_result_of_every_method(
    session: AsyncSession, scripted: Script, action: str, status: int
) -> None:
    """HTTP 200 with ``Success: false`` is always a failure."""
    if action == "SetLabel":
        # The library first reads its own labels.
        scripted.ok("GetLabel")
    scripted.fail(action, "Some.Code", "the reason", status=status)
    result = await _CALLS[action](session)
    assert not result.success
    assert isinstance(result.error, APIError)
    assert result.code == "Some.Code"
    assert result.request_id == f"REQ-{action}"
    with pytest.raises(APIError, match="the reason"):
        result.unwrap()


async def test_pause_waits_until_the_session_is_paused(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """It polls the state with growing pauses."""
    scripted.ok("PauseSessionAsync")
    for _ in range(5):
        scripted.ok("GetSession", {"Status": "PAUSING"})
    scripted.ok("GetSession", {"Status": "PAUSED"})
    result = await session.pause(poll_interval=0.1)
    assert result.status == session.status == "PAUSED"
    assert len(clock.sleeps) == 5
    assert max(clock.sleeps) == 0.1


async def test_resume_waits_until_the_session_runs(session: AsyncSession, scripted: Script) -> None:
    """RESUMING continues the wait, RUNNING ends it."""
    scripted.ok("ResumeSessionAsync")
    scripted.ok("GetSession", {"Status": "RESUMING"})
    scripted.ok("GetSession", {"Status": "RUNNING"})
    assert (await session.resume()).status == "RUNNING"
    assert scripted.actions == ["ResumeSessionAsync", "GetSession", "GetSession"]


@pytest.mark.parametrize(("data", "status"), [({"Status": "RUNNING"}, "RUNNING"), (None, "")])
async def test_pause_fails_when_the_session_reaches_another_state(
    session: AsyncSession, scripted: Script, data: object, status: str
) -> None:
    """The error has the state, and the session object keeps its own."""
    scripted.ok("PauseSessionAsync")
    scripted.ok("GetSession", data)
    result = await session.pause()
    assert isinstance(result.error, SessionStateError)
    assert result.error.status == status
    assert result.error.session_id == "s-1"
    assert (status or "an unknown state") in result.error_message


async def test_pause_times_out(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """At the timeout, and not later."""
    scripted.ok("PauseSessionAsync")
    scripted.ok("GetSession", {"Status": "PAUSING"})
    result = await session.pause(timeout=30)
    assert isinstance(result.error, OperationTimeoutError)
    assert "30 s" in result.error_message
    assert sum(clock.sleeps) == pytest.approx(30)


@pytest.mark.parametrize("trouble", ["disconnect", "truncate"])
async def test_pause_is_not_retried_after_a_lost_answer(
    session: AsyncSession, scripted: Script, trouble: str
) -> None:
    """The protocol does not say that it is idempotent."""
    getattr(scripted, trouble)("PauseSessionAsync")
    assert not (await session.pause()).success
    assert scripted.actions == ["PauseSessionAsync"]


@pytest.mark.parametrize("argument", ["timeout", "poll_interval"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", True, None])
async def test_invalid_timeouts_are_rejected(
    session: AsyncSession, scripted: Script, argument: str, value: Any
) -> None:
    """They must be finite numbers above 0."""
    for call in (session.pause, session.resume):
        with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=argument):
            await call(**{argument: value})
    assert scripted.requests == []


async def test_services_are_created_once(session: AsyncSession) -> None:
    """Every name returns the same object every time."""
    assert session.command is session.command
    assert session.context is session.context
    assert session.file_system is session.fs is session.filesystem is session.files
    assert repr(session) == "AsyncSession('s-1')"


async def test_the_session_of_a_failed_result_raises_the_error(
    session: AsyncSession, scripted: Script
) -> None:
    """Not an AttributeError."""
    scripted.fail("GetLabel", _GONE, "Resource [McpSession] is not found.")
    result = await session.get_labels()
    with pytest.raises(SessionNotFoundError, match="not found"):
        _ = result.data
