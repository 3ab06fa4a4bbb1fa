"""Idempotency of creates: find the session of a create whose answer was lost.

The service has no idempotency keys, so each create sends one as a label. After a lost answer the
client looks the label up. If a session has it, the create succeeded, and the session is used. Only
if there is none, the request is sent again, with the same key.

The service's label index may lag, so the look-up is repeated. It may also lag longer than a caller
should wait. Therefore the key of an uncertain create is looked up again in the background, and
sessions that turn up then are deleted.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.deletion import delete_abandoned
from agentbay_async._lifecycle.reserved_labels import IDEMPOTENCY_KEY
from agentbay_async._protocol import schema
from agentbay_async._protocol.envelope import Answer
from agentbay_async.errors import AgentBayError, OtherServerError, SessionNotFoundError
from agentbay_async.models.sessions import ENDING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")

# Seconds between look-ups while the caller waits, and in the background.
_PAUSES = (0.2, 0.5, 1.0, 2.0)
_LATER = (2.0, 8.0, 30.0)

_UNKNOWN = (
    "It is unknown whether a session was created, because {}; if it was, `agentbay reap` finds it"
    " once this process has ended"
)


class Recovery:
    """Finds the session of an idempotency key, and deletes duplicates.

    Args:
        api: The service.
        idempotency_key: The key.
        own: Whether the library made the key for one create. A key of the caller may be in use
            elsewhere, so its sessions are deleted only as duplicates of a known one.

    The look-ups of a create share its deadline. Duplicates are deleted in the background, so that
    nobody waits for that.
    """

    def __init__(self, api: Api, idempotency_key: str, *, own: bool) -> None:
        self._api = api
        self._key = idempotency_key
        self._own = own
        self._uncertain = False

    async def after(
        self, error: AgentBayError, deadline: float
    ) -> Answer[schema.CreatedSession] | None:
        """Return the session that the failed attempt created, or ``None``.

        Raises:
            AgentBayError: `error`, if it is unknown whether there is a session.
        """
        self._uncertain = True
        for pause in (0.0, *_PAUSES):
            if self._api.clock.monotonic() + pause >= deadline:
                error.hint = _UNKNOWN.format("there was no time left to look it up")
                raise error
            if pause:
                await self._api.clock.sleep(pause)
            try:
                found = await self.find(deadline)
            except OtherServerError:
                raise error from None  # no service that could have created a session
            except AgentBayError as failure:
                error.hint = _UNKNOWN.format("the look-up failed too")
                raise error from failure
            if found is not None:
                return found
        return None

    async def find(self, deadline: float) -> Answer[schema.CreatedSession] | None:
        """Return the first session of the key, or ``None``; delete any others."""
        others = iter(await self._session_ids(deadline))
        kept: Answer[schema.CreatedSession] | None = None
        for session_id in others:
            kept = await self._fetch(session_id, deadline)
            if kept is not None:
                break
        if duplicates := list(others):
            self._api.background.schedule((0.0,), partial(self._delete, duplicates))
        return kept

    def settle(self, session_id: str | None) -> None:
        """Delete late duplicates of `session_id` in the background, if an answer was lost."""
        if self._uncertain and (self._own or session_id is not None):
            self._api.background.schedule(_LATER, partial(self._delete_duplicates, session_id))

    async def _delete_duplicates(self, session_id: str | None) -> None:
        for pause in _PAUSES:
            duplicates = await self._duplicates(session_id)
            if duplicates is not None:
                await self._delete(duplicates)
                return
            await self._api.clock.sleep(pause)

    async def _delete(self, duplicates: Iterable[str]) -> None:
        for duplicate in duplicates:
            logger.info("%s has the idempotency key of another session; deleting it", duplicate)
            await delete_abandoned(self._api, duplicate)

    async def _duplicates(self, session_id: str | None) -> list[str] | None:
        """Return the sessions of the key except `session_id`; ``None`` if the look-up failed."""
        try:
            return [other for other in await self._session_ids() if other != session_id]
        except OtherServerError:
            return []  # no service that could have created a session
        except AgentBayError as error:
            logger.debug("cannot look up the idempotency key %s: %s", self._key, error)
            return None

    async def _session_ids(self, deadline: float | None = None) -> list[str]:
        query = schema.ListSession(labels={IDEMPOTENCY_KEY: self._key}, max_results=10)
        answer = await self._api.call(query, vital=True, deadline=deadline)
        return [
            entry.session_id
            for entry in answer.data or ()
            if entry.session_id and entry.session_status not in ENDING
        ]

    async def _fetch(
        self, session_id: str, deadline: float
    ) -> Answer[schema.CreatedSession] | None:
        """Return the answer of a create for a session, with addresses that a listing lacks."""
        request = schema.GetSession(session_id=session_id)
        try:
            answer = await self._api.call(request, vital=True, deadline=deadline)
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
        logger.info("using %s, which was created although its answer was lost", session_id)
        return Answer(data, answer.request_id)
