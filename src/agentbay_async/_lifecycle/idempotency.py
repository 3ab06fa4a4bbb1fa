"""What became of a create whose answer was lost.

Each create has an idempotency key, which goes along as a label. Where an answer was lost, the label
is looked up: a session that has it is the one that was asked for, and only if there is none is the
request sent again, with the same idempotency key. The service's index of labels may lag behind, so
the look-up is patient; and because it may lag more than anybody waits, an idempotency key that was
in doubt is looked after for a while longer.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.deletion import delete_abandoned
from agentbay_async._lifecycle.reserved_labels import IDEMPOTENCY_KEY
from agentbay_async._protocol import schema
from agentbay_async._protocol.envelope import Answer
from agentbay_async.errors import AgentBayError, SessionNotFoundError
from agentbay_async.models.sessions import ENDING

if TYPE_CHECKING:
    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")

# Seconds between two look-ups: while the caller waits, and afterwards.
_PAUSES = (0.2, 0.5, 1.0, 2.0)
_LATER = (2.0, 8.0, 30.0)


def new_idempotency_key() -> str:
    """Return an idempotency key that nobody else has."""
    return os.urandom(16).hex()


class Recovery:
    """Finds the session of an idempotency key, so that there is never a second one.

    Args:
        api: The service.
        idempotency_key: The key to look for.
        own: Whether it is this create's alone, and not one that the caller may use again.
    """

    def __init__(self, api: Api, idempotency_key: str, *, own: bool) -> None:
        self._api = api
        self._key = idempotency_key
        self._own = own
        self._in_doubt = False

    async def after(self, error: AgentBayError) -> Answer[schema.CreatedSession] | None:
        """Return the session that was made although its answer was lost, or ``None``.

        Raises:
            AgentBayError: `error`, because nobody can tell whether there is a session.
        """
        self._in_doubt = True
        for pause in _PAUSES:
            try:
                found = await self.find()
            except AgentBayError as failure:
                error.hint = (
                    "It is not known whether there is a session now, because looking for it failed"
                    " too; if there is, `agentbay reap` finds it once this process has ended"
                )
                raise error from failure
            if found is not None:
                return found
            await self._api.clock.sleep(pause)
        return await self.find()

    async def find(self) -> Answer[schema.CreatedSession] | None:
        """Return the session of the idempotency key if there is one; further ones are deleted."""
        kept: Answer[schema.CreatedSession] | None = None
        for session_id in await self._session_ids():
            if kept is None:
                kept = await self._adopted(session_id)
            else:
                await delete_abandoned(self._api, session_id)
        return kept

    def settle(self, session_id: str | None) -> None:
        """Keep looking for late duplicates of a key that was in doubt; all but one are deleted."""
        if self._in_doubt and (self._own or session_id is not None):
            self._api.background.schedule(_LATER, partial(self._release_others, session_id))

    async def _release_others(self, session_id: str | None) -> None:
        for pause in _PAUSES:
            others = await self._others(session_id)
            if others is not None:
                for other in others:
                    logger.info("%s was made by a request whose answer was lost", other)
                    await delete_abandoned(self._api, other)
                return
            await self._api.clock.sleep(pause)

    async def _others(self, session_id: str | None) -> list[str] | None:
        """Return the key's sessions other than `session_id`; None if the look-up failed."""
        try:
            return [other for other in await self._session_ids() if other != session_id]
        except AgentBayError as error:
            logger.debug("idempotency key %s cannot be looked up: %s", self._key, error)
            return None

    async def _session_ids(self) -> list[str]:
        query = schema.ListSession(labels={IDEMPOTENCY_KEY: self._key}, max_results=10)
        answer = await self._api.call(query, vital=True)
        return [
            entry.session_id
            for entry in answer.data or ()
            if entry.session_id and entry.session_status not in ENDING
        ]

    async def _adopted(self, session_id: str) -> Answer[schema.CreatedSession] | None:
        """Return what a create would have answered; a listing does not know how to reach it."""
        try:
            answer = await self._api.call(schema.GetSession(session_id=session_id), vital=True)
        except SessionNotFoundError:
            return None
        record = answer.data or schema.SessionRecord()
        data = schema.CreatedSession(
            session_id=session_id,
            resource_url=record.resource_url,
            app_instance_id=record.app_instance_id,
            tool_list=record.tool_list,
            link_url=record.link_url,
            ws_url=record.ws_url,
            token=record.token,
        )
        logger.info("%s was made although its answer was lost, and is used", session_id)
        return Answer(data, answer.request_id)
