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
from agentbay_async._lifecycle.reserved_labels import OWNER, RUN, SINCE
from agentbay_async._lifecycle.shielding import GRACE
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError, SessionNotFoundError
from agentbay_async.models.sessions import Reaping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentbay_async._api import Api
    from agentbay_async._lifecycle.ledger import Ledger
    from agentbay_async._lifecycle.ledger_format import Contents
    from agentbay_async._lifecycle.processes import Process


# The service documents no upper bound; 100 is the usual one of its gateway.
_PAGE = 100


@attrs.frozen
class _Suspect:
    """A session of the owner, whose process may be dead."""

    session_id: str
    fate: Fate
    since: float | None


async def reap(
    api: Api, ledger: Ledger | None, owner: str, older_than: float | None, *, dry_run: bool
) -> Reaping:
    """Delete the sessions of `owner` that outlived their process.

    Args:
        api: The service.
        ledger: The ledger of this host, or ``None``.
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
    async for suspect in _suspects(api, ledger, owner):
        if not _doomed(suspect, older_than, api.clock.time()):
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


def _doomed(suspect: _Suspect, older_than: float | None, now: float) -> bool:
    if suspect.fate is Fate.ALIVE:
        return False
    if older_than is None:
        return suspect.fate is Fate.DEAD
    return suspect.since is not None and now - suspect.since >= older_than


async def _suspects(api: Api, ledger: Ledger | None, owner: str) -> AsyncIterator[_Suspect]:
    """Yield the sessions of `owner`: those of the ledger first, then those the service lists."""
    contents = None if ledger is None else ledger.read()
    seen: set[str] = set()
    for entry in [] if contents is None else contents.open:
        if entry.owner == owner and entry.endpoint == api.settings.endpoint:
            seen.add(entry.session_id)
            yield _Suspect(entry.session_id, entry.fate, entry.since)
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
