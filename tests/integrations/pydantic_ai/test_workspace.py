"""Agents with a scripted model work in sessions of the capability, which deletes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic_ai import Agent, ModelResponse, RunContext, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.workspaces import (
    Workspace,
    WorkspaceOutputLimitError,
    WorkspaceRef,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from agentbay_async import AsyncAgentBay
from agentbay_integrations.pydantic_ai import AgentBayBackend, AgentBayWorkspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai import ModelMessage

    from agentbay_local import LocalService


def _agent(workspace: AgentBayWorkspace, *commands: str) -> Agent:
    """Return an agent whose model runs commands, and answers with the output of the last."""

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        number = sum(isinstance(message, ModelResponse) for message in messages) % (
            len(commands) + 1
        )
        if number < len(commands):
            call = ToolCallPart("execute", {"command": commands[number]})
            return ModelResponse(parts=[call])
        return ModelResponse(parts=[TextPart(messages[-1].parts[-1].content)])

    agent = Agent(FunctionModel(model), capabilities=[workspace])

    @agent.tool
    async def execute(ctx: RunContext[None], command: str) -> str:
        return (await ctx.workspace.run(command, shell=True)).stdout

    return agent


def test_the_program_of_the_page_runs(run_program: Callable[[str], str]):
    """It needs neither a key nor a model."""
    assert run_program("pydantic_ai") == "42\nsessions left: 0\n"


async def test_a_conversation_keeps_its_session_until_the_capability_ends(service: LocalService):
    """A later run finds it by the message history; its labels name the framework and the run."""
    async with AgentBayWorkspace() as workspace:
        agent = _agent(workspace, "echo hi > a; cat a")
        first = await agent.run("go")
        [labels] = service.living().values()
        assert (labels["framework"], labels["run"]) == ("pydantic-ai", first.run_id)

        second = await _agent(workspace, "cat a").run("go on", message_history=first.all_messages())

        assert (first.output, second.output) == ("hi\n", "hi\n")
        assert second.workspace.ref == first.workspace.ref
        other = await agent.run("go")
        assert other.workspace.ref != first.workspace.ref
        assert len(service.living()) == 2
    assert service.living() == {}


async def test_a_session_that_is_handed_in_serves_all_runs_and_stays(service: LocalService):
    """A message history does not lead the agent to another session."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        async with AgentBayWorkspace(session) as workspace:
            result = await _agent(workspace, "echo hi").run("go")

            assert result.workspace.ref == WorkspaceRef(provider="agentbay", id=session.session_id)
            foreign = WorkspaceRef(provider="agentbay", id="another")
            assert workspace.get_workspace(None, ref=foreign) is None
            assert workspace.get_workspace(None, ref=WorkspaceRef(provider="e2b", id="x")) is None
        assert list(service.living()) == [session.session_id]


async def test_a_cancelled_agent_leaves_no_session(service: LocalService):
    """The block of the capability ends, and waits for the deletion."""
    started = asyncio.Event()

    async def run() -> None:
        async with AgentBayWorkspace() as workspace:
            agent = _agent(workspace, "sleep 3600")
            original = workspace.get_workspace

            def get_workspace(*args: object, **options: object) -> AgentBayBackend:
                started.set()
                return original(*args, **options)

            workspace.get_workspace = get_workspace
            await agent.run("go")

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert service.living() == {}


async def test_the_client_of_the_environment_is_made_and_closed_with_the_backend(
    service: LocalService,
):
    """The reference stays, for what was recorded with it."""
    backend = AgentBayBackend()
    await backend.working_dir()
    ref = backend.ref

    await backend.aclose()

    assert service.living() == {}
    assert ref is not None
    assert backend.ref == ref
    attached = AgentBayBackend(ref=ref)
    with pytest.raises(WorkspaceUnavailableError):
        await attached.session()
    await attached.aclose()


async def test_output_and_time_have_limits_with_errors_of_the_framework(service: LocalService):
    """The errors have what there was of the output."""
    backend = AgentBayBackend()
    try:
        with pytest.raises(WorkspaceOutputLimitError) as large:
            await backend.run("head -c 11000000 /dev/zero | tr '\\0' x", shell=True)
        assert len(large.value.stdout) == 64 * 1024
        with pytest.raises(WorkspaceOutputLimitError):
            await backend.run("head -c 17000000 /dev/zero | tr '\\0' x", shell=True)
        with pytest.raises(WorkspaceTimeoutError) as slow:
            await backend.run("echo so far; sleep 3600", shell=True, timeout=1)
        assert slow.value.stdout == "so far\n"
    finally:
        await backend.aclose()


async def test_bad_arguments_are_built_in_errors(service: LocalService):
    """As the framework asks for; nothing is created for them."""
    backend = AgentBayBackend()

    for timeout in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            await backend.run(["true"], timeout=timeout)
    with pytest.raises(ValueError, match="absolute"):
        await backend.read_bytes("relative")
    with pytest.raises(ValueError, match="provider"):
        AgentBayBackend(ref=WorkspaceRef(provider="e2b", id="x"))
    assert service.living() == {}
    await backend.aclose()


async def test_special_paths_have_the_errors_of_the_system(service: LocalService):
    """A dangling link, a missing directory, a link to a directory."""
    backend = AgentBayBackend()
    workspace = Workspace(backend)
    try:
        await workspace.run("mkdir real; ln -s nowhere dangling; ln -s real link", shell=True)
        with pytest.raises(FileNotFoundError):
            await workspace.stat("dangling")
        assert not await workspace.exists("dangling")
        await workspace.remove("link/")
        assert await workspace.exists("real")
        await workspace.remove("dangling")
        with pytest.raises(FileNotFoundError):
            await workspace.remove("dangling")
        with pytest.raises(FileNotFoundError):
            await workspace.list_dir("missing")
    finally:
        await backend.aclose()
