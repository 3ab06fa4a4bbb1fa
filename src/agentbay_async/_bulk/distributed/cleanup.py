"""The sessions that a dead worker left behind are found by the label of its chunk, and deleted."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from agentbay_async._bulk.delete_many import release
from agentbay_async._lifecycle.reserved_labels import CHUNK
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError
from agentbay_async.listing import AsyncSessionListing

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async._bulk.plan import Plan

logger = logging.getLogger("agentbay")

# Seconds after which they are looked for once more: a request that was under way when its sender
# died may be acted on later, and the index of labels may lag.
_LATER = (2.0, 8.0, 30.0)


async def delete_orphans(api: Api, label: str, plan: Plan) -> None:
    """Delete what lives of a chunk, and look after it for a while, as long as `api` is open.

    Args:
        api: The service.
        label: The label of the chunk; nobody works on it any more.
        plan: How the run goes: its concurrency holds here, too.
    """
    await _sweep(api, label, plan)
    api.background.schedule(_LATER, partial(_sweep, api, label, plan))


async def _sweep(api: Api, label: str, plan: Plan) -> None:
    query = schema.ListSession(labels={CHUNK: label})
    try:
        # Read to its end first: what is deleted meanwhile would shift the pages.
        sessions = [session async for session in AsyncSessionListing(api, query)]
    except AgentBayError as error:
        logger.warning(
            "sessions of a lost worker cannot be looked for, and may cost money (%s); "
            "`agentbay reap` finds them",
            error,
        )
        return
    if sessions:
        logger.info("%d sessions of a lost worker are deleted", len(sessions))
        await release(api, sessions, plan)
