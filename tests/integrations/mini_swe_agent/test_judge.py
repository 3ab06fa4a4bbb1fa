"""The framework's agent with its scripted model."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments import get_environment
from minisweagent.models.test_models import DeterministicModel, make_output

from agentbay import AgentBay, AgentBayError, CreateSessionParams
from agentbay_integrations.mini_swe_agent import AgentBayEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentbay_local import LocalService

_CLASS = "agentbay_integrations.mini_swe_agent.AgentBayEnvironment"


def _agent(environment: AgentBayEnvironment, *commands: str, **options: object) -> DefaultAgent:
    outputs = [make_output(f"step {n}", [{"command": it}]) for n, it in enumerate(commands)]
    return DefaultAgent(
        DeterministicModel(outputs=outputs),
        environment,
        system_template="On {{system}} {{machine}}.",
        instance_template="{{task}}",
        cost_limit=0,
        **options,
    )


@pytest.fixture
def environment(service: LocalService) -> Iterator[AgentBayEnvironment]:
    """One by its dotted class, as from a configuration file."""
    made = get_environment(
        {"environment_class": _CLASS, "env": {"GREETING": "hi"}, "labels": {"team": "x"}}
    )
    yield made
    made.cleanup()


def test_an_agent_works_in_one_session_and_submits(
    service: LocalService, environment: AgentBayEnvironment, tmp_path: Path
):
    """Files stay from step to step; the trajectory names no value of a variable."""
    agent = _agent(
        environment,
        "echo $GREETING > a.txt; echo oops >&2; exit 3",
        "cat a.txt",
        "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT; cat a.txt",
        output_path=tmp_path / "trajectory.json",
    )

    done = agent.run("work")

    assert done == {"exit_status": "Submitted", "submission": "hi\n"}
    text = [message["content"] for message in agent.messages]
    assert text[0].startswith("On Linux")
    assert "<returncode>3</returncode>" in text[3]
    assert "oops" in text[3]
    assert "<output>\nhi\n</output>" in text[5]
    [labels] = service.living().values()
    assert labels["framework"] == "mini-swe-agent"
    assert labels["team"] == "x"
    assert '"hi"' not in (tmp_path / "trajectory.json").read_text()
    environment.cleanup()
    assert service.living() == {}


def test_a_command_that_takes_too_long_is_killed_and_its_output_kept(
    environment: AgentBayEnvironment,
):
    """It says so in the words of the framework."""
    output = environment.execute({"command": "echo before; sleep 1000"}, timeout=1)

    assert output["returncode"] == -1
    assert output["output"] == "before\n"
    assert "timed out after 1 seconds" in output["exception_info"]
    assert output["extra"]["exception_type"] == "TimeoutExpired"
    gone = "while pgrep -f '[s]leep 1000'; do sleep 0.1; done"
    assert environment.execute({"command": gone})["returncode"] == 0


def test_a_command_may_take_longer_than_one_request(environment: AgentBayEnvironment):
    """The time limit is that of the settings, or of the call."""
    assert environment.execute({"command": "pwd"}, "/tmp", timeout=3600)["output"] == "/tmp\n"


def test_trouble_with_a_command_goes_to_the_model(environment: AgentBayEnvironment):
    """A missing directory, and a session that is gone."""
    missing = environment.execute({"command": "true"}, cwd="/missing")
    assert missing["returncode"] != 0
    environment._owner.get().delete()

    gone = environment.execute({"command": "true"})

    assert gone["returncode"] == -1
    assert gone["extra"]["exception_type"] == "SessionNotFoundError"


def test_a_session_that_is_handed_in_stays(service: LocalService):
    """Its owner deletes it."""
    with AgentBay() as bay, bay.session() as session:
        with AgentBayEnvironment(session=session) as environment:
            assert environment.execute({"command": "echo hi"})["output"] == "hi\n"

        assert list(service.living()) == [session.session_id]


def test_what_is_wrong_is_said_at_once(service: LocalService):
    """A setting that there is not, and an image that there is not."""
    with pytest.raises(ValueError, match="image"):
        AgentBayEnvironment(image="swebench:1")
    with pytest.raises(ValueError, match="timeout"):
        AgentBayEnvironment(timeout=0)
    environment = AgentBayEnvironment(params=CreateSessionParams(image_id="no_such_image"))

    with pytest.raises(AgentBayError, match="no_such_image"):
        environment.execute({"command": "true"})


_LEAVES = f"""
import gc, sys, threading
from minisweagent.environments import get_environment
environment = get_environment({{"environment_class": "{_CLASS}"}})
print(environment.execute({{"command": "echo ran"}})["output"])
if sys.argv[1] == "dropped":
    del environment
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "agentbay-cleanup":
            thread.join()
"""


@pytest.mark.parametrize("how", ["kept", "dropped"])
def test_an_environment_that_nobody_cleans_up_leaves_no_session(service: LocalService, how: str):
    """At the end of the program, as with the framework's own; or before, in a run of many."""
    program = [sys.executable, "-W", "always::ResourceWarning", "-c", _LEAVES, how]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)

    assert "ran" in done.stdout
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Unclosed client" not in done.stderr
    assert service.living() == {}


def test_the_program_of_the_docs_runs(run_program: Callable[[str], str]):
    """With the scripted model."""
    assert "Submitted: 3 poem.txt" in run_program("mini_swe_agent")
