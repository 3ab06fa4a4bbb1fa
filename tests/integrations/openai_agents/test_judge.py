"""Agents with the framework's scripted model, and the life of their sandboxes."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from agents import RunConfig, Runner
from agents.sandbox import (
    ExecTimeoutError,
    ExecTransportError,
    ExposedPortUnavailableError,
    LocalSnapshotSpec,
    Manifest,
    RemoteSnapshotSpec,
    SandboxAgent,
    SandboxRunConfig,
    WorkspaceArchiveReadError,
    WorkspaceArchiveWriteError,
    WorkspaceReadNotFoundError,
)
from agents.sandbox.capabilities import Filesystem, Shell
from agents.sandbox.entries import File
from agents.sandbox.errors import WorkspaceStartError
from agents.sandbox.session import Dependencies
from agents.testing import ModelCall, ModelStep, ScriptedModel, assistant_message, function_call
from openai.types.responses import ResponseCustomToolCall

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_integrations.openai_agents import (
    AgentBaySandboxClient,
    AgentBaySandboxClientOptions,
    ContextSnapshotClient,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents import TResponseOutputItem
    from agents.sandbox.session import SandboxSession

    from agentbay_local import LocalService


def _call(name: str, **arguments: object) -> list[TResponseOutputItem]:
    return [function_call(name, arguments, call_id=uuid.uuid4().hex)]


def _outputs(model: ScriptedModel) -> str:
    return json.dumps(model.last_call.input, default=str)


def _agent(model: ScriptedModel, **options: object) -> SandboxAgent:
    capabilities = [Shell(), Filesystem()]
    return SandboxAgent(name="Tester", model=model, capabilities=capabilities, **options)


async def test_an_agent_runs_commands_on_the_files_of_its_manifest(service: LocalService):
    """The session is made for the run, labelled, and deleted with it."""
    model = ScriptedModel(
        [
            _call("exec_command", cmd="cat notes.txt; pwd; echo oops >&2; exit 3"),
            [assistant_message("done")],
        ]
    )
    agent = _agent(model, default_manifest=Manifest(entries={"notes.txt": File(content=b"hi")}))
    labels: list[dict[str, str]] = []

    class Watching(AgentBaySandboxClient):
        async def delete(self, session: SandboxSession) -> SandboxSession:
            labels.extend(service.living().values())
            return await super().delete(session)

    sandbox = SandboxRunConfig(client=Watching())
    result = await Runner.run(agent, "go", run_config=RunConfig(sandbox=sandbox))

    assert result.final_output == "done"
    assert "hi/workspace" in _outputs(model)
    assert "oops" in _outputs(model)
    assert "exited with code 3" in _outputs(model)
    model.assert_complete()
    assert service.living() == {}


async def test_an_agent_talks_to_a_program_that_it_started(service: LocalService):
    """The program has a terminal, and ends with the run if it has not ended before."""
    program = "read a; echo got $a; sleep 1000"
    ids: list[int] = []

    def answer(call: ModelCall) -> list[TResponseOutputItem]:
        text = json.dumps(call.input, default=str)
        number = int(text.split("session ID ")[1].split("\\n")[0].split('"')[0])
        ids.append(number)
        return _call("write_stdin", session_id=number, chars="ping\n", yield_time_ms=5000)

    model = ScriptedModel(
        [
            _call("exec_command", cmd=program, tty=True, yield_time_ms=300),
            ModelStep.respond(answer),
            [assistant_message("done")],
        ]
    )
    async with AsyncAgentBay() as bay, bay.session() as session:
        sandbox = SandboxRunConfig(client=AgentBaySandboxClient(session=session))
        await Runner.run(_agent(model), "go", run_config=RunConfig(sandbox=sandbox))
        gone = "while pgrep -f '[s]leep 1000'; do sleep 0.1; done"
        (await session.command.run(gone, timeout=30)).unwrap()

    assert len(ids) == 1
    assert "got ping" in _outputs(model)


async def test_an_agent_patches_files(service: LocalService):
    """Through the framework's own tool, on the session that the caller has handed in."""
    patch = "*** Begin Patch\n*** Add File: src/new.py\n+print(6 * 7)\n*** End Patch"
    model = ScriptedModel(
        [
            [
                ResponseCustomToolCall(
                    type="custom_tool_call", name="apply_patch", call_id="1", input=patch
                )
            ],
            _call("exec_command", cmd="python3 src/new.py"),
            [assistant_message("done")],
        ]
    )
    async with AsyncAgentBay() as bay, bay.session() as session:
        sandbox = SandboxRunConfig(client=AgentBaySandboxClient(session=session))
        await Runner.run(_agent(model), "go", run_config=RunConfig(sandbox=sandbox))

        assert list(service.living()) == [session.session_id]
        assert (await session.file_system.read_file("/workspace/src/new.py")).content
    assert "42" in _outputs(model)


