"""An agent: a model decides on commands, a session runs them, until the model has its answer.

The model here is scripted, so that the example needs no account. It works as one does: it sees the
task and what its commands said, and it mends what failed. AGENTBAY_ENDPOINT says where sessions
are; without it they are on this machine.
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
MOST_STEPS = 10


@dataclass(frozen=True)
class Run:
    """The model wants a command to be run."""

    command: str


@dataclass(frozen=True)
class Answer:
    """The model is done."""

    text: str


class ScriptedModel:
    """Stands for a language model: what it wants next depends on what it has seen."""

    def decide(self, task: str, seen: list[CommandResult]) -> Run | Answer:
        """Return the next command, or the answer to the task."""
        del task
        if not seen:
            return Run("ls")
        last = seen[-1]
        if not last.success:
            return Run("cut -d' ' -f1 log.txt | sort | uniq -c")
        if "log.txt" in last.stdout:
            # A mistake, as models make them: this program is nowhere installed.
            return Run("count-levels log.txt")
        return Answer(" ".join(last.stdout.split()))


async def solve(session: AsyncSession, model: ScriptedModel, task: str) -> str:
    """Let the model work in the session until it answers.

    A command that fails is no error of the program: the model is shown what it said.
    """
    seen: list[CommandResult] = []
    for _ in range(MOST_STEPS):
        wanted = model.decide(task, seen)
        if isinstance(wanted, Answer):
            return wanted.text
        result = await session.command.run(wanted.command, timeout=30)
        print(f"$ {wanted.command}\n[{result.exit_code}] {result.output.strip()}", flush=True)
        seen.append(result)
    raise RuntimeError(f"no answer after {MOST_STEPS} steps")


async def main() -> None:
    """Give the agent a session of its own, which goes when it is done."""
    endpoint = os.environ.get("AGENTBAY_ENDPOINT", "local")
    async with AsyncAgentBay(endpoint=endpoint) as bay, bay.session() as session:
        (await session.file_system.write_file("log.txt", LOG)).unwrap()
        print(f"task: {TASK}", flush=True)
        print(f"answer: {await solve(session, ScriptedModel(), TASK)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
