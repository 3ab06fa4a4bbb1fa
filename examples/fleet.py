"""Create ten sessions at once, and map a function over thirty items with four sessions at a time.

Runs on the embedded local service without an account. To run it on the cloud, leave out
``endpoint`` and set an API key.
"""

from __future__ import annotations

import asyncio

from agentbay_async import AsyncAgentBay, AsyncSession, CreateSessionParams, Progress


def show(progress: Progress) -> None:
    """Print the progress of a run."""
    print(progress, flush=True)


async def create_ten(bay: AsyncAgentBay) -> None:
    """Create ten sessions, use each when it is ready, and delete them all."""
    params = CreateSessionParams(labels={"project": "fleet"})
    async with bay.create_many(params, 10, on_progress=show) as sessions:
        async for outcome in sessions:
            ran = await outcome.session.command.run("uname -s")
            print(f"session {outcome.index}: {ran.stdout.strip()}", flush=True)


async def square(session: AsyncSession, number: int) -> int:
    """Compute the square of a number in a session."""
    return int((await session.command.run(f"echo $(({number} * {number}))")).stdout)


async def map_thirty(bay: AsyncAgentBay) -> None:
    """Map a function over thirty items, four at a time; each session serves up to ten."""
    total = 0
    async for outcome in bay.map_sessions(square, range(30), reuse=10, max_concurrency=4):
        total += outcome.value
    print(f"the squares of 0 to 29 add up to {total}", flush=True)


async def main() -> None:
    """Run both examples."""
    async with AsyncAgentBay(endpoint="local") as bay:
        await create_ten(bay)
        await map_thirty(bay)


if __name__ == "__main__":
    asyncio.run(main())
