"""An agent: a model chooses commands, a session runs them, until the model knows the answer.

The model is scripted, so that the example needs no account. Like a real one, it sees the task and
the output of its commands, and corrects a command that failed. AGENTBAY_ENDPOINT selects the
service; without it, the sessions run on this machine.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay, CommandResult

if TYPE_CHECKING:
    from agentbay_async import AsyncSession

TASK = "How many times does each level occur in log.txt?"
LOG = "INFO start\nWARN slow\nINFO work\nERROR lost\nINFO end\n"
MAX_STEPS = 10


@dataclass(frozen=True)
class Run:
    """The model wants to run a command."""

    command: str


@dataclass(frozen=True)
class Answer:
    """The model knows the answer."""

    text: str


class ScriptedModel:
    """Stands for a language model: its next step depends on the results so far."""

    def decide(self, task: str, results: list[CommandResult]) -> Run | Answer:
        """Return the next command, or the answer to the task."""
        del task
        if not results:
            return Run("ls")
        last = results[-1]
        if not last.success:
            return Run("cut -d' ' -f1 log.txt | sort | uniq -c")
        if "log.txt" in last.stdout:
            # A mistake, as models make them: there is no such program.
            return Run("count-levels log.txt")
        return Answer(" ".join(last.stdout.split()))


async def solve(session: AsyncSession, model: ScriptedModel, task: str) -> str:
    """Let the model work in the session until it answers.

    A command that fails is not an error of this program: the model gets its output.
    """
    results: list[CommandResult] = []
    for _ in range(MAX_STEPS):
        step = model.decide(task, results)
        if isinstance(step, Answer):
            return step.text
        result = await session.command.run(step.command, timeout=30)
        print(f"$ {step.command}\n[{result.exit_code}] {result.output.strip()}", flush=True)
        results.append(result)
    raise RuntimeError(f"no answer after {MAX_STEPS} steps")


async def main() -> None:
    """Run the agent in a session, which is deleted at the end."""
    endpoint = os.environ.get("AGENTBAY_ENDPOINT", "local")
    async with AsyncAgentBay(endpoint=endpoint) as bay, bay.session() as session:
        (await session.file_system.write_file("log.txt", LOG)).unwrap()
        print(f"task: {TASK}", flush=True)
        print(f"answer: {await solve(session, ScriptedModel(), TASK)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
