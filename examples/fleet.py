"""Ten sessions at once on the embedded local service, and a function on thirty items in four.

Needs no account. On the cloud the same program runs with ``endpoint`` left out and an API key set.
"""

from __future__ import annotations

import asyncio

from agentbay_async import AsyncAgentBay, AsyncSession, CreateSessionParams, Progress


def show(progress: Progress) -> None:
    """Print how far a run is."""
    print(progress, flush=True)


async def make_ten(bay: AsyncAgentBay) -> None:
    """Make ten sessions, use each when it is there, and have them all deleted."""
    params = CreateSessionParams(labels={"project": "fleet"})
    async with bay.create_many(params, 10, on_progress=show) as made:
        async for outcome in made:
            ran = await outcome.session.command.run("uname -s")
            print(f"session {outcome.index}: {ran.stdout.strip()}", flush=True)


async def square(session: AsyncSession, number: int) -> int:
    """Let a session work something out."""
    return int((await session.command.run(f"echo $(({number} * {number}))")).stdout)


async def map_thirty(bay: AsyncAgentBay) -> None:
    """Run a function on thirty items, four at a time, each session serving up to ten."""
    total = 0
    async for outcome in bay.map_sessions(square, range(30), reuse=10, max_concurrency=4):
        total += outcome.value
    print(f"the squares of 0 to 29 add up to {total}", flush=True)


async def main() -> None:
    """Run both."""
    async with AsyncAgentBay(endpoint="local") as bay:
        await make_ten(bay)
        await map_thirty(bay)


if __name__ == "__main__":
    asyncio.run(main())
