"""Evaluations with Inspect's mock model, in sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from inspect_ai import Task, eval_async
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, accuracy, scorer
from inspect_ai.solver import basic_agent, solver
from inspect_ai.tool import bash
from inspect_ai.util import (
    OutputLimitExceededError,
    SandboxEnvironmentSpec,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandbox,
)
from inspect_ai.util._sandbox.limits import override_max_exec_output_size

from agentbay_async import AsyncAgentBay
from agentbay_integrations.inspect_ai import (
    AgentBaySandboxEnvironment,
    AgentBaySandboxEnvironmentConfig,
)

#: The framework leaves streams of its own open.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inspect_ai.log import EvalLog
    from inspect_ai.scorer import Scorer, Target
    from inspect_ai.solver import Generate, Solver, TaskState

    from agentbay_local import LocalService


@scorer(metrics=[accuracy()])
def solved_in_sandbox() -> Scorer:
    """Read the answer where the agent has written it."""

    async def score(state: TaskState, target: Target) -> Score:
        found = await sandbox().read_file("answer.txt")
        return Score(value="C" if found.strip() == target.text else "I")

    return score


async def _eval(task: Task, outputs: list[ModelOutput], **options: object) -> EvalLog:
    model = get_model("mockllm/model", custom_outputs=outputs)
    [log] = await eval_async(task, model=model, **options)
    return log


def _call(tool: str, **arguments: str) -> ModelOutput:
    output = ModelOutput.for_tool_call("mockllm", tool, arguments)
    # Without it, the framework downloads a vocabulary to count tokens.
    output.usage = ModelUsage()
    return output


async def test_an_evaluation_has_a_session_for_each_sample(service: LocalService, tmp_path: Path):
    """The samples' files are there, the labels name the task, and nothing is left."""
    seen: list[dict[str, str]] = []

    @solver
    def watching() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            seen.extend(service.living().values())
            return state

        return solve

    samples = [
        Sample(input="Count the lines", target="3", files={"poem.txt": "one\ntwo\nthree\n"}),
        Sample(input="Count the lines", target="2", files={"poem.txt": "one\ntwo\n"}),
    ]
    agent = basic_agent(init=watching(), tools=[bash(timeout=30)])
    task = Task(
        name="lines", dataset=samples, solver=agent, scorer=solved_in_sandbox(), sandbox="agentbay"
    )
    count = _call("bash", command="wc -l < poem.txt > answer.txt")
    done = _call("submit", answer="it")

    log = await _eval(task, [count, done] * 2, max_samples=1, log_dir=str(tmp_path))

    assert log.status == "success"
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
    assert {labels["task"] for labels in seen} == {"lines"}
    assert {labels["framework"] for labels in seen} == {"inspect_ai"}
    assert service.living() == {}


async def test_a_sample_that_runs_out_of_time_leaves_no_session(
    service: LocalService, tmp_path: Path
):
    """The framework cancels the command."""
    task = Task(
        dataset=[Sample(input="wait", target="")],
        solver=basic_agent(tools=[bash()]),
        scorer=solved_in_sandbox(),
        sandbox="agentbay",
        time_limit=3,
    )

    log = await _eval(
        task, [_call("bash", command="sleep 1000")], log_dir=str(tmp_path), fail_on_error=False
    )

    assert log.samples[0].limit.type == "time"
    assert service.living() == {}


