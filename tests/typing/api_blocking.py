"""Uses of the blocking API, for type checkers; never run."""

from __future__ import annotations

from datetime import timedelta

from typing_extensions import assert_type

from agentbay import (
    AgentBay,
    BulkOutcome,
    BulkResult,
    CommandResult,
    Context,
    ContextResult,
    ContextSync,
    CreateSessionParams,
    DeleteResult,
    FileContentResult,
    ListSessionParams,
    OperationResult,
    ReapResult,
    Session,
    SessionListResult,
    SessionResult,
    SyncPolicy,
    SyncReceipt,
)
from agentbay.context_sync import SyncPolicy as PolicyOfModule
from agentbay.session_params import CreateSessionParams as ParamsOfModule


def sessions() -> None:
    """Create, look up, list, delete."""
    assert_type(PolicyOfModule.default(), SyncPolicy)
    with AgentBay(api_key="akm-1") as bay:
        params = ParamsOfModule(context_syncs=[ContextSync.new("c-1", "/mnt")])
        assert_type(params, CreateSessionParams)
        created = bay.create(params)
        assert_type(created, SessionResult[Session])
        assert_type(created.session, Session)
        for one in bay.list(labels={"a": "b"}):
            assert_type(one, Session)
        page = bay.list_by_labels(ListSessionParams(labels={"a": "b"}))
        assert_type(page, SessionListResult[Session])
        assert_type(page.next_token, str)
        assert_type(bay.delete(created.session), DeleteResult)
        assert_type(bay.reap(older_than=3600), ReapResult)
        with bay.session(params) as session:
            assert_type(session, Session)


def session(one: Session) -> None:
    """All that one session can do."""
    assert_type(one.set_labels({"a": "b"}), OperationResult[None])
    for key, value in one.get_labels().data.items():
        assert_type((key, value), tuple[str, str])
    assert_type(one.remaining, timedelta | None)
    with one.keep_alive_while(every=60):
        assert_type(one.command.run("ls"), CommandResult)
    assert_type(one.file_system.read_file("/f"), FileContentResult[str])
    assert_type(one.file_system.read_file("/f", format="bytes").content, bytes)
    assert_type(one.context.sync().receipt, SyncReceipt)


def contexts(bay: AgentBay) -> None:
    """Use contexts."""
    lookup = bay.context.get("data", create=True)
    assert_type(lookup, ContextResult)
    assert_type(lookup.context, Context)


def many(bay: AgentBay, params: CreateSessionParams) -> None:
    """Thousands at once."""

    def work(session: Session, item: str) -> int:
        return len(session.session_id + item)

    created = bay.create_many(params, 5)
    assert_type(created.run(), BulkResult[Session])
    assert_type(created.sessions, list[Session])
    for outcome in bay.create_many([params]):
        assert_type(outcome, BulkOutcome[Session])
    assert_type(bay.delete_many(created.sessions).sessions, list[str])
    for mapped in bay.map_sessions(work, ["a"], reuse=3):
        assert_type(mapped.value, int)
