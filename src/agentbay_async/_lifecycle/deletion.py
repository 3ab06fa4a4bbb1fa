"""Delete a session and wait until it is gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentbay_async._clock import poll
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.shielding import GRACE
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError, APIError, SessionNotFoundError
from agentbay_async.models.sessions import SessionStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")

_GONE = (SessionStatus.FINISH, SessionStatus.DELETED)
# Seconds between the rounds of `delete_abandoned`; their sum is less than the grace.
_ROUNDS = (0.5, 1.0, 2.0, 4.0, 8.0)


async def delete(
    api: Api,
    session_id: str,
    timeout: float,
    *,
    vital: bool = False,
    deadline: float | None = None,
) -> str:
    """Delete a session, wait until it is gone, and return the id of the request.

    All of it ends by one deadline: after ``Config.deadline``, or after `timeout` if that is longer.

    Args:
        api: The service.
        session_id: The session. It is a success if the session is gone already.
        timeout: Seconds to wait until it is gone.
        vital: Whether nobody will try again; see :meth:`Api.call`.
        deadline: When it ends instead, on the client's clock.

    Raises:
        AgentBayError: The session may still exist.
    """
    ends = api.deadline(timeout) if deadline is None else deadline

    async def is_gone() -> bool:
        question = schema.GetSessionDetail(session_id=session_id)
        try:
            answer = await api.call(question, vital=vital, deadline=ends)
        except APIError as error:
            # The code of the service for a session that is gone is not always the documented one.
            if error.http_status in (400, 404) and "not found" in error.message.lower():
                return True
            raise
        return answer.data is not None and answer.data.status in _GONE

    request = schema.DeleteSessionAsync(session_id=session_id)
    try:
        request_id = (await api.call(request, vital=vital, deadline=ends)).request_id
        what = f"the release of {session_id}"
        limit = min(timeout, ends - api.clock.monotonic())
        await poll(is_gone, bool, clock=api.clock, timeout=limit, what=what)
    except SessionNotFoundError as gone:
        request_id = gone.request_id
    unheld.forget(session_id)
    if api.ledger is not None:
        api.ledger.deleted(session_id)
    await api.sockets.close(session_id)
    return request_id


async def delete_abandoned(api: Api, session_id: str, *, log: bool = True) -> AgentBayError | None:
    """Delete a session that no caller holds; return the error if it may still exist.

    Nobody else will ever delete such a session, and it costs money until it ends by itself. So its
    requests are exempt from the retry budget, and further rounds follow within :data:`GRACE`.

    Args:
        api: The service.
        session_id: The session.
        log: Whether to log a failure; False for a caller that reports the error.
    """
    unheld.add(api, session_id)
    deadline = api.clock.monotonic() + GRACE
    rounds = iter(_ROUNDS)
    while (error := await _failure(api, session_id, deadline)) is not None:
        pause = next(rounds, GRACE)
        if not error.retryable or api.clock.monotonic() + pause >= deadline:
            if log:
                log_abandoned(api, [session_id], error)
            return error
        await api.clock.sleep(pause)
    return None


async def _failure(api: Api, session_id: str, deadline: float) -> AgentBayError | None:
    try:
        await delete(api, session_id, GRACE, vital=True, deadline=deadline)
    except AgentBayError as error:
        return error
    return None


def log_abandoned(api: Api, session_ids: Sequence[str], error: AgentBayError) -> None:
    """Name sessions that may still exist although they should have been deleted, in one warning.

    Args:
        api: The service.
        session_ids: The sessions, at least one.
        error: Why the first of them could not be deleted.
    """
    for session_id in session_ids:
        unheld.sessions.pop(session_id, None)
    if len(session_ids) == 1:
        what = f"session {session_ids[0]} is still there and may cost money: it"
    else:
        names = ", ".join(session_ids)
        what = f"{len(session_ids)} sessions are still there and may cost money: {names}"
    cure = "" if api.ledger is None else "; `agentbay reap` deletes what is in the ledger"
    logger.warning("%s could not be deleted (%s)%s", what, error, cure)
