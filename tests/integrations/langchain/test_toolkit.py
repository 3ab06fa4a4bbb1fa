"""What a model gets from the tools, blocking and async, and what ends an agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AsyncAgentBay, SessionNotFoundError
from agentbay_integrations.langchain import AgentBayToolkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import ToolMessage

    from agentbay_local import LocalService

_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def _call(toolkit: AgentBayToolkit, name: str, **arguments: Any) -> ToolMessage:
    [tool] = [tool for tool in toolkit.get_tools() if tool.name == name]
    return tool.invoke({"name": name, "args": arguments, "id": "1", "type": "tool_call"})


def test_the_program_of_the_page_runs(run_program: Callable[[str], str]):
    """It needs neither a key nor a model."""
    assert run_program("langchain") == "6765\nsessions left: 0\n"


def test_tools_describe_themselves_to_a_model(service: LocalService):
    """Their arguments have descriptions; the private ones of the framework are not among them."""
    with AgentBayToolkit() as toolkit:
        tools = {tool.name: tool for tool in toolkit.get_tools()}

    assert list(tools) == [
        "run_command",
        "run_code",
        "read_file",
        "write_file",
        "edit_file",
        "list_files",
    ]
    for tool in tools.values():
        assert tool.description
        assert "self" not in tool.args
        assert all(argument["description"] for argument in tool.args.values())


def test_a_command_tells_its_exit_code_and_its_limits(service: LocalService):
    """The label of the session names framework and run."""
    with AgentBayToolkit(run="42", timeout=1, output_limit=10) as toolkit:
        failed = _call(toolkit, "run_command", command="echo out; echo bad >&2; exit 3")
        assert failed.content == "out\nbad\n[exit code 3]"
        assert failed.artifact == {"exit_code": 3, "timed_out": False, "truncated": False}
        large = _call(toolkit, "run_command", command="seq 9")
        assert large.content == "[8 characters left out]\n5\n6\n7\n8\n9\n"
        assert large.artifact["truncated"]
        slow = _call(toolkit, "run_command", command="sleep 3600")
        assert slow.artifact["timed_out"]
        assert "[exit code 124]" in slow.content
        assert _call(toolkit, "run_command", command="true").content == "(no output)"
        [labels] = service.living().values()
        assert (labels["framework"], labels["run"]) == ("langchain", "42")
    assert service.living() == {}


def test_code_keeps_its_variables_and_gives_pictures(service: LocalService):
    """A picture is a content block of the framework; an error comes with its traceback."""
    with AgentBayToolkit() as toolkit:
        _call(toolkit, "run_code", code="x = 20")
        shown = _call(toolkit, "run_code", code="print('hi'); x + 1")
        assert shown.content == [{"type": "text", "text": "hi\n"}, {"type": "text", "text": "21"}]
        assert [one.text for one in shown.artifact] == ["21"]
        code = (
            "from base64 import b64decode\nfrom IPython.display import Image\n"
            f"Image(data=b64decode('{_PNG}'))"
        )
        [picture] = _call(toolkit, "run_code", code=code).content
        assert picture == {"type": "image", "base64": _PNG, "mime_type": "image/png"}
        [failed] = _call(toolkit, "run_code", code="1 / 0").content
        assert "ZeroDivisionError" in failed["text"]
        assert _call(toolkit, "run_code", code="pass").content == [
            {"type": "text", "text": "(no output)"}
        ]


def test_files_are_written_edited_read_and_listed(service: LocalService):
    """What a model can mend is told to it, and does not end the agent."""
    with AgentBayToolkit() as toolkit:
        _call(toolkit, "write_file", path="/tmp/d/a", content="one\ntwo\n")
        diff = _call(toolkit, "edit_file", path="/tmp/d/a", old_text="two", new_text="three")
        assert "+three" in diff.content
        assert _call(toolkit, "read_file", path="/tmp/d/a").content == "one\nthree\n"
        _call(toolkit, "run_command", command="mkdir /tmp/d/e")
        assert _call(toolkit, "list_files", path="/tmp/d").content == "a\ne/"
        assert _call(toolkit, "list_files", path="/tmp/d/e").content == "(empty)"
        for name, arguments in {
            "read_file": {"path": "/tmp/missing"},
            "run_command": {"command": " "},
            "run_code": {"code": "1", "language": "cobol"},
            "edit_file": {"path": "/tmp/d/a", "old_text": "", "new_text": "x"},
        }.items():
            failed = _call(toolkit, name, **arguments)
            assert failed.status == "error", name
        assert "no such file" in _call(toolkit, "read_file", path="/tmp/missing").content


async def test_a_session_that_is_gone_ends_the_agent(service: LocalService):
    """A model cannot mend that."""
    async with AsyncAgentBay() as bay:
        session = (await bay.create()).unwrap()
        async with AgentBayToolkit(session) as toolkit:
            tool = toolkit.get_tools()[0]
            assert await tool.ainvoke({"command": "echo hi"}) == "hi\n"
            (await session.delete()).unwrap()
            with pytest.raises(SessionNotFoundError):
                await tool.ainvoke({"command": "echo hi"})


async def test_a_cancelled_tool_ends_its_command(service: LocalService):
    """The session that is handed in stays, so that its processes can be looked at."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        async with AgentBayToolkit(session_id=session.session_id) as toolkit:
            line = "echo $$ >/tmp/new; mv /tmp/new /tmp/pid; exec sleep 3600"
            running = asyncio.create_task(toolkit.get_tools()[0].ainvoke({"command": line}))
            await session.command.run("until [ -e /tmp/pid ]; do sleep 0.01; done", check=True)

            running.cancel()

            with pytest.raises(asyncio.CancelledError):
                await running
            wait = "while kill -0 $(cat /tmp/pid); do sleep 0.01; done"
            await session.command.run(wait, check=True)
        assert list(service.living()) == [session.session_id]


def test_bad_options_are_refused():
    """Before anything is created."""
    with pytest.raises(ValueError, match="above 0"):
        AgentBayToolkit(timeout=0)
    with pytest.raises(ValueError, match="above 0"):
        AgentBayToolkit(output_limit=-1)
    with pytest.raises(ValueError, match="either"):
        AgentBayToolkit(object(), session_id="s")
