"""Sessions for items: a fresh one for each, or one for several, cleaned in between."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.deletion import delete_abandoned
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async.errors import AgentBayError, SessionNotFoundError, ThrottledError
from agentbay_async.models.sessions import SessionStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._clock import Clock
    from agentbay_async.models.results import SessionResult
    from agentbay_async.session import AsyncSession

    Reset = Callable[[AsyncSession], Awaitable[None]]
    Healthy = Callable[[AsyncSession], Awaitable[bool]]

logger = logging.getLogger("agentbay")

_GONE = (SessionStatus.FINISH, SessionStatus.DELETED, SessionStatus.DELETING)
# Seconds before the service, which asked to slow down, is asked for a session again.
_RETRY_PAUSE = 1.0


class SessionPool:
    """Lends sessions, one to one borrower at a time.

    Args:
        create: What makes a session.
        clock: Time.
        patience: Seconds to go on asking a service that only asks to slow down.
        uses: How often a session is lent in all; ``None`` sets no limit.
        reset: What cleans a session before it is lent again.
        healthy: Whether a session may be lent again; by default one that runs.
    """

    def __init__(
        self,
        create: Callable[[], Awaitable[SessionResult[AsyncSession]]],
        clock: Clock,
        patience: float,
        uses: int | None,
        reset: Reset | None,
        healthy: Healthy | None,
    ) -> None:
        self._create = create
        self._clock = clock
        self._patience = patience
        self._uses = uses
        self._reset = reset
        self._healthy = healthy or _runs
        self._lent: dict[str, int] = {}
        self._idle: list[AsyncSession] = []

    async def borrow(self) -> AsyncSession:
        """Return a session, which is to be given back.

        Raises:
            AgentBayError: None could be made.
        """
        while self._idle:
            session = self._idle.pop()
            if await self._is_fit(session):
                return session
        session = await self._fresh()
        self._lent[session.session_id] = 0
        return session

    async def _is_fit(self, session: AsyncSession) -> bool:
        fit = False
        try:
            fit = await self._healthy(session)
        except AgentBayError as error:
            logger.info("%r is not used again: %s", session, error)
        finally:
            if not fit:
                await self._delete(session)
        return fit

    async def _fresh(self) -> AsyncSession:
        until = self._clock.monotonic() + self._patience
        while True:
            result = await self._create()
            if not isinstance(result.error, ThrottledError) or self._clock.monotonic() >= until:
                return result.session
            await self._clock.sleep(_RETRY_PAUSE)

    async def give_back(self, session: AsyncSession, *, usable: bool) -> None:
        """Take a session back: for the next one, or to delete it."""
        self._lent[session.session_id] += 1
        spent = self._uses is not None and self._lent[session.session_id] >= self._uses
        kept = False
        try:
            if usable and not spent:
                if self._reset is not None:
                    await self._reset(session)
                self._idle.append(session)
                kept = True
        except AgentBayError as error:
            logger.info("%r is not used again: it could not be reset (%s)", session, error)
        finally:
            if not kept:
                await self._delete(session)

    async def _delete(self, session: AsyncSession) -> None:
        self._lent.pop(session.session_id, None)
        await run_shielded(delete_abandoned(session._api, session.session_id))

    def drain(self) -> list[AsyncSession]:
        """Return the sessions that nobody has borrowed, and forget them."""
        idle, self._idle = self._idle, []
        return idle


async def _runs(session: AsyncSession) -> bool:
    return (await session.get_status()).unwrap() == SessionStatus.RUNNING


async def is_lost(session: AsyncSession, error: AgentBayError) -> bool:
    """Whether work failed because its session is gone, so that another one may succeed."""
    if isinstance(error, SessionNotFoundError):
        return True
    status = await session.get_status()
    if status.error is not None:
        return isinstance(status.error, SessionNotFoundError)
    return status.status in _GONE
