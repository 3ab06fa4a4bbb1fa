"""A program for the official client, async: it ends with "conforms" if all is as it expects."""

import asyncio

from agentbay import AsyncAgentBay, ContextSync, CreateSessionParams, SyncPolicy


async def sessions_and_labels(bay: AsyncAgentBay) -> None:
    """Create side by side, list by label and page, label, look up, delete."""
    params = [CreateSessionParams(labels={"suite": "async", "n": str(n)}) for n in range(3)]
    results = [await bay.create(each) for each in params]
    assert all(result.success for result in results), [r.error_message for r in results]
    page = await bay.list(labels={"suite": "async"}, limit=2)
    assert page.success and page.total_count == 3 and page.next_token, page
    second = await bay.list(labels={"suite": "async"}, page=2, limit=2)
    listed = {entry["sessionId"] for entry in page.session_ids + second.session_ids}
    assert listed == {result.session.session_id for result in results}
    session = results[0].session
    assert (await session.set_labels({"suite": "async", "state": "marked"})).success
    assert (await session.get_labels()).data == {"suite": "async", "state": "marked"}
    assert (await bay.get(session.session_id)).success
    assert (await session.get_status()).status == "RUNNING"
    for result in results:
        deleted = await bay.delete(result.session)
        assert deleted.success, deleted.error_message
    assert not (await bay.list(labels={"suite": "async"})).session_ids


async def work_in_a_session(bay: AsyncAgentBay) -> None:
    """Run commands at once, write and read files."""
    session = (await bay.create()).session
    commands = [session.command.run(f"sleep 0.1; echo {n}") for n in range(4)]
    outputs = [result.stdout for result in await asyncio.gather(*commands)]
    assert outputs == ["0\n", "1\n", "2\n", "3\n"], outputs
    assert (await session.file_system.write_file("/home/wuying/a/b.txt", "héllo")).success
    assert (await session.file_system.read_file("/home/wuying/a/b.txt")).content == "héllo"
    tools = await session.list_mcp_tools()
    assert "shell" in {tool.name for tool in tools.tools}
    assert (await bay.delete(session)).success


async def keep_files(bay: AsyncAgentBay) -> None:
    """Write into a context from one session and read in the next."""
    context = await bay.context.get("official-async", create=True)
    assert context.success, context.error_message
    sync = ContextSync.new(context.context_id, "/mnt/data", SyncPolicy.default())
    first = (await bay.create(CreateSessionParams(context_syncs=[sync]))).session
    assert (await first.file_system.write_file("/mnt/data/note.txt", "kept")).success
    synced = await first.context.sync()
    assert synced.success, synced.error_message
    assert (await bay.delete(first, sync_context=True)).success
    second = (await bay.create()).session
    bound = await second.context.bind(ContextSync.new(context.context_id, "/mnt/data"))
    assert bound.success, bound.error_message
    assert (await second.file_system.read_file("/mnt/data/note.txt")).content == "kept"
    bindings = (await second.context.list_bindings()).bindings
    assert [binding.path for binding in bindings] == ["/mnt/data"], bindings
    assert (await bay.delete(second)).success
    assert (await bay.context.delete(context.context)).success


async def main() -> None:
    """Do all of it with one client."""
    bay = AsyncAgentBay()
    await sessions_and_labels(bay)
    await work_in_a_session(bay)
    await keep_files(bay)
    print("conforms")


asyncio.run(main())
