"""Limits and refusals of the cloud: known ones are checked before sending, others are explained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ConnectionLostError,
    CreateSessionParams,
    InvalidArgumentError,
    ListSessionParams,
    RetryPolicy,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession, HttpRequest, HttpResponse

_TOOLS = [{"name": name, "server": "server"} for name in ("shell", "run_code", "slow")]


@pytest.fixture
async def linked(bay: AsyncAgentBay, scripted: Script) -> AsyncSession:
    """Return a session with an address of its own."""
    access = {"LinkUrl": "https://link.test", "Token": "t", "ToolList": json.dumps(_TOOLS)}
    scripted.ok("GetSession", {"SessionId": "s-2", **access})
    answer = {"data": {"result": tool_answer("done")}}
    for tool in ("shell", "run_code", "slow"):
        scripted.raw(f"{tool} (direct)", json.dumps(answer))
    return (await bay.get("s-2")).session


async def test_a_long_command_is_refused_if_its_request_would_be_cut(
    session: AsyncSession, scripted: Script
) -> None:
    """With the cure, before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=r"at most 50 seconds.*command\.start"):
        await session.command.run("make all", timeout=51)
    with pytest.raises(InvalidArgumentError, match="at most 50 seconds"):
        await session.command.run("make all", timeout_ms=300_000)
    assert scripted.requests == []


async def test_long_code_is_refused_if_its_request_would_be_cut(
    session: AsyncSession, scripted: Script
) -> None:
    """Streams do not pass the gateway."""
    with pytest.raises(InvalidArgumentError, match=r"at most 60 seconds.*stream"):
        await session.code.run_code("work()", timeout_s=61)
    assert scripted.requests == []


async def test_calls_to_the_address_of_a_session_may_be_long(
    linked: AsyncSession, scripted: Script
) -> None:
    """They have the limit of their tool, and a little for the way."""
    assert (await linked.command.run("make all", timeout=700)).success
    assert (await linked.code.run_code("work()", timeout_s=800)).success
    (await linked.call_mcp_tool("slow", {"timeout_ms": 400_000})).unwrap()
    (await linked.call_mcp_tool("slow", {"timeout_s": 500})).unwrap()
    (await linked.call_mcp_tool("slow", {})).unwrap()
    limits = [request.timeout for request in scripted.requests if "(direct)" in request.action]
    assert limits == [715, 815, 415, 515, 10]


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ({f"k{number}": "v" for number in range(21)}, "at most 20 entries, not 21"),
        ({"k" * 129: "v"}, "each key of labels must have at most 128 characters"),
        ({"k": "v" * 257}, "at most 256 characters, not 257"),
    ],
)
def test_labels_have_limits(labels: dict[str, str], named: str) -> None:
    """In sessions and in filters."""
    for make in (CreateSessionParams, ListSessionParams):
        with pytest.raises(InvalidArgumentError, match=named):
            make(labels=labels)


def test_labels_may_have_the_limits() -> None:
    """Exactly."""
    labels = {"k" * 128: "v" * 256, **{f"k{number}": "v" for number in range(19)}}
    assert CreateSessionParams(labels=labels).labels == labels


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("only BrowserUse image support cdp", "give a port"),
        ("the feature needs a subscription", "paid plan (Pro or Ultra)"),
        ("the session is paused", "resume it first"),
    ],
)
async def test_a_refused_link_is_explained(
    session: AsyncSession, scripted: Script, message: str, hint: str
) -> None:
    """Each reason has its own cure."""
    scripted.fail("GetLink", "Forbidden.Link", message)
    assert hint in (await session.get_link()).error_message


@pytest.mark.parametrize(("seconds", "explained"), [(60.0, True), (5.0, False)])
async def test_a_request_that_the_gateway_ended_is_explained(
    bays: Bays, scripted: Script, clock: InstantClock, seconds: float, explained: bool
) -> None:
    """A loss after a minute is likely its doing, an earlier one is not."""
    scripted.ok("GetSession", {"SessionId": "s-1"})

    async def lose(_request: HttpRequest) -> HttpResponse:
        await clock.sleep(seconds)
        raise ConnectionLostError("CallMcpTool: the connection broke")

    scripted.respond("CallMcpTool", lose)
    session = (await bays(retry=RetryPolicy(attempts=1)).get("s-1")).session
    result: Any = await session.command.run("make all")
    assert ("command.start()" in result.error_message) == explained
