"""Clean-up after a lost worker: find the sessions of its chunk by their label, and delete them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from agentbay_async._bulk.delete_many import roll_back
from agentbay_async._lifecycle.reserved_labels import CHUNK
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError
from agentbay_async.listing import AsyncSessionListing

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async._bulk.options import RunOptions

logger = logging.getLogger("agentbay")

# Seconds after which the search is repeated. The service may act on a request of the worker after
# the worker has died, and its index of labels may lag.
_REPEAT_AFTER = (2.0, 8.0, 30.0)


async def delete_orphans(api: Api, label: str, options: RunOptions) -> None:
    """Delete the sessions of a chunk, and search for more later, until `api` is closed.

    Args:
        api: The service.
        label: The label of the chunk, which no worker processes any more.
        options: The options of the run, for its concurrency.
    """
    await _delete_labelled(api, label, options)
    api.background.schedule(_REPEAT_AFTER, partial(_delete_labelled, api, label, options))


async def _delete_labelled(api: Api, label: str, options: RunOptions) -> None:
    query = schema.ListSession(labels={CHUNK: label})
    try:
        # List all before the first delete, because deletes shift the pages of the listing.
        sessions = [session async for session in AsyncSessionListing(api, query)]
    except AgentBayError as error:
        logger.warning(
            "the sessions of a lost worker could not be listed, and may cost money (%s); "
            "`agentbay reap` finds them",
            error,
        )
        return
    if sessions:
        logger.info("deleting %d sessions of a lost worker", len(sessions))
        await roll_back(api, sessions, options)
