"""Agents with a scripted model work in a session, blocking and async, and end with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from deepagents import create_deep_agent
from deepagents.backends.protocol import ExecuteResponse
from deepagents_code.integrations.sandbox_provider import SandboxError, SandboxNotFoundError
from deepagents_code.integrations.sandbox_registry import SandboxRegistry
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from agentbay import AgentBay
from agentbay_async import AsyncAgentBay, SessionNotFoundError
from agentbay_integrations.deepagents import AgentBaySandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local import LocalService


class _Scripted(GenericFakeChatModel):
    """A model that says what it is told to, whatever its tools are."""

    def bind_tools(self, *_args: Any, **_options: Any) -> _Scripted:
        return self


def _agent(sandbox: AgentBaySandbox, command: str) -> Any:
    """Return an agent whose model runs a command, and then ends."""
    call = {"name": "execute", "args": {"command": command}, "id": "1"}
    script = [AIMessage("", tool_calls=[call]), AIMessage("done")]
    return create_deep_agent(model=_Scripted(messages=iter(script)), backend=sandbox)


def test_the_program_of_the_page_runs(run_program: Callable[[str], str]):
    """It needs neither a key nor a model."""
    assert run_program("deepagents") == "3 notes.txt\nsessions left: 0\n"


def test_a_blocking_agent_runs_commands_in_a_session_of_its_own(service: LocalService):
    """Its labels name framework and run."""
    with AgentBaySandbox(run="42") as sandbox:
        result = _agent(sandbox, "echo $((6 * 7)); echo bad >&2; exit 3").invoke(
            {"messages": [("user", "go")]}
        )

        assert "42\nbad" in result["messages"][-2].content
        labels = service.living()[sandbox.id]
        assert (labels["framework"], labels["run"]) == ("deepagents", "42")
    assert service.living() == {}


async def test_a_cancelled_agent_ends_its_command_and_its_session(service: LocalService):
    """The session that is handed in stays, so that its processes can be looked at."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        sandbox = AgentBaySandbox(session)
        agent = _agent(sandbox, "echo $$ >/tmp/new; mv /tmp/new /tmp/pid; exec sleep 3600")
        running = asyncio.create_task(agent.ainvoke({"messages": [("user", "go")]}))
        await session.command.run("until [ -e /tmp/pid ]; do sleep 0.01; done", check=True)

        running.cancel()

        with pytest.raises(asyncio.CancelledError):
            await running
        await session.command.run("while kill -0 $(cat /tmp/pid); do sleep 0.01; done", check=True)
        await sandbox.aclose()
        assert list(service.living()) == [session.session_id]


async def test_blocking_calls_between_async_ones_share_the_session(service: LocalService):
    """The framework mixes them: its default for a tool that blocks is a thread."""
    async with AgentBaySandbox() as sandbox:
        await sandbox.aexecute("echo hi >/tmp/a")

        done = await asyncio.to_thread(sandbox.execute, "cat /tmp/a")

        assert done == ExecuteResponse("hi\n", exit_code=0)
        assert len(service.living()) == 1
    assert service.living() == {}


def test_time_and_output_have_limits(service: LocalService):
    """As the framework's own sandboxes."""
    with AgentBaySandbox() as sandbox:
        slow = sandbox.execute("echo so far; sleep 3600", timeout=1)
        assert slow.exit_code == 124
        assert slow.output.startswith("so far\n")
        large = sandbox.execute("head -c 5000000 /dev/zero | tr '\\0' x; echo end >&2")
        assert large.truncated
        assert len(large.output) < 4_300_000
        assert large.output.endswith("x\nend\n")
        assert sandbox.execute("true", timeout=0).exit_code == 0
        assert sandbox.execute("  ").exit_code == 1
        with pytest.raises(ValueError, match="timeout"):
            sandbox.execute("true", timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        AgentBaySandbox(timeout=0)
    with pytest.raises(ValueError, match="either"):
        AgentBaySandbox(object(), session_id="s")


def test_failures_of_files_have_the_words_of_the_framework(service: LocalService):
    """A model can mend them; one file that fails does not stop the others."""
    with AgentBaySandbox() as sandbox:
        sandbox.execute("mkdir /tmp/d; echo x >/tmp/f; chmod 0 /tmp/f")
        paths = ["/tmp/missing", "/tmp/d", "relative", "/tmp/f", "/tmp/f/below"]

        down = [response.error for response in sandbox.download_files(paths)]
        up = [one.error for one in sandbox.upload_files([(path, b"x") for path in paths])]

        assert down[:3] == ["file_not_found", "is_directory", "invalid_path"]
        assert down[4] == "invalid_path"
        assert up[:3] == [None, "is_directory", "invalid_path"]
        assert up[4] == "invalid_path"


def test_a_session_that_is_gone_is_an_error_of_its_own(service: LocalService):
    """It is no failure of a command, which the model would try to mend."""
    with AgentBaySandbox() as sandbox, AgentBaySandbox(session_id=sandbox.id) as other:
        assert other.execute("echo hi").output == "hi\n"
        sandbox.close()
        with pytest.raises(SessionNotFoundError):
            other.execute("echo hi")
        with pytest.raises(SessionNotFoundError):
            other.download_files(["/tmp/x"])


def test_deep_agents_code_finds_the_provider(service: LocalService):
    """By its entry point; it makes, finds and deletes sessions."""
    registry = SandboxRegistry()
    assert registry.get_metadata("agentbay").install.name == "agentbay-async"
    provider = registry.create_provider("agentbay")

    sandbox = provider.get_or_create()
    with sandbox, provider.get_or_create(sandbox_id=sandbox.id) as same:
        sandbox.execute("echo hi >/tmp/a")
        assert same.execute("cat /tmp/a").output == "hi\n"
        provider.delete(sandbox_id=same.id)
        provider.delete(sandbox_id=same.id)
        assert service.living() == {}
        with pytest.raises(SandboxNotFoundError):
            provider.get_or_create(sandbox_id=same.id)
    with pytest.raises(SandboxError):
        provider.get_or_create(image_id="no_such_image")
    with pytest.raises(TypeError, match="snapshot"):
        provider.get_or_create(snapshot="x")


def test_a_program_that_does_not_close_its_sandbox_ends(service: LocalService):
    """The private thread does not hold the interpreter."""
    code = (
        "from agentbay_integrations.deepagents import AgentBaySandbox\n"
        "sandbox = AgentBaySandbox()\n"
        "print(sandbox.execute('echo hi').output)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout == "hi\n\n"
    # Its lifetime would end the session.
    with AgentBay() as bay:
        bay.delete_many(labels={"framework": "deepagents"}).raise_for_failures()
