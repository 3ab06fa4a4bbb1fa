"""Trials of Harbor's oracle, which runs the solution of a task and then its tests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from harbor.models.task.config import EnvironmentConfig as TaskEnvironment
from harbor.models.trial.config import AgentConfig, EnvironmentConfig, TaskConfig, TrialConfig
from harbor.models.trial.paths import TrialPaths
from harbor.trial.trial import Trial

from agentbay_async import AsyncAgentBay
from agentbay_integrations.harbor import AgentBayEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harbor.environments.base import ExecResult
    from harbor.models.trial.result import TrialResult

    from agentbay_local import LocalService

_CLASS = "agentbay_integrations.harbor:AgentBayEnvironment"
_TASK = """
schema_version = "1.4"
[environment]
workdir = "/tmp"
[agent]
timeout_sec = {agent_timeout}
[verifier]
timeout_sec = 120
"""
_TEST = """#!/bin/bash
if [ "$(cat /tmp/answer.txt)" = "$(wc -l < /tests/poem.txt)" ]; then
  echo 1 > /logs/verifier/reward.txt
else
  echo 0 > /logs/verifier/reward.txt
fi
"""


def _task(directory: Path, solution: str, agent_timeout: int = 120) -> Path:
    for name in ("environment", "solution", "tests"):
        (directory / name).mkdir(parents=True)
    (directory / "task.toml").write_text(_TASK.format(agent_timeout=agent_timeout))
    (directory / "instruction.md").write_text("Write the number of lines into answer.txt")
    (directory / "solution" / "solve.sh").write_text(f"#!/bin/bash\n{solution}\n")
    (directory / "tests" / "poem.txt").write_text("one\ntwo\nthree\n")
    (directory / "tests" / "test.sh").write_text(_TEST)
    return directory


async def _run(task: Path, trials: Path, **options: Any) -> TrialResult:
    config = TrialConfig(
        task=TaskConfig(path=task),
        trials_dir=trials,
        agent=AgentConfig(name="oracle"),
        environment=EnvironmentConfig(import_path=_CLASS, kwargs=options),
    )
    return await (await Trial.create(config)).run()


async def test_the_oracle_solves_a_task(service: LocalService, tmp_path: Path):
    """Its files and logs go both ways, in a session that is deleted."""
    result = await _run(_task(tmp_path / "task", "echo 3 > answer.txt"), tmp_path / "trials")

    assert result.exception_info is None
    assert result.verifier_result.rewards == {"reward": 1.0}
    assert service.living() == {}


async def test_a_wrong_solution_has_no_reward(service: LocalService, tmp_path: Path):
    """The test judges what is in the session."""
    result = await _run(_task(tmp_path / "task", "echo 4 > answer.txt"), tmp_path / "trials")

    assert result.verifier_result.rewards == {"reward": 0.0}
    assert service.living() == {}


async def test_an_agent_that_runs_out_of_time_leaves_no_session(
    service: LocalService, tmp_path: Path
):
    """The framework's own time limit."""
    task = _task(tmp_path / "task", "sleep 1000", agent_timeout=3)

    result = await _run(task, tmp_path / "trials")

    assert result.exception_info is not None
    assert service.living() == {}


