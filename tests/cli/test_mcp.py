"""``agentbay mcp``, as an MCP client starts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from agentbay_cli.main import main

if TYPE_CHECKING:
    import pytest

    from agentbay_local import LocalService


async def test_a_client_starts_the_server_and_its_sessions_end_with_it(user: LocalService) -> None:
    """By standard input and output, on which nothing but the protocol is written."""
    program = str(Path(sys.executable).with_name("agentbay"))
    options = ["mcp", "--image", "code_latest", "--max-sessions", "1"]
    started = StdioServerParameters(command=program, args=options, env=dict(os.environ))
    async with Client(stdio_client(started)) as client:
        created = await client.call_tool("session_create", {})
        assert created.structured_content is not None
        session = created.structured_content["session_id"]
        arguments = {"session_id": session, "command": "echo hello"}
        result = await client.call_tool("run_command", arguments)
        assert result.structured_content is not None
        assert result.structured_content["output"] == "hello\n"
        assert list(await user.aliving()) == [session]
    assert await user.aliving() == {}


async def test_a_budget_ends_the_making_of_sessions(user: LocalService) -> None:
    """Also of those that were deleted since."""
    program = str(Path(sys.executable).with_name("agentbay"))
    options = ["mcp", "--budget-sessions", "1", "--budget-hours", "1"]
    started = StdioServerParameters(command=program, args=options, env=dict(os.environ))
    async with Client(stdio_client(started)) as client:
        created = await client.call_tool("session_create", {})
        assert created.structured_content is not None
        place = {"session_id": created.structured_content["session_id"]}
        await client.call_tool("session_delete", place)
        refused = await client.call_tool("session_create", {})
        assert "the budget of 1 sessions is spent" in str(refused.content)
    assert await user.aliving() == {}


def test_without_its_package_the_command_says_what_to_install(
    user: LocalService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    del user
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("mcp", "agentbay_mcp"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 2
    message = capsys.readouterr().err
    assert "pip install 'agentbay-async[mcp]'" in message
    assert message.count("\n") == 1
