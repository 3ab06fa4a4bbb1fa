"""Tools by name: calling them, and listing the tools of an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    BadAnswerError,
    CreateSessionParams,
    InvalidArgumentError,
    McpTool,
    ToolContent,
    ToolError,
    _check,
)
from agentbay_async import session as agentbay_session

if TYPE_CHECKING:
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_WRAPPING = "Execution failed. Error code:-32602 Error message:"


@pytest.mark.parametrize("wrapped", [True, False])
async def test_every_item_of_an_answer_is_returned(
    session: AsyncSession, scripted: Script, wrapped: bool
) -> None:
    """As an object or as its JSON text; texts are joined, pictures are kept."""
    answer = {
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "resource", "blob": "aG8="},
            {"text": "two"},
        ],
        "isError": False,
    }
    scripted.ok("CallMcpTool", json.dumps(answer) if wrapped else answer)
    result = await session.call_mcp_tool("draw", {"über": [1, None, {"a": True}]})
    assert result.content == [
        ToolContent("text", "one"),
        ToolContent("image", data="aGk=", mime_type="image/png"),
        ToolContent("resource", data="aG8="),
        ToolContent("text", "two"),
    ]
    assert result.data == "one\ntwo"
    (form,) = scripted.forms("CallMcpTool")
    assert json.loads(form["Args"]) == {"über": [1, None, {"a": True}]}
    assert form["Name"] == "draw"


async def test_a_call_has_the_official_limits_and_may_replace_the_session(
    session: AsyncSession, scripted: Script
) -> None:
    """The limits are milliseconds, and count together."""
    scripted.ok("CallMcpTool", {"content": []})
    await session.call_mcp_tool("draw", {}, 2000, 500, True)
    await session.call_mcp_tool("draw", {})

    sent = [form["AutoGenSession"] for form in scripted.forms("CallMcpTool")]
    assert sent == ["true", "false"]
    assert agentbay_session._call_limit(None, 2000, 500) == 2.5
    assert agentbay_session._call_limit(None, None, None) is None
    with pytest.raises(InvalidArgumentError, match="read_timeout"):
        await session.get_metrics(read_timeout=0)


async def test_a_created_session_tells_its_addresses_and_tools(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Under the official names too, of which the deprecated ones warn."""
    tools = [{"name": "shell", "server": "wuying_shell"}]
    addresses = {"LinkUrl": "https://l.invalid", "WsUrl": "wss://w.invalid", "Token": "t"}
    network = {"VpcIp": "192.0.2.1", "VpcId": "v-1"}
    scripted.ok(
        "GetSession", {"SessionId": "s-1", "ToolList": json.dumps(tools), **addresses, **network}
    )
    found = (await bay.get("s-1")).session

    assert (found.link_url, found.ws_url, found.token) == tuple(addresses.values())
    assert (found.vpc_ip, found.vpc_id) == tuple(network.values())
    assert found.mcp_tools == found.mcpTools == [McpTool("shell", "wuying_shell")]
    assert found.enableBrowserReplay is None
    _check._warned.clear()
    with pytest.warns(DeprecationWarning, match=r"get_token\(\) is deprecated"):
        assert found.get_token() == "t"
    with pytest.warns(DeprecationWarning, match=r"getLinkUrl\(\) is deprecated"):
        assert found.getLinkUrl() == "https://l.invalid"


@pytest.mark.parametrize("data", [{}, {"content": []}, {"content": None}])
async def test_answer_without_content_is_empty(
    session: AsyncSession, scripted: Script, data: object
) -> None:
    """It is a success."""
    scripted.ok("CallMcpTool", data)
    result = await session.call_mcp_tool("quiet", {})
    assert (result.content, result.data) == ([], "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"type": "text", "text": "no"}, {"type": "text", "text": "never"}], "no\nnever"),
        ([{"type": "text", "text": f"{_WRAPPING} no ink"}], "no ink"),
        ([], "draw failed"),
        (None, "draw failed"),
    ],
)
async def test_failed_tool_is_a_failed_result(
    session: AsyncSession, scripted: Script, content: object, message: str
) -> None:
    """Its texts, or its name, are the message; wrapping is dropped."""
    scripted.ok("CallMcpTool", {"content": content, "isError": True})
    result = await session.call_mcp_tool("draw", {})
    assert isinstance(result.error, ToolError)
    assert result.error_message == message
    assert result.error.detail == (f"{_WRAPPING} no ink" if message == "no ink" else "")
    assert (result.request_id, result.error.session_id) == ("REQ-CallMcpTool", "s-1")
    for read in ("content", "data"):
        with pytest.raises(ToolError):
            getattr(result, read)


