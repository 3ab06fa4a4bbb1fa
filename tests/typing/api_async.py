"""Uses of the async API, for type checkers; never run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from typing_extensions import assert_type

from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    AsyncCommand,
    AsyncFileSystem,
    AsyncSession,
    AsyncSessionListing,
    BoolResult,
    BulkOutcome,
    BulkResult,
    ClosingIterator,
    CommandResult,
    Config,
    Context,
    ContextBinding,
    ContextFileEntry,
    ContextListParams,
    ContextResult,
    ContextSync,
    ContextSyncResult,
    CreateSessionParams,
    DeleteResult,
    DirectoryEntry,
    FileContentResult,
    FileInfo,
    LifecyclePolicy,
    ListSessionParams,
    McpTool,
    OperationResult,
    Progress,
    ReapResult,
    RetryPolicy,
    SessionInfo,
    SessionListResult,
    SessionResult,
    SessionStatus,
    SessionStatusResult,
    SyncPolicy,
    SyncReceipt,
    TransferProgress,
    TransferReceipt,
    UploadResult,
)


class _Instant:
    """A clock of the user's own."""

    def time(self) -> float:
        """Return the seconds since 1970."""
        return 0.0

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait no time."""


async def sessions() -> None:
    """Create, look up, list, delete."""
    policy = RetryPolicy(attempts=2)
    config = Config(endpoint="local", timeout_ms=5000)
    async with AsyncAgentBay("akm-1", config, retry=policy, clock=_Instant()) as bay:
        assert_type(bay, AsyncAgentBay)
        params = CreateSessionParams(
            labels={"a": "b"},
            context_syncs=[ContextSync.new("c-1", "/mnt", SyncPolicy.default())],
            lifecycle_policy=LifecyclePolicy(idle_release_timeout=5),
        )
        created = await bay.create(params)
        assert_type(created, SessionResult[AsyncSession])
        assert_type(created.session, AsyncSession)
        assert_type(created.unwrap(), AsyncSession)
        assert_type(created.error, AgentBayError | None)
        assert_type((created.success, created.error_message), tuple[bool, str])
        assert_type(await bay.get("s-1"), SessionResult[AsyncSession])
        listing: AsyncSessionListing = bay.list(
            {"a": "b"}, page=1, limit=5, status=SessionStatus.RUNNING
        )
        page = await listing
        assert_type(page, SessionListResult[AsyncSession])
        assert_type(page.sessions, list[AsyncSession])
        assert_type([one.session_id for one in page], list[str])
        assert_type(page.total_count, int | None)
        async for one in bay.list(status="RUNNING"):
            assert_type(one, AsyncSession)
        by_labels = await bay.list_by_labels(ListSessionParams(labels={"a": "b"}))
        assert_type(by_labels, SessionListResult[AsyncSession])
        assert_type(await bay.list_by_labels({"a": "b"}), SessionListResult[AsyncSession])
        assert_type(await bay.delete("s-1", force=True), DeleteResult)
        report = await bay.reap("me", timedelta(days=1), dry_run=True)
        assert_type(report, ReapResult)
        assert_type((report.deleted, report.kept), tuple[tuple[str, ...], tuple[str, ...]])
        assert_type(created.session_id, str)
        assert_type(await bay.pause(created.session, timedelta(minutes=1)), SessionStatusResult)
        async with bay.session(params, sync_context=True) as session:
            assert_type(session, AsyncSession)


async def session(one: AsyncSession) -> None:
    """All that one session can do."""
    assert_type(await one.set_labels({"a": "b"}), OperationResult[None])
    assert_type((await one.get_labels()).data, dict[str, str])
    assert_type((await one.info()).data, SessionInfo)
    assert_type((await one.get_status()).status, str)
    assert_type(await one.keep_alive(), OperationResult[None])
    assert_type(one.remaining, timedelta | None)
    async with one.keep_alive_while(every=60, warn=print, warn_before=timedelta(minutes=5)):
        pass
    assert_type(await one.resume(timeout=5.0, poll_interval=1), SessionStatusResult)
    assert_type(await one.delete(sync_context=True, timeout=10), DeleteResult)
    assert_type((await one.list_mcp_tools()).tools, list[McpTool])
    assert_type((await one.call_mcp_tool("shell", {"a": [1]}, timeout=5)).data, str)
    assert_type(one.command, AsyncCommand)
    assert_type(one.file_system, AsyncFileSystem)
    result = await one.command.run("ls", cwd="/", envs={"A": "b"}, timeout=5, check=True)
    assert_type(result, CommandResult)
    assert_type((result.stdout, result.exit_code), tuple[str, int])


async def files(one: AsyncSession) -> None:
    """Text or bytes: the type follows the format."""
    # Names of the official client.
    assert_type(one.files, AsyncFileSystem)
    sent = await one.files.upload("f", "f", wait_timeout=5, progress_cb=print)
    assert_type(sent, UploadResult)
    assert_type(sent.bytes_sent, int)
    assert_type(one.get_token(), str)
    assert_type(await one.git.get_config("r", "user.name"), str | None)
    assert_type(await one.fs.read_file("/f"), FileContentResult[str])
    assert_type((await one.fs.read_file("/f", format="bytes")).content, bytes)
    assert_type(await one.fs.write_file("/f", b"x", "append"), BoolResult)
    assert_type((await one.fs.list_directory("/")).entries, list[DirectoryEntry])
    assert_type((await one.fs.get_file_info("/f")).file_info, FileInfo)
    assert_type((await one.context.sync(mode="upload")).receipt, SyncReceipt)
    assert_type(await one.context.bind(ContextSync("c-1", "/a")), ContextSyncResult)
    assert_type((await one.context.list_bindings()).bindings, list[ContextBinding])


async def contexts(bay: AsyncAgentBay) -> None:
    """Use contexts and their files."""

    async def progress(now: TransferProgress) -> None:
        assert_type(now.total, int | None)

    lookup = await bay.context.get("data", create=True)
    assert_type(lookup, ContextResult)
    assert_type(lookup.context, Context)
    assert_type((await bay.context.list(ContextListParams(5))).contexts, list[Context])
    _ = assert_type(bay.context.iterate(), ClosingIterator[Context])
    assert_type((await bay.context.list_files("c-1")).entries, list[ContextFileEntry])
    assert_type((await bay.context.clear("c-1", timeout=5)).data, str)
    upload = await bay.context.upload_file("c-1", "/f", Path("f"), progress=progress)
    assert_type(upload.unwrap(), TransferReceipt)
    download = await bay.context.download_file("c-1", "/f", "f", progress=lambda now: None)
    assert_type(download.size, int)


async def many(bay: AsyncAgentBay, params: CreateSessionParams) -> None:
    """Thousands at once."""

    async def work(session: AsyncSession, item: str) -> int:
        return len(session.session_id + item)

    def see(now: Progress) -> None:
        assert_type(now.eta, float | None)

    created = await bay.create_many(params, 5, on_progress=see)
    assert_type(created, BulkResult[AsyncSession])
    assert_type(created[0], AsyncSession | AgentBayError)
    async for outcome in bay.create_many([params]):
        assert_type(outcome, BulkOutcome[AsyncSession])
    assert_type((await bay.delete_many(created.sessions)).sessions, list[str])
    async for mapped in bay.map_sessions(work, ["a"], reuse=3):
        assert_type(mapped.value, int)
