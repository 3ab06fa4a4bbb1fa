"""Sessions, labels and contexts on the embedded local service: async, then blocking.

Needs no account. To run it on the cloud, leave ``endpoint`` out and set an API key.
"""

from __future__ import annotations

import asyncio

from agentbay import AgentBay
from agentbay_async import AsyncAgentBay, ContextSync, CreateSessionParams


def say(text: str) -> None:
    """Print a line without buffering."""
    print(text, flush=True)


async def label_and_page(bay: AsyncAgentBay) -> None:
    """Create sessions concurrently, find them by label, and iterate over all pages."""
    params = [
        CreateSessionParams(labels={"project": "demo", "number": str(number)})
        for number in range(5)
    ]
    results = await asyncio.gather(*(bay.create(each) for each in params))
    say(f"created {len(results)} sessions concurrently")

    first = await bay.list(labels={"project": "demo"}, limit=2)
    say(f"the first page shows {len(first.sessions)} of {first.total_count}")
    sessions = [session async for session in bay.list(labels={"project": "demo"}, limit=2)]
    say(f"all pages show {len(sessions)}")

    await sessions[0].set_labels({"project": "demo", "state": "done"})
    say(f"labels of one of them: {(await sessions[0].get_labels()).data}")
    for result in await asyncio.gather(*(bay.delete(session) for session in sessions)):
        result.unwrap()
    say("deleted them all")


async def keep_a_file(bay: AsyncAgentBay, context_id: str) -> None:
    """Write a file to a context; it outlives the session."""
    params = CreateSessionParams(context_syncs=[ContextSync.new(context_id, "/mnt/data")])
    async with bay.session(params, sync_context=True) as session:
        machine = await session.command.run("id -un; hostname; echo $PWD", check=True)
        say(f"inside the sandbox: {' '.join(machine.stdout.split())}")
        (await session.file_system.write("/mnt/data/note.txt", "kept\n")).unwrap()
        say("wrote /mnt/data/note.txt, deleting the session")


async def async_part() -> str:
    """Show the async client; return the id of the context with the file."""
    async with AsyncAgentBay(endpoint="local") as bay:
        say(f"async client: {bay}")
        await label_and_page(bay)
        context = (await bay.context.get("demo-notes", create=True)).context
        await keep_a_file(bay, context.id)
        return context.id


def blocking_part(context_id: str) -> None:
    """Read the file in another session, with the blocking client."""
    with AgentBay(endpoint="local") as bay:
        say(f"blocking client: {bay}")
        params = CreateSessionParams(context_syncs=[ContextSync.new(context_id, "/mnt/data")])
        with bay.session(params) as session:
            content = session.file_system.read("/mnt/data/note.txt").content
            say(f"another session reads the file: {content.strip()!r}")
        left = [session.session_id for session in bay.list()]
        say(f"sessions left: {len(left)}")
        bay.context.delete(context_id).unwrap()


if __name__ == "__main__":
    blocking_part(asyncio.run(async_part()))
    say("done")