@pytest.mark.parametrize("data", [None, [], "[]", "text", 5, {"content": "text"}])
async def test_an_answer_of_another_form_is_a_bad_answer(
    session: AsyncSession, scripted: Script, data: object
) -> None:
    """It is not read as an empty answer."""
    scripted.ok("CallMcpTool", data)
    assert isinstance((await session.call_mcp_tool("draw", {})).error, BadAnswerError)


@pytest.mark.parametrize(
    ("name", "args", "kind"),
    [
        ("", {}, InvalidArgumentError),
        ("a b", {}, InvalidArgumentError),
        (None, {}, ArgumentTypeError),
        ("draw", None, ArgumentTypeError),
        ("draw", [1], ArgumentTypeError),
        ("draw", {"a": object()}, ArgumentTypeError),
    ],
)
async def test_invalid_arguments_of_a_tool_call_are_rejected(
    session: AsyncSession, scripted: Script, name: Any, args: Any, kind: type[Exception]
) -> None:
    """Blank names, and arguments that are not JSON."""
    with pytest.raises(kind):
        await session.call_mcp_tool(name, args)
    assert scripted.requests == []


@pytest.mark.parametrize("wrapped", [True, False])
async def test_tools_are_listed(session: AsyncSession, scripted: Script, wrapped: bool) -> None:
    """The list may be JSON text or an array."""
    tools = [
        {
            "name": "shell",
            "server": "wuying_shell",
            "description": "Runs",
            "inputSchema": {"type": "object"},
        },
        {},
    ]
    scripted.ok("ListMcpTools", json.dumps(tools) if wrapped else tools)
    result = await session.list_mcp_tools("linux_latest")
    assert result.tools == [McpTool("shell", "wuying_shell", "Runs"), McpTool("")]
    assert result.tools[0].input_schema == {"type": "object"}


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ('{"type": "object"}', {"type": "object"}),
        ("no schema", "no schema"),
        ("[1]", "[1]"),
        (None, {}),
    ],
)
async def test_a_schema_may_be_text(
    session: AsyncSession, scripted: Script, sent: object, read: object
) -> None:
    """One that cannot be read is kept, and does not hide the other tools."""
    scripted.ok("ListMcpTools", [{"name": "a", "inputSchema": sent}, {"name": "b"}])
    tools = (await session.list_mcp_tools("linux_latest")).tools
    assert [tool.name for tool in tools] == ["a", "b"]
    assert tools[0].input_schema == read


async def test_tools_are_those_of_the_image(bay: AsyncAgentBay, scripted: Script) -> None:
    """Of the given image, or the session's, or the default one."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.ok("GetSessionDetail", {"Status": "RUNNING"})
    scripted.ok("ListMcpTools", "")
    made = (await bay.create(CreateSessionParams(image_id="code_latest"))).session
    plain = (await bay.create()).session
    assert (await made.list_mcp_tools("browser_latest")).tools == []
    await made.list_mcp_tools()
    await plain.list_mcp_tools()
    assert scripted.forms("ListMcpTools") == [
        {"ImageId": "browser_latest"},
        {"ImageId": "code_latest"},
        {"ImageId": "linux_latest"},
    ]


async def test_invalid_image_id_is_rejected(session: AsyncSession, scripted: Script) -> None:
    """A dict would be sent as its repr."""
    wrong: Any = {"id": "linux_latest"}
    with pytest.raises(ArgumentTypeError, match="image_id"):
        await session.list_mcp_tools(wrong)
    assert scripted.requests == []
