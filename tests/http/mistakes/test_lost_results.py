"""Mistakes of other clients, each named after the loss of its user: results that were not true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AgentTask, APIError, CommandResult, ToolError, TransportError

from ..scripted import tool_answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.scripted import Relay, Script

    from agentbay_async import AsyncAgentBay, AsyncSession


async def test_a_rejected_tool_call_is_a_failure(session: AsyncSession, scripted: Script) -> None:
    """The data of the answer looks like a success; the flag counts."""
    scripted.ok(
        "CallMcpTool", tool_answer("done"), Success=False, Code="Quota.Used", Message="too many"
    )
    for result in (
        await session.call_mcp_tool("shell", {}),
        await session.command.run("true"),
        await session.file_system.create_directory("d"),
    ):
        assert isinstance(result.error, APIError)
        assert (result.code, result.request_id) == ("Quota.Used", "REQ-CallMcpTool")
        assert "too many" in result.error_message


async def test_a_connection_error_is_not_output_of_a_command(
    session: AsyncSession, scripted: Script
) -> None:
    """Reading the output raises the reason."""
    scripted.disconnect("CallMcpTool")
    result = await session.command.run("make")
    assert isinstance(result, CommandResult)
    assert isinstance(result.error, TransportError)
    for name in ("stdout", "stderr", "output", "exit_code"):
        with pytest.raises(TransportError):
            getattr(result, name)


@pytest.mark.parametrize("shift", [0, 1, 2])
async def test_a_character_split_over_two_chunks_is_not_damaged(
    local_session: AsyncSession,
    home: Path,
    relay: Relay,
    shift: int,
) -> None:
    """Chunks are read as bytes and decoded together."""
    text = "x" * shift + "汉" * 40_000
    (home / "f").write_text(text, encoding="utf-8")
    assert (await local_session.file_system.read("f")).content == text
    assert [form["Name"] for form in relay.forms("CallMcpTool")].count("read_file") == 3


async def test_a_looked_up_session_has_the_tools_of_its_image(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The answer to a look-up does not name the image, so the client asks once."""
    scripted.ok("GetSession", {"SessionId": "s-1"})
    scripted.ok("GetSessionDetail", {"Status": "RUNNING", "ImageId": "code_latest"})
    scripted.ok("ListMcpTools", "[]")
    session = (await bay.get("s-1")).session
    for _ in range(2):
        (await session.list_mcp_tools()).unwrap()
    assert scripted.forms("ListMcpTools") == [{"ImageId": "code_latest"}] * 2
    assert scripted.actions.count("GetSessionDetail") == 1
    assert session.image_id == "code_latest"


async def test_a_browser_that_could_not_be_stopped_is_a_failure(
    session: AsyncSession, scripted: Script
) -> None:
    """It continues to run, and to cost."""
    scripted.ok("CallMcpTool", tool_answer("no such process", error=True))
    result = await session.browser.destroy()
    assert isinstance(result.error, ToolError)
    assert "no such process" in result.error_message


async def test_a_wait_for_an_agent_prints_nothing(
    session: AsyncSession, scripted: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to the program."""
    scripted.ok("CallMcpTool", tool_answer(json.dumps({"taskId": "t-1"})))
    scripted.ok("CallMcpTool", tool_answer(json.dumps({"taskId": "t-1", "status": "running"})))
    scripted.ok("CallMcpTool", tool_answer(json.dumps({"status": "finished", "product": "42"})))
    task = (await session.agent.computer.execute_task_and_wait("think", timeout=60)).unwrap()
    assert isinstance(task, AgentTask)
    assert capfd.readouterr() == ("", "")
