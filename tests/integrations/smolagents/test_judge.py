"""Agents of smolagents with a scripted model, whose code runs in sessions of the local service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest
from smolagents import ChatMessage, CodeAgent, Model, tool
from smolagents.utils import AgentError

from agentbay import AgentBay
from agentbay_integrations.smolagents import AgentBayExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay_local import LocalService

_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class _Scripted(Model):
    """A model that writes the code that it is told to."""

    def __init__(self, *codes: str) -> None:
        super().__init__(model_id="scripted")
        self._codes = iter(codes)

    def generate(self, messages: list[ChatMessage], **_options: Any) -> ChatMessage:
        return ChatMessage("assistant", f"Thought: go\n<code>\n{next(self._codes)}\n</code>")


def _agent(executor: AgentBayExecutor, *codes: str, **options: Any) -> CodeAgent:
    return CodeAgent(
        tools=options.pop("tools", []),
        model=_Scripted(*codes),
        executor=executor,
        verbosity_level=0,
        **options,
    )


@pytest.fixture
def executor(service: LocalService) -> Iterator[AgentBayExecutor]:
    """Give an executor that makes its session."""
    with AgentBayExecutor(run="42") as executor:
        yield executor


def test_an_agent_works_in_steps_that_share_variables(
    executor: AgentBayExecutor, service: LocalService
):
    """Its labels name framework and run; the session ends with the agent."""
    with _agent(executor, "import os\nx = 20; print(os.getcwd())", "final_answer(x + 1)") as agent:
        assert agent.run("go") == 21
        [labels] = service.living().values()
        assert (labels["framework"], labels["run"]) == ("smolagents", "42")
        assert "/home/" in agent.memory.steps[1].observations

    assert service.living() == {}


def test_tools_and_variables_of_the_program_are_there(executor: AgentBayExecutor):
    """They travel as source and as JSON."""

    @tool
    def double(number: int) -> int:
        """Double a number.

        Args:
            number: Any.
        """
        return 2 * number

    agent = _agent(executor, "final_answer({'n': double(start), 's': {1}})", tools=[double])

    assert agent.run("go", additional_args={"start": 21}) == {"n": 42, "s": {1}}


def test_an_error_is_told_to_the_model_which_tries_again(executor: AgentBayExecutor):
    """With what was printed before it, and the traceback."""
    agent = _agent(executor, "print('so far'); 1 / 0", "final_answer('mended')")

    assert agent.run("go") == "mended"
    error = str(agent.memory.steps[1].error)
    assert "so far" in error
    assert "ZeroDivisionError" in error


def test_an_agent_may_run_twice(executor: AgentBayExecutor):
    """The tool that ends it is made once."""
    agent = _agent(executor, "x = 6; final_answer(x)", "final_answer(7 * x)")

    assert [agent.run("go"), agent.run("go on", reset=False)] == [6, 42]


def test_a_large_final_answer_arrives_whole(executor: AgentBayExecutor):
    """It travels as the text of an exception."""
    agent = _agent(executor, "final_answer('x' * 500_000)")

    assert agent.run("go") == "x" * 500_000


def test_the_last_expression_is_the_output(executor: AgentBayExecutor):
    """Pictures are pictures."""
    shown = executor("print('hi'); 6 * 7")
    assert (shown.output, shown.logs, shown.is_final_answer) == ("42", "hi\n", False)
    assert executor("x = 1").output is None
    code = (
        "from base64 import b64decode\nfrom IPython.display import Image\n"
        f"Image(data=b64decode('{_PNG}'))"
    )
    assert isinstance(executor(code).output, PIL.Image.Image)


def test_time_and_output_have_limits(service: LocalService):
    """In the framework's terms."""
    with AgentBayExecutor(timeout=2, max_print_outputs_length=100) as executor:
        assert "truncated to stay below 100" in executor("print('x' * 1000)").logs
        with pytest.raises(AgentError):
            executor("import time\ntime.sleep(3600)")
    with pytest.raises(ValueError, match="above 0"):
        AgentBayExecutor(timeout=0)


def test_a_package_that_cannot_be_installed_is_an_error_of_the_agent(service: LocalService):
    """Sessions of the local service reach no package index."""
    with (
        AgentBayExecutor(["no-such-package-of-agentbay"]) as executor,
        pytest.raises(AgentError, match="pip could not install"),
    ):
        executor("1")


def test_a_session_that_is_handed_in_stays(service: LocalService):
    """Its owner deletes it; a pickle of it is refused unless the program allows it."""
    with AgentBay() as bay, bay.session() as session:
        with _agent(AgentBayExecutor(session=session), "final_answer(print)", max_steps=1) as agent:
            agent.model._codes = iter(["final_answer(print)", "never"])
            agent.run("go")
            assert "serialize" in str(agent.memory.steps[1].error)
        assert list(service.living()) == [session.session_id]


def test_the_program_of_the_page_runs(run_program: Callable[[str], str]):
    """It needs neither a key nor a model."""
    assert run_program("smolagents") == "6765\nsessions left: 0\n"