_CRASHES = """
import asyncio, json, os, sys
from agents.sandbox import Manifest
from agents.sandbox.entries import File
from agentbay_integrations.openai_agents import AgentBaySandboxClient

async def main():
    client = AgentBaySandboxClient()
    sandbox = await client.create(manifest=Manifest(entries={"a.txt": File(content=b"from afar")}))
    await sandbox.start()
    await sandbox.exec("echo more >> a.txt")
    print(json.dumps(client.serialize_session_state(sandbox.state)), flush=True)
    os._exit(1)

asyncio.run(main())
"""


async def test_a_sandbox_is_resumed_after_the_program_has_crashed(service: LocalService):
    """The state, which ``RunState`` keeps, leads to the same session, with its files."""
    crashed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _CRASHES], capture_output=True, timeout=300
    )
    state = json.loads(crashed.stdout)
    assert list(service.living()) == [state["agentbay_session_id"]]
    client = AgentBaySandboxClient()

    sandbox = await client.resume(client.deserialize_session_state(state))
    async with sandbox:
        content = (await sandbox.read(Path("a.txt"))).read()
        assert list(service.living()) == [state["agentbay_session_id"]]

    assert content == b"from afarmore\n"
    assert service.living() == {}


async def test_a_state_that_is_resumed_can_be_deleted_without_a_start(service: LocalService):
    """As after a crash whose work nobody needs."""
    client = AgentBaySandboxClient()
    sandbox = await client.create()
    await sandbox.start()
    payload = client.serialize_session_state(sandbox.state)

    resumed = await client.resume(client.deserialize_session_state(payload))
    assert not await resumed.running()
    await client.delete(resumed)

    assert service.living() == {}
    await client.delete(sandbox)


@pytest.mark.parametrize("place", ["local", "context"])
async def test_a_workspace_outlives_its_session_in_a_snapshot(
    service: LocalService, tmp_path: Path, place: str
):
    """On this machine, or in a context."""
    async with AsyncAgentBay() as bay:
        context = (await bay.context.get("snapshots", create=True)).context
        values = {"snapshots": ContextSnapshotClient(context.id, bay=bay)}
        client = AgentBaySandboxClient(bay=bay, dependencies=Dependencies.with_values(values))
        spec = (
            LocalSnapshotSpec(base_path=tmp_path)
            if place == "local"
            else RemoteSnapshotSpec(client_dependency_key="snapshots")
        )
        async with await client.create(snapshot=spec) as sandbox:
            await sandbox.exec("mkdir -p deep && head -c 3000000 /dev/urandom > deep/data")
            before = await sandbox.exec("sha256sum deep/data")
            state = client.serialize_session_state(sandbox.state)
        assert service.living() == {}

        async with await client.resume(client.deserialize_session_state(state)) as sandbox:
            after = await sandbox.exec("sha256sum deep/data")

        assert before.exit_code == 0
        assert after.stdout == before.stdout
        assert service.living() == {}
        await bay.context.delete(context)


async def test_a_sandbox_that_is_paused_in_the_end_goes_on(service: LocalService):
    """Its processes and files are as they were."""
    client = AgentBaySandboxClient()
    options = AgentBaySandboxClientOptions(pause_on_exit=True)
    async with await client.create(options=options) as sandbox:
        await sandbox.write(Path("kept.txt"), io.BytesIO(b"kept"))
        first = sandbox.state.agentbay_session_id
    await client.delete(sandbox)
    assert list(service.living()) == [first]

    await client.delete(await client.resume(sandbox.state))
    assert list(service.living()) == [first]
    state = sandbox.state.model_copy(update={"pause_on_exit": False})
    async with await client.resume(state) as resumed:
        assert (await resumed.read(Path("kept.txt"))).read() == b"kept"
        assert resumed.state.agentbay_session_id == first

    async with await client.create(options=options) as sandbox:
        pass
    state = sandbox.state.model_copy(update={"pause_on_exit": False})
    await client.delete(await client.resume(state))
    assert service.living() == {}


