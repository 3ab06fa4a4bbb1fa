"""Direct calls of tools: when they are used, what is sent, and when the API is used instead."""

from __future__ import annotations

import gc
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from agentbay_async import (
    APIError,
    AsyncSession,
    BadAnswerError,
    ClosedError,
    ConnectionLostError,
    RequestTimeoutError,
    ServiceError,
    ToolContent,
    ToolError,
)
from agentbay_async._transport.access import tool_servers

from .machine import TOKEN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import InstantClock

    from agentbay_async import AsyncAgentBay

    from .machine import Machine

    Join = Callable[[], Awaitable[AsyncSession]]


def _hello(_args: dict[str, Any]) -> str:
    return "hello"


def _link_answers(machine: Machine, body: object, status: int = 200) -> None:
    async def answer(_request: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text)

    machine.link = answer


def _link_breaks(machine: Machine) -> None:
    async def abort(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    machine.link = abort


async def test_a_tool_is_called_at_the_address_of_its_session(
    linked: AsyncSession, machine: Machine
) -> None:
    """With server, tool and arguments as JSON, and the token in a header; not through the API."""
    machine.tools["shell"] = _hello
    result = await linked.call_mcp_tool("shell", {"command": "ü", "n": None})
    assert result.data == "hello"
    assert result.request_id.startswith("link-")
    (call,) = machine.calls
    assert (call.channel, call.server, call.args) == (
        "link",
        "wuying_shell",
        {"command": "ü", "n": None},
    )
    assert call.headers["X-Access-Token"] == TOKEN
    assert json.loads(call.body)["requestId"] == result.request_id


async def test_a_direct_call_sends_the_token_in_header_and_body_and_no_key(
    linked: AsyncSession, machine: Machine
) -> None:
    """Official clients send both; which of them a gateway reads is not documented."""
    machine.tools["shell"] = _hello
    await linked.call_mcp_tool("shell", {})
    (call,) = machine.calls
    assert "akm-" not in call.body + str(dict(call.headers))
    assert json.loads(call.body)["token"] == call.headers["X-Access-Token"] == TOKEN


@pytest.mark.parametrize("missing", ["LinkUrl", "Token", "ToolList"])
async def test_incomplete_access_data_means_calls_through_the_api(
    join: Join, machine: Machine, missing: str
) -> None:
    """A direct call needs URL, token and server."""
    machine.offer(**{missing: ""})
    machine.tools["shell"] = _hello
    session = await join()
    assert (await session.call_mcp_tool("shell", {})).success
    assert machine.channels() == ["api"]


async def test_a_tool_of_an_unknown_server_is_called_through_the_api(
    linked: AsyncSession, machine: Machine
) -> None:
    """The service finds it by name."""
    machine.tools["unlisted"] = _hello
    await linked.call_mcp_tool("unlisted", {})
    assert [(call.channel, call.server) for call in machine.calls] == [("api", "")]


async def test_a_call_through_the_api_names_the_known_server(join: Join, machine: Machine) -> None:
    """Two servers may offer tools with the same name."""
    machine.offer(LinkUrl="")
    machine.tools["shell"] = _hello
    await (await join()).call_mcp_tool("shell", {})
    assert [(call.channel, call.server) for call in machine.calls] == [("api", "wuying_shell")]


async def test_all_items_of_a_direct_answer_are_read(
    linked: AsyncSession, machine: Machine
) -> None:
    """Pictures, bare texts and texts under other keys."""
    content = [
        {"type": "text", "text": "one"},
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        "two",
        {"blob": "three"},
        {"type": "text", "text": None},
    ]
    machine.tools["shell"] = lambda _args: {"content": content}
    result = await linked.call_mcp_tool("shell", {})
    assert result.content == [
        ToolContent("text", "one"),
        ToolContent("image", data="aGk=", mime_type="image/png"),
        ToolContent("text", "two"),
        ToolContent("text", "three"),
        ToolContent("text", ""),
    ]


async def test_a_direct_answer_may_be_json_text(linked: AsyncSession, machine: Machine) -> None:
    """Some gateways encode it twice."""
    inner = json.dumps({"result": {"content": [{"text": "in"}], "isError": False}})
    _link_answers(machine, {"code": 0, "data": inner})
    assert (await linked.call_mcp_tool("shell", {})).data == "in"


async def test_a_tool_error_of_a_direct_call_is_not_retried(
    linked: AsyncSession, machine: Machine
) -> None:
    """A second run could do harm."""
    machine.tools["shell"] = lambda _args: {"content": ["no such thing"], "isError": True}
    result = await linked.call_mcp_tool("shell", {})
    assert isinstance(result.error, ToolError)
    assert result.error_message == "no such thing"
    assert machine.channels() == ["link"]


async def test_a_command_is_not_run_twice_after_a_lost_connection(
    linked: AsyncSession, machine: Machine
) -> None:
    """It may have run, so the error is raised."""
    _link_breaks(machine)
    result = await linked.command.run("rm -r build")
    assert isinstance(result.error, ConnectionLostError)
    assert machine.channels() == []


async def test_a_read_is_repeated_through_the_api_after_a_lost_connection(
    linked: AsyncSession, machine: Machine
) -> None:
    """Reads are idempotent; the next call tries the direct address again."""
    _link_breaks(machine)
    machine.tools["list_directory"] = lambda _args: "[FILE] a"
    assert (await linked.call_mcp_tool("list_directory", {})).data == "[FILE] a"
    machine.link = None
    await linked.call_mcp_tool("list_directory", {})
    assert machine.channels() == ["api", "link"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_direct_call_is_repeated_through_the_api(
    linked: AsyncSession, machine: Machine, status: int
) -> None:
    """The token may have expired; the command did not run."""
    _link_answers(machine, "", status)
    machine.tools["shell"] = _hello
    assert (await linked.call_mcp_tool("shell", {})).success
    assert machine.channels() == ["api"]


@pytest.mark.parametrize("status", [200, 400])
async def test_a_direct_read_that_is_refused_is_repeated_through_the_api(
    linked: AsyncSession, machine: Machine, status: int
) -> None:
    """With an error code and no data, whatever the status: reading twice does no harm."""
    _link_answers(machine, {"code": "InvalidToken", "message": "no"}, status)
    machine.tools["list_directory"] = lambda _args: "[FILE] a"
    assert (await linked.call_mcp_tool("list_directory", {})).data == "[FILE] a"
    assert machine.channels() == ["api"]


@pytest.mark.parametrize("status", [200, 400])
async def test_a_direct_command_that_is_refused_is_not_repeated(
    linked: AsyncSession, machine: Machine, status: int
) -> None:
    """It may have run; the error has the code and the reason."""
    _link_answers(machine, {"code": "InvalidToken", "message": "no"}, status)
    machine.tools["shell"] = _hello
    error = (await linked.call_mcp_tool("shell", {})).error
    assert isinstance(error, APIError)
    assert (error.code, machine.channels()) == ("InvalidToken", [])


async def test_an_unreachable_direct_address_is_avoided_for_a_while(
    join: Join, machine: Machine, clock: InstantClock
) -> None:
    """For half a minute, so that calls do not wait for it each time."""
    machine.tools["shell"] = _hello
    machine.offer(LinkUrl="http://127.0.0.1:9")
    session = await join()
    assert (await session.call_mcp_tool("shell", {})).success
    machine.offer()
    session = await join()
    assert (await session.call_mcp_tool("shell", {})).success
    clock.now += 31
    assert (await session.call_mcp_tool("shell", {})).success
    assert machine.channels() == ["api", "api", "link"]


async def test_a_direct_answer_without_content_is_empty(
    linked: AsyncSession, machine: Machine
) -> None:
    """A tool that only acts has nothing to say."""
    _link_answers(machine, {"data": {"result": {"isError": False}}}, 200)
    assert (await linked.call_mcp_tool("shell", {})).unwrap() == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ("no json", 200, BadAnswerError),
        ("{}", 200, BadAnswerError),
        ({"data": {"result": {}}}, 200, BadAnswerError),
        ({"data": {"result": {"content": "text"}}}, 200, BadAnswerError),
        ({"data": {"result": {"content": [7]}}}, 200, BadAnswerError),
        ({"code": "Broken", "message": "on fire"}, 500, ServiceError),
        ({"code": "Odd"}, 302, APIError),
        ("[" * 20_000, 200, BadAnswerError),
    ],
)
async def test_an_invalid_direct_answer_is_a_failure(
    linked: AsyncSession, machine: Machine, body: object, status: int, kind: type[Exception]
) -> None:
    """Never an empty success."""
    _link_answers(machine, body, status)
    result = await linked.call_mcp_tool("shell", {})
    assert isinstance(result.error, kind)
    assert result.error.request_id.startswith("link-")
    assert result.error.session_id == "s-1"


