"""Orphans: delete the sessions that this process created and that no caller has.

Some are recorded: those of creates and roll-backs that were interrupted. Others are known only to
the service: if the network delivers a create twice, two sessions exist and the answer names one.
They are found by the label of this process, with one listing for each bulk run and one when a
client is closed.
"""

from __future__ import annotations

import logging
from asyncio import get_running_loop
from typing import TYPE_CHECKING, TypeVar

import anyio

from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.deletion import delete_abandoned
from agentbay_async._lifecycle.processes import this_process
from agentbay_async._lifecycle.reserved_labels import IDEMPOTENCY_KEY, RUN
from agentbay_async._lifecycle.shielding import GRACE, register_clean_up
from agentbay_async._protocol import schema
from agentbay_async.config import LOCAL
from agentbay_async.errors import AgentBayError
from agentbay_async.models.sessions import ENDING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from agentbay_async._api import Api

T = TypeVar("T")

logger = logging.getLogger("agentbay")

# Seconds by which the search may delay the end of a bulk run or the closing of a client.
_TIMEOUT = 5.0
# The service documents no upper bound; 100 is the usual one of its gateway.
_PAGE = 100
_CONCURRENCY = 50


async def clean_up_client(api: Api) -> None:
    """Delete the sessions that creates of a closing client left on this loop."""
    await _delete_unheld(api, GRACE)
    if api.background.has_created:
        await delete_duplicates(api)


async def delete_duplicates(api: Api) -> None:
    """Delete sessions that creates of this process made and did not return.

    Without labels they cannot be found, and those of an embedded service end with this process.
    Pages after the first are read only if the listing has more sessions than this process knows,
    because a duplicate makes it longer. Failures are logged.
    """
    if not api.settings.reserved_labels or api.settings.endpoint == LOCAL:
        return
    if max(len(unheld.created), len(unheld.found)) >= unheld.MAX_KNOWN:
        logger.debug("the search for duplicates is skipped: this process has too many sessions")
        return
    try:
        with anyio.move_on_after(_TIMEOUT):
            suspects = await _suspects(api, this_process().run)
            await _for_each(suspects, lambda one: _delete_orphan(api, one))
    except AgentBayError as error:
        logger.debug("cannot look for duplicates: %s", error)


async def _suspects(api: Api, run: str) -> list[str]:
    """Return the listed sessions of this process that it does not know."""
    query = schema.ListSession(labels={RUN: run}, max_results=_PAGE)
    suspects: list[str] = []
    async for page in api.pages(query):
        suspects += [
            entry.session_id
            for entry in page.data or ()
            if entry.session_id
            and entry.session_status not in ENDING
            and not _is_known(entry.session_id)
        ]
        expected = len(unheld.created) + len(unheld.creates)
        if page.total_count is not None and page.total_count <= expected:
            break
    return suspects


def _is_known(session_id: str) -> bool:
    return any(session_id in known for known in (unheld.created, unheld.found, unheld.sessions))


async def _delete_orphan(api: Api, session_id: str) -> bool:
    """Delete a session if nobody has it; return False if it is not of this process at all."""
    try:
        answer = await api.call(schema.GetLabel(session_id=session_id), vital=True)
    except AgentBayError as error:
        logger.debug("cannot tell whether %s is a duplicate: %s", session_id, error)
        return True
    labels = (answer.data.labels if answer.data is not None else None) or {}
    run, key = this_process().run, labels.get(IDEMPOTENCY_KEY, "")
    if labels.get(RUN) != run:
        # The service ignores the filter, so other sessions of the listing are foreign too.
        return False
    # A key of the caller may be in use elsewhere. A create that waits for its answer may have made
    # this session, and one that just ended may have returned it.
    if key.startswith(f"{run}-") and key not in unheld.creates and not _is_known(session_id):
        logger.info("%s was created twice or its create was cut off; deleting it", session_id)
        if await delete_abandoned(api, session_id) is None:
            unheld.cut_off.pop(key, None)
    return True


async def _delete_unheld(api: Api | None, seconds: float) -> None:
    """Delete the recorded sessions of this loop, of one client or of all."""
    loop = get_running_loop()
    recorded = [
        (session_id, owner)
        for session_id, (owner, its_loop) in list(unheld.sessions.items())
        if its_loop is loop and (api is None or owner is api)
    ]

    async def delete(item: tuple[str, Api]) -> bool:
        # Sessions that cannot be deleted stay recorded, so that the warning names them.
        await delete_abandoned(item[1], item[0], log=False)
        return True

    with anyio.move_on_after(seconds):
        await _for_each(recorded, delete)


async def _for_each(items: Iterable[T], work: Callable[[T], Awaitable[bool]]) -> None:
    """Call `work` with each item, several at once, until one returns False."""
    remaining = list(items)

    async def worker(pending: Iterator[T]) -> None:
        for item in pending:
            if not await work(item):
                group.cancel_scope.cancel()

    if remaining:
        pending = iter(remaining)
        async with anyio.create_task_group() as group:
            for _ in range(min(_CONCURRENCY, len(remaining))):
                group.start_soon(worker, pending)


async def _clean_up(seconds: float) -> None:
    """Delete what is left on this loop, whose tasks were cut off."""
    loop = get_running_loop()
    with anyio.move_on_after(seconds):
        await _delete_unheld(None, seconds)
        for api in {api for api, its_loop in list(unheld.cut_off.values()) if its_loop is loop}:
            await delete_duplicates(api)


register_clean_up(_clean_up)
