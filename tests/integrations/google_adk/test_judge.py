"""Agents of ADK with a scripted model use every tool of its toolset in sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools.environment import EnvironmentToolset
from google.genai import types

from agentbay_async import AsyncAgentBay, CreateSessionParams, SessionNotFoundError
from agentbay_integrations.google_adk import AgentBayEnvironment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from agentbay_local import LocalService

# ADK says so of its environments and their tools.
pytestmark = pytest.mark.filterwarnings(r"ignore:\[EXPERIMENTAL\]:UserWarning")


class Scripted(BaseLlm):
    """A model that calls some tools, one after the other, and then ends."""

    model: str = "scripted"
    calls: list[tuple[str, dict[str, Any]]]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Answer with the next call."""
        done = sum(
            part.function_response is not None
            for content in llm_request.contents
            for part in content.parts
        )
        if done < len(self.calls):
            name, args = self.calls[done]
            part = types.Part(function_call=types.FunctionCall(name=name, args=args))
        else:
            part = types.Part(text="done")
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


async def run_agent(
    environment: AgentBayEnvironment, *calls: tuple[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Let an agent make the calls; return what the tools have answered."""
    toolset = EnvironmentToolset(environment=environment)
    agent = LlmAgent(name="worker", model=Scripted(calls=list(calls)), tools=[toolset])
    runner = InMemoryRunner(agent, app_name="judge")
    conversation = await runner.session_service.create_session(app_name="judge", user_id="u")
    message = types.Content(role="user", parts=[types.Part(text="go")])
    try:
        return [
            part.function_response.response
            async for event in runner.run_async(
                user_id="u", session_id=conversation.id, new_message=message
            )
            for part in (event.content.parts if event.content else [])
            if part.function_response is not None
        ]
    finally:
        await runner.close()


async def test_an_agent_uses_every_tool_of_the_toolset(service: LocalService):
    """Commands and files are in one session, which the runner deletes at its end."""
    answers = await run_agent(
        AgentBayEnvironment(),
        ("WriteFile", {"path": "src/a.txt", "content": "one\ntwo\n"}),
        ("EditFile", {"path": "src/a.txt", "old_string": "two", "new_string": "2"}),
        ("ReadFile", {"path": "src/a.txt"}),
        ("Execute", {"command": "cat src/a.txt; pwd; echo no >&2; exit 3"}),
        ("ReadFile", {"path": "nowhere"}),
    )
    written, edited, read, executed, missing = answers
    assert written["status"] == edited["status"] == read["status"] == "ok"
    assert "one" in str(read)
    assert executed["stdout"].startswith("one\n2\n")
    assert (executed["stderr"], executed["exit_code"]) == ("no\n", 3)
    assert missing["status"] == "error"
    assert not service.living()


async def test_an_environment_is_a_session_with_labels(service: LocalService):
    """Bytes come back as they were written; a command that is over its time is killed."""
    async with AsyncAgentBay() as bay:
        params = CreateSessionParams(labels={"job": "7"})
        environment = AgentBayEnvironment(bay=bay, params=params, run="r-1")
        with pytest.raises(RuntimeError, match="initialize"):
            _ = environment.working_dir
        await environment.initialize()
        await environment.initialize()
        labels = {"framework": "google-adk", "run": "r-1", "job": "7"}
        assert len([one async for one in bay.list(labels)]) == 1
        content = bytes(range(256))
        await environment.write_file(environment.working_dir / "new" / "b", content)
        assert await environment.read_file("new/b") == content
        with pytest.raises(FileNotFoundError):
            await environment.read_file("nowhere")
        late = await environment.execute("echo now; sleep 600", timeout=1)
        assert (late.timed_out, late.stdout, late.exit_code) == (True, "now\n", 124)
        await environment.close()
        await environment.close()
        assert not environment.is_initialized


async def test_a_cancelled_command_ends_and_a_session_of_the_caller_stays(service: LocalService):
    """The environment deletes nothing that it has not made."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        environment = AgentBayEnvironment(session=session)
        await environment.initialize()
        call = asyncio.create_task(environment.execute("touch begun; sleep 611"))
        await session.command.run("until [ -e begun ]; do sleep 0.05; done", check=True)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        left = (await session.command.run("ps ax -o args | grep '[s]leep 611'")).stdout
        assert left == ""
        await environment.close()
        assert (await session.get_status()).status == "RUNNING"


async def test_a_session_that_has_ended_is_an_error_of_the_tool(service: LocalService):
    """The model reads it; a program gets the typed error."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        environment = AgentBayEnvironment(session=session)
        await environment.initialize()
        (await session.delete()).unwrap()
        with pytest.raises(SessionNotFoundError):
            await environment.execute("id")
        (answer,) = await run_agent(environment, ("Execute", {"command": "id"}))
        assert answer["status"] == "error"


def test_the_program_of_the_page_runs(run_program: Callable[[str], str]):
    """It needs neither a key nor a model."""
    assert run_program("google_adk") == "42\nsessions left: 0\n"