async def test_a_direct_call_has_the_timeout_of_the_call(
    linked: AsyncSession, machine: Machine
) -> None:
    """It raises a RequestTimeoutError."""
    import asyncio

    closing = asyncio.Event()

    async def silent(_request: web.Request) -> web.Response:
        await closing.wait()
        return web.Response()

    machine.link = silent
    result = await linked.call_mcp_tool("list_directory", {}, timeout=0.05)
    closing.set()
    assert isinstance(result.error, RequestTimeoutError)
    assert machine.channels() == []


async def test_the_token_is_in_no_message(
    linked: AsyncSession, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the log, nor in an error, nor in a repr."""
    caplog.set_level(logging.DEBUG)
    _link_breaks(machine)
    result = await linked.call_mcp_tool("shell", {})
    access = linked._access
    assert TOKEN not in f"{caplog.text}{result!r}{result.error!r}{linked!r}{access!r}"
    assert "/link" not in f"{caplog.text}{result!r}{access!r}"


async def test_a_closed_client_makes_no_direct_calls(
    linked: AsyncSession, linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """It raises ClosedError."""
    await linked_bay.aclose()
    with pytest.raises(ClosedError):
        await linked.call_mcp_tool("shell", {})
    assert machine.calls == []


async def test_sessions_of_an_image_share_its_list_of_tools(join: Join) -> None:
    """There is one object for a thousand sessions."""
    first, second = await join(), await join()
    assert first._access is not None
    assert second._access is not None
    assert first._access.tools is second._access.tools


@pytest.mark.parametrize(
    "text", ["", "no json", "7", '{"name": "shell"}', "[7, null]", "[" * 20_000]
)
def test_an_invalid_list_of_tools_has_no_tools(text: str) -> None:
    """All tools are called through the API."""
    assert tool_servers(text).server_of("shell") == ""


def test_the_first_of_two_tools_with_one_name_counts() -> None:
    """As in the official client."""
    tools = tool_servers('[{"name": "a", "server": "x"}, {"name": "a", "server": "y"}]')
    assert tools.server_of("a") == "x"


def _ran(_args: dict[str, Any]) -> str:
    return json.dumps({"stdout": "", "stderr": "", "exit_code": 0})


async def test_a_service_calls_directly_although_its_session_is_dropped(
    join: Join, machine: Machine
) -> None:
    """A program may keep ``session.command`` only, or write all of it on one line."""
    machine.tools["shell"] = _ran
    command = (await join()).command
    gc.collect()
    assert (await command.run("true")).success
    assert machine.channels() == ["link"]


@pytest.mark.parametrize(
    "keep",
    [
        lambda session: session,
        lambda session: session.context,
        lambda session: session.file_system,
        lambda session: session.file_system.watch("/"),
        lambda session: session.file_system.watch_directory("/", print),
        lambda session: session.agent.browser,
    ],
)
async def test_access_data_lives_as_long_as_an_object_that_uses_it(
    join: Join, linked_bay: AsyncAgentBay, keep: Callable[[AsyncSession], object]
) -> None:
    """And no longer: a client may live for millions of sessions."""
    kept = keep(await join())
    gc.collect()
    assert linked_bay._api.access["s-1"].is_known
    del kept
    gc.collect()
    assert "s-1" not in linked_bay._api.access


async def test_a_listed_session_is_looked_up_once(
    linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """For the first call that needs its address; later calls use it too."""
    machine.tools["shell"] = _ran
    session = AsyncSession(linked_bay._api, "s-1")
    for _ in range(2):
        assert (await session.command.run("true", timeout=100)).success
    assert machine.actions.count("GetSession") == 1
    assert machine.channels() == ["link", "link"]