async def test_an_exposed_port_has_urls_for_http_and_web_sockets(service: LocalService):
    """The port of a server in the session, reached from here."""
    from aiohttp import ClientSession

    client = AgentBaySandboxClient()
    options = AgentBaySandboxClientOptions(exposed_ports=(30100,))
    async with await client.create(options=options) as sandbox:
        await sandbox.write(Path("index.html"), io.BytesIO(b"served"))
        server = await sandbox.pty_exec_start(
            "exec python3 -u -m http.server 30100", yield_time_s=0.25
        )
        assert server.process_id is not None
        await sandbox.exec(
            "while ! (echo > /dev/tcp/127.0.0.1/30100); do sleep 0.1; done",
            shell=["bash", "-c"],
            timeout=60,
        )
        endpoint = await sandbox.resolve_exposed_port(30100)
        async with ClientSession() as http, http.get(endpoint.url_for("http")) as answer:
            assert await answer.text() == "served"
        assert endpoint.url_for("ws").startswith("ws")
        with pytest.raises(ValueError, match="http"):
            endpoint.url_for("ftp")
        with pytest.raises(ExposedPortUnavailableError):
            await sandbox.resolve_exposed_port(30101)
    with pytest.raises(ValueError, match="exposed_ports"):
        AgentBaySandboxClientOptions(exposed_ports=(80,))


def _archive_with(name: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return written.getvalue()


async def test_trouble_comes_in_the_errors_of_the_framework(service: LocalService):
    """Their cause is ours."""
    client = AgentBaySandboxClient()
    async with await client.create() as sandbox:
        with pytest.raises(ExecTimeoutError):
            await sandbox.exec("sleep 1000", timeout=0.5)
        with pytest.raises(WorkspaceReadNotFoundError):
            await sandbox.read(Path("missing"))
        for archive in (b"no archive", _archive_with("../escaped")):
            with pytest.raises(WorkspaceArchiveWriteError) as unsafe:
                await sandbox.hydrate_workspace(io.BytesIO(archive))
            assert unsafe.value.context["reason"] == "unsafe_or_invalid_tar"
        await sandbox.exec("mkdir taken")
        with pytest.raises(WorkspaceArchiveWriteError):
            await sandbox.write(Path("taken"), io.BytesIO(b"x"))
    with pytest.raises(TypeError, match="AgentBaySandboxClientOptions"):
        await client.create(options=3)
    assert service.living() == {}


async def test_a_session_that_has_ended_is_trouble_on_the_way(service: LocalService):
    """A start makes another one."""
    async with AsyncAgentBay() as bay:
        client = AgentBaySandboxClient(bay=bay)
        sandbox = await client.create()
        await sandbox.start()
        assert await sandbox.running()
        await bay.delete(sandbox.state.agentbay_session_id)

        assert not await sandbox.running()
        with pytest.raises(ExecTransportError, match="released"):
            await sandbox.exec("true")
        with pytest.raises(ExecTransportError, match="released"):
            await sandbox.pty_exec_start("true")
        with pytest.raises((ExecTransportError, WorkspaceArchiveReadError)):
            await sandbox.read(Path("a"))
        await client.delete(sandbox)
        await sandbox.start()
        assert (await sandbox.exec("true")).exit_code == 0
        await client.delete(sandbox)
    assert service.living() == {}


async def test_a_session_that_cannot_be_created_is_an_error_of_the_start(service: LocalService):
    """It says why."""
    params = CreateSessionParams(image_id="no_such_image")
    sandbox = await AgentBaySandboxClient(params=params).create()

    with pytest.raises(WorkspaceStartError, match="no_such_image"):
        await sandbox.start()


async def test_a_run_that_is_cancelled_leaves_no_session(service: LocalService):
    """While a command runs."""
    started = asyncio.Event()

    def answer(_call_of_the_model: ModelCall) -> list[TResponseOutputItem]:
        started.set()
        return _call("exec_command", cmd="sleep 1000", yield_time_ms=30000)

    model = ScriptedModel([ModelStep.respond(answer)])
    sandbox = SandboxRunConfig(client=AgentBaySandboxClient())
    run = asyncio.create_task(
        Runner.run(_agent(model), "go", run_config=RunConfig(sandbox=sandbox))
    )
    await asyncio.wait_for(started.wait(), 60)

    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await run
    assert service.living() == {}


def test_the_program_of_the_docs_runs(run_program: Callable[[str], str]):
    """With the scripted model."""
    assert "There are 3 lines" in run_program("openai_agents")