async def test_settings_come_from_a_file_beside_the_task(service: LocalService, tmp_path: Path):
    """They are checked, and a log keeps them."""
    file = tmp_path / "agentbay.yaml"
    file.write_text("image_id: code_latest\nenvs: {STAGE: test}\nlabels: {team: x}\n")
    kind = AgentBaySandboxEnvironment

    made = await kind.sample_init("t", str(file), {})
    try:
        assert (await made["default"].exec(["printenv", "STAGE"])).stdout == "test\n"
        [labels] = service.living().values()
        assert labels["team"] == "x"
    finally:
        await kind.sample_cleanup("t", str(file), made, False)

    assert service.living() == {}
    assert kind.config_files() == ["agentbay.yaml"]
    config = AgentBaySandboxEnvironmentConfig(image_id="code_latest")
    dumped = SandboxEnvironmentSpec("agentbay", config).model_dump()
    assert SandboxEnvironmentSpec.model_validate(dumped).config == config
    file.write_text("imge_id: code_latest\n")
    with pytest.raises(ValueError, match="imge_id"):
        await kind.sample_init("t", str(file), {})
    with pytest.raises(TypeError, match="AgentBaySandboxEnvironmentConfig"):
        await kind.sample_init("t", dumped_model(), {})


def dumped_model() -> SandboxEnvironmentSpec:
    """A model of something else."""
    return SandboxEnvironmentSpec("docker")


async def test_files_of_a_context_outlive_the_sandbox(service: LocalService):
    """The next sandbox has them."""
    kind = AgentBaySandboxEnvironment
    async with AsyncAgentBay() as bay:
        context = (await bay.context.get("results", create=True)).context
    config = AgentBaySandboxEnvironmentConfig(contexts={"/mnt/results": context.id})
    for command in ("echo kept > /mnt/results/a; sync", "cat /mnt/results/a"):
        made = await kind.sample_init("t", config, {})
        done = await made["default"].exec(["sh", "-c", command])
        await kind.sample_cleanup("t", config, made, False)

    assert done.stdout == "kept\n"
    assert service.living() == {}


async def test_a_session_that_is_named_stays(service: LocalService):
    """Its owner deletes it; ``inspect sandbox cleanup`` takes what we made."""
    kind = AgentBaySandboxEnvironment
    async with AsyncAgentBay() as bay, bay.session() as session:
        config = AgentBaySandboxEnvironmentConfig(session_id=str(session.session_id))
        made = await kind.sample_init("t", config, {})
        assert (await made["default"].exec(["true"])).success
        await kind.sample_cleanup("t", config, made, False)
        kept = await kind.sample_init("t", None, {})
        assert len(service.living()) == 2

        await kind.cli_cleanup(None)

        assert list(service.living()) == [session.session_id]
        await kind.sample_cleanup("t", None, kept, True)


async def test_a_person_can_log_in(service: LocalService):
    """With the command line, while the session runs."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        environment = AgentBaySandboxEnvironment(session)
        login = await environment.connection()
        assert login.command == f"agentbay shell {session.session_id}"
        await session.delete()

        with pytest.raises(ConnectionError, match="does not run"):
            await environment.connection()


async def test_trouble_comes_in_the_errors_of_the_framework(service: LocalService):
    """Too much output, another user, a missing directory, a session that is gone."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        environment = AgentBaySandboxEnvironment(session)
        with override_max_exec_output_size(10), pytest.raises(OutputLimitExceededError):
            await environment.exec(["seq", "100"])
        with pytest.raises(OutputLimitExceededError):
            await environment.exec(["head", "-c", "20000000", "/dev/zero"])
        with pytest.raises(SandboxUserUnsupportedError, match="'root'"):
            await environment.exec(["true"], user="root")
        assert (await environment.exec(["id", "-u"], user=environment._users[0])).success
        assert not (await environment.exec(["true"], cwd="/missing")).success
        await environment.write_file("latin", b"\xff")
        with pytest.raises(UnicodeDecodeError):
            await environment.read_file("latin")
        await session.delete()
        with pytest.raises(SandboxUnavailableError):
            await environment.exec(["true"])
        with pytest.raises(SandboxUnavailableError):
            await environment.read_file("latin")
        with pytest.raises(SandboxUnavailableError):
            await environment.exec(["true"], input="x")


def test_the_program_of_the_docs_runs(run_program: Callable[[str], str]):
    """With the mock model."""
    assert run_program("inspect_ai") == "3 poem.txt\n\naccuracy: 1.0\n"
