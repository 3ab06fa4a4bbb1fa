"""The reaper: delete sessions that outlived the process that created them.

It deletes a session only if it belongs to the given owner and its process is known to be dead. For
processes of this host the ledger tells. Processes of other hosts cannot be seen from here: their
sessions are deleted only if they are older than the caller demands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async._lifecycle.deletion import delete
from agentbay_async._lifecycle.ledger import compact
from agentbay_async._lifecycle.processes import ProcessState, process_state, this_process
from agentbay_async._lifecycle.reserved_labels import OWNER, RUN, created_at
from agentbay_async._lifecycle.shielding import GRACE
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError, SessionNotFoundError
from agentbay_async.models.sessions import Reaping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentbay_async._api import Api
    from agentbay_async._lifecycle.ledger import Contents, Ledger
    from agentbay_async._lifecycle.processes import Process


# The service documents no upper bound; 100 is the usual one of its gateway.
_PAGE = 100


@attrs.frozen
class _Suspect:
    """A session of the owner whose process may be dead."""

    session_id: str
    process: ProcessState
    since: float | None


async def reap(
    api: Api, ledger: Ledger | None, owner: str, older_than: float | None, *, dry_run: bool
) -> Reaping:
    """Delete the sessions of `owner` that outlived their process.

    Args:
        api: The service.
        ledger: The ledger of this host, or ``None``.
        owner: The owner; sessions of others are never deleted.
        older_than: Minimum age in seconds; required for sessions of processes that cannot be seen
            from here.
        dry_run: Delete nothing; return what would be deleted.

    Raises:
        AgentBayError: The sessions of the owner cannot be listed.
    """
    deleted: list[str] = []
    kept: list[str] = []
    failed: dict[str, str] = {}
    async for suspect in _suspects(api, ledger, owner):
        if not _is_orphan(suspect, older_than, api.clock.time()):
            kept.append(suspect.session_id)
            continue
        try:
            if not dry_run:
                await delete(api, suspect.session_id, GRACE)
            deleted.append(suspect.session_id)
        except AgentBayError as error:
            failed[suspect.session_id] = str(error)
    if ledger is not None and ledger.path.exists() and not dry_run:
        compact(ledger.path, api.clock.time())
    return Reaping(tuple(deleted), tuple(kept), failed)


def _is_orphan(suspect: _Suspect, older_than: float | None, now: float) -> bool:
    if suspect.process is ProcessState.ALIVE:
        return False
    if older_than is None:
        return suspect.process is ProcessState.DEAD
    return suspect.since is not None and now - suspect.since >= older_than


async def _suspects(api: Api, ledger: Ledger | None, owner: str) -> AsyncIterator[_Suspect]:
    """Yield the sessions of `owner`, first by the ledger, then by the service."""
    contents = None if ledger is None else ledger.read()
    seen: set[str] = set()
    for entry in [] if contents is None else contents.open:
        if entry.owner == owner and entry.endpoint == api.settings.endpoint:
            seen.add(entry.session_id)
            yield _Suspect(entry.session_id, entry.process_state, entry.since)
    if api.settings.reserved_labels:
        async for session_id in _session_ids(api, owner):
            if session_id not in seen:
                seen.add(session_id)
                labels = await _labels(api, session_id)
                if labels.get(OWNER) == owner:
                    yield _listed(session_id, labels, contents)


async def _session_ids(api: Api, owner: str) -> AsyncIterator[str]:
    query = schema.ListSession(labels={OWNER: owner}, max_results=_PAGE)
    async for page in api.pages(query):
        for entry in page.data or ():
            if entry.session_id:
                yield entry.session_id


async def _labels(api: Api, session_id: str) -> Mapping[str, str]:
    try:
        answer = await api.call(schema.GetLabel(session_id=session_id))
    except SessionNotFoundError:
        # The session ended after it was listed.
        return {}
    return (answer.data.labels if answer.data is not None else None) or {}


def _listed(session_id: str, labels: Mapping[str, str], contents: Contents | None) -> _Suspect:
    run = labels.get(RUN, "")
    process: Process | None = None if contents is None else contents.processes.get(run)
    if run == this_process().run:
        state = ProcessState.ALIVE
    else:
        state = ProcessState.UNKNOWN if process is None else process_state(process)
    return _Suspect(session_id, state, created_at(labels))
