"""How a session is released, and how one is got rid of that nobody holds any more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.shielding import GRACE
from agentbay_async._polling import poll
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError, SessionNotFoundError
from agentbay_async.models.sessions import SessionStatus

if TYPE_CHECKING:
    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")

_GONE = (SessionStatus.FINISH, SessionStatus.DELETED)
# Seconds before one more round of attempts; their sum is less than the grace.
_ROUNDS = (0.5, 1.0, 2.0, 4.0, 8.0)


async def delete(api: Api, session_id: str, timeout: float, *, vital: bool = False) -> str:
    """Release a session, wait until it is gone, and return the id of the request.

    Args:
        api: The service.
        session_id: The session; one that is gone already is a success.
        timeout: Seconds to wait until it is gone.
        vital: Whether nobody will try again.

    Raises:
        AgentBayError: It is not gone, as far as is known.
    """

    async def is_gone() -> bool:
        answer = await api.call(schema.GetSessionDetail(session_id=session_id), vital=vital)
        return answer.data is not None and answer.data.status in _GONE

    request = schema.DeleteSessionAsync(session_id=session_id)
    try:
        request_id = (await api.call(request, vital=vital)).request_id
        what = f"the release of {session_id}"
        await poll(is_gone, bool, clock=api.clock, timeout=timeout, what=what)
    except SessionNotFoundError as gone:
        request_id = gone.request_id
    if api.ledger is not None:
        api.ledger.deleted(session_id)
    await api.sockets.close(session_id)
    return request_id


async def insist(api: Api, session_id: str) -> AgentBayError | None:
    """Delete a session that nobody will hold any more; return the error if it is still there.

    A service that is not well is asked again and again, within the grace.
    """
    deadline = api.clock.monotonic() + GRACE
    rounds = iter(_ROUNDS)
    while (error := await _failure(api, session_id)) is not None:
        pause = next(rounds, GRACE)
        if not error.retryable or api.clock.monotonic() + pause >= deadline:
            return error
        await api.clock.sleep(pause)
    return None


async def release(api: Api, session_id: str) -> None:
    """Delete a session that nobody holds, and say so where that is not possible."""
    error = await insist(api, session_id)
    if error is not None:
        left(api, session_id, error)


async def _failure(api: Api, session_id: str) -> AgentBayError | None:
    try:
        await delete(api, session_id, GRACE, vital=True)
    except AgentBayError as error:
        return error
    return None


def left(api: Api, session_id: str, error: AgentBayError) -> None:
    """Say that a session is left, although it should have been deleted."""
    written = "; it is in the ledger, and `agentbay reap` deletes it" if api.ledger else ""
    logger.warning(
        "session %s is still there and may cost money: it could not be deleted (%s)%s",
        session_id,
        error,
        written,
    )
