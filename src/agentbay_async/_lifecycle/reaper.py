"""Which sessions outlived the process that created them, and their end.

A session is deleted only when it is of the owner that was named, and its process is known to be
dead: on this host the ledger tells. Processes of other hosts cannot be seen from here; their
sessions are deleted only when they are older than the caller says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async._lifecycle.deletion import delete
from agentbay_async._lifecycle.ledger import compact
from agentbay_async._lifecycle.processes import Fate, fate, this_process
from agentbay_async._lifecycle.shielding import GRACE
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError, SessionNotFoundError
from agentbay_async.listing import AsyncSessionListing
from agentbay_async.models._reserved_labels import OWNER, RUN, SINCE
from agentbay_async.models.sessions import Reaping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentbay_async._api import Api
    from agentbay_async._lifecycle.ledger_format import Contents
    from agentbay_async._lifecycle.processes import Process


@attrs.frozen
class _Suspect:
    """A session of the owner, whose process may be dead."""

    session_id: str
    fate: Fate
    since: float | None


async def reap(api: Api, owner: str, older_than: float | None, *, dry_run: bool) -> Reaping:
    """Delete the sessions of `owner` that outlived their process.

    Args:
        api: The service.
        owner: Whose sessions; others are never touched.
        older_than: Seconds that a session must have lived; needed for those of processes that
            cannot be seen from here.
        dry_run: Delete nothing, and say what would be.

    Raises:
        AgentBayError: The sessions of the owner cannot be listed.
    """
    deleted: list[str] = []
    kept: list[str] = []
    failed: dict[str, str] = {}
    async for suspect in _suspects(api, owner):
        if not _doomed(suspect, older_than, api.clock.time()):
            kept.append(suspect.session_id)
            continue
        try:
            if not dry_run:
                await delete(api, suspect.session_id, GRACE)
            deleted.append(suspect.session_id)
        except AgentBayError as error:
            failed[suspect.session_id] = str(error)
    if api.ledger is not None and api.ledger.path.exists() and not dry_run:
        compact(api.ledger.path, api.clock.time())
    return Reaping(tuple(deleted), tuple(kept), failed)


def _doomed(suspect: _Suspect, older_than: float | None, now: float) -> bool:
    if suspect.fate is Fate.ALIVE:
        return False
    if older_than is None:
        return suspect.fate is Fate.DEAD
    return suspect.since is not None and now - suspect.since >= older_than


async def _suspects(api: Api, owner: str) -> AsyncIterator[_Suspect]:
    """Yield the sessions of `owner`: those of the ledger first, then those the service lists."""
    contents = None if api.ledger is None else api.ledger.read()
    seen: set[str] = set()
    for entry in [] if contents is None else contents.open:
        if entry.owner == owner and entry.endpoint == api.settings.endpoint:
            seen.add(entry.session_id)
            yield _Suspect(entry.session_id, entry.fate, entry.since)
    if api.settings.reserved_labels:
        query = schema.ListSession(labels={OWNER: owner})
        async for session in AsyncSessionListing(api, query):
            if session.session_id not in seen:
                labels = await _labels(api, session.session_id)
                if labels.get(OWNER) == owner:
                    yield _listed(session.session_id, labels, contents)


async def _labels(api: Api, session_id: str) -> Mapping[str, str]:
    try:
        answer = await api.call(schema.GetLabel(session_id=session_id))
    except SessionNotFoundError:
        # It went while it was being listed.
        return {}
    return (answer.data.labels if answer.data is not None else None) or {}


def _listed(session_id: str, labels: Mapping[str, str], contents: Contents | None) -> _Suspect:
    run, since = labels.get(RUN, ""), labels.get(SINCE, "")
    process: Process | None = None if contents is None else contents.processes.get(run)
    if run == this_process().run:
        seen = Fate.ALIVE
    else:
        seen = Fate.UNKNOWN if process is None else fate(process)
    digits = since.isascii() and since.isdecimal() and len(since) < 16
    return _Suspect(session_id, seen, float(since) if digits else None)