async def test_a_trial_that_is_cancelled_leaves_no_session(
    service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """While its solution runs."""
    started = asyncio.Event()
    run = AgentBayEnvironment.exec

    async def watched(self: AgentBayEnvironment, command: str, **options: Any) -> ExecResult:
        if "solve.sh" in command and "chmod" not in command:
            started.set()
        return await run(self, command, **options)

    monkeypatch.setattr(AgentBayEnvironment, "exec", watched)
    task = _task(tmp_path / "task", "sleep 1000")
    trial = asyncio.create_task(_run(task, tmp_path / "trials"))
    await asyncio.wait_for(started.wait(), 60)

    trial.cancel()

    with pytest.raises(asyncio.CancelledError):
        await trial
    assert service.living() == {}


def _environment(tmp_path: Path, **options: Any) -> AgentBayEnvironment:
    (tmp_path / "environment").mkdir(exist_ok=True)
    return AgentBayEnvironment(
        environment_dir=tmp_path / "environment",
        environment_name="lines",
        session_id="lines__abc__env",
        trial_paths=TrialPaths(tmp_path / "trial"),
        task_env_config=options.pop("task", TaskEnvironment()),
        **options,
    )


async def test_files_and_directories_go_both_ways(service: LocalService, tmp_path: Path):
    """With their permissions; the labels name the task and the trial."""
    environment = _environment(tmp_path, labels={"team": "x"})
    await environment.start(force_build=False)
    source = tmp_path / "tool"
    source.write_text("#!/bin/sh\necho ran $1\n")
    source.chmod(0o755)

    await environment.upload_file(source, "/opt/mine/tool")
    await environment.exec("mkdir -p out/deep && /opt/mine/tool it > out/deep/log", cwd="/tmp")
    await environment.download_dir("/tmp/out", tmp_path / "down")
    await environment.download_file("/tmp/out/deep/log", tmp_path / "more" / "log")

    assert (tmp_path / "down" / "deep" / "log").read_text() == "ran it\n"
    assert (tmp_path / "more" / "log").read_text() == "ran it\n"
    [labels] = service.living().values()
    assert labels["framework"] == "harbor"
    assert labels["run"] == "lines__abc__env"
    assert labels["task"] == "lines"
    await environment.stop(delete=False)
    assert len(service.living()) == 1
    async with AsyncAgentBay() as bay:
        session = (await bay.get(next(iter(service.living())))).unwrap()
        assert (await session.get_status()).status == "PAUSED"
        (await session.resume()).unwrap()
        (await session.delete()).unwrap()


async def test_a_session_that_is_named_stays(service: LocalService, tmp_path: Path):
    """Its owner deletes it."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        environment = _environment(tmp_path, agentbay_session_id=str(session.session_id))
        await environment.start(force_build=False)
        assert (await environment.exec("echo hi")).stdout == "hi\n"
        await environment.stop(delete=True)

        assert list(service.living()) == [session.session_id]


async def test_trouble_comes_in_the_errors_of_the_framework(service: LocalService, tmp_path: Path):
    """As of its own environments."""
    with pytest.raises(ValueError, match="imge_id"):
        _environment(tmp_path, imge_id="x")
    with pytest.raises(ValueError, match="image_id"):
        _environment(tmp_path, task=TaskEnvironment(docker_image="ubuntu"))
    with pytest.raises(RuntimeError, match="no_such_image"):
        await _environment(tmp_path, image_id="no_such_image").start(force_build=False)
    (tmp_path / "environment" / "docker-compose.yaml").write_text("services: {}")
    with pytest.raises(ValueError, match="docker-compose"):
        _environment(tmp_path)
    (tmp_path / "environment" / "docker-compose.yaml").unlink()
    environment = _environment(tmp_path, root_is_user=False)
    with pytest.raises(RuntimeError, match="not started"):
        await environment.exec("true")
    await environment.start(force_build=False)
    try:
        with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
            await environment.exec("sleep 1000", timeout_sec=1)
        with pytest.raises(ValueError, match="user"):
            await environment.exec("true", user="root")
        with pytest.raises(RuntimeError, match="missing"):
            await environment.download_file("/missing", tmp_path / "x")
    finally:
        await environment.stop(delete=True)


def test_the_command_line_of_the_docs_gives_the_whole_reward(service: LocalService, tmp_path: Path):
    """The task of the docs, in a directory as it stands there."""
    task = _task(tmp_path / "lines", "echo 3 > answer.txt")
    program = [sys.executable, "-m", "harbor.cli.main", "trial", "start", "-p", str(task)]

    done = subprocess.run(
        [*program, "-a", "oracle", "-e", _CLASS, "--trials-dir", str(tmp_path / "trials")],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    [found] = (tmp_path / "trials").glob("*/result.json")
    assert json.loads(found.read_text())["verifier_result"]["rewards"] == {"reward": 1.0}


def test_the_program_of_the_docs_runs(run_program: Callable[[str], str]):
    """A trial of the oracle."""
    assert "reward: 1.0" in run_program("harbor")
