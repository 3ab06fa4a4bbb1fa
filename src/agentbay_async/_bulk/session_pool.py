"""Session pool of a map: a fresh session for each item, or sessions that serve several items."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentbay_async._bulk.worker_pool import RETRY_PAUSE
from agentbay_async._lifecycle import unheld
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


class SessionPool:
    """Gives each worker a session that nobody else uses meanwhile.

    Args:
        create: Creates a session.
        clock: Time.
        throttle_timeout: Seconds for which a create is retried while the service throttles it.
        max_uses: How many items one session serves; ``None`` sets no limit.
        reset: Cleans a session before its next item, or ``None``.
        healthy: Returns whether a session may serve another item; ``None`` requires that it runs.
    """

    def __init__(
        self,
        create: Callable[[], Awaitable[SessionResult[AsyncSession]]],
        clock: Clock,
        throttle_timeout: float,
        max_uses: int | None,
        reset: Reset | None,
        healthy: Healthy | None,
    ) -> None:
        self._create = create
        self._clock = clock
        self._throttle_timeout = throttle_timeout
        self._max_uses = max_uses
        self._reset = reset
        self._healthy = healthy or _is_running
        self._uses: dict[str, int] = {}
        self._idle: list[AsyncSession] = []

    async def acquire(self) -> AsyncSession:
        """Return a session; the caller passes it to :meth:`release` afterwards.

        Raises:
            AgentBayError: No session could be created.
        """
        while self._idle:
            session = self._idle.pop()
            if await self._check_health(session):
                return session
        session = await self._create_session()
        self._uses[session.session_id] = 0
        return session

    async def _check_health(self, session: AsyncSession) -> bool:
        """Return whether a session may be used; delete it if not, also after a cancel."""
        healthy = False
        try:
            healthy = await self._healthy(session)
        except AgentBayError as error:
            logger.info("%r is not used again: %s", session, error)
        finally:
            if not healthy:
                await self._delete(session)
        return healthy

    async def _create_session(self) -> AsyncSession:
        until = self._clock.monotonic() + self._throttle_timeout
        while True:
            result = await self._create()
            if not isinstance(result.error, ThrottledError) or self._clock.monotonic() >= until:
                session = result.session
                unheld.add(session._api, session.session_id)
                return session
            await self._clock.sleep(RETRY_PAUSE)

    async def release(self, session: AsyncSession, *, usable: bool) -> None:
        """Keep a session for the next item, or delete it."""
        self._uses[session.session_id] += 1
        used_up = self._max_uses is not None and self._uses[session.session_id] >= self._max_uses
        kept = False
        try:
            if usable and not used_up:
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
        self._uses.pop(session.session_id, None)
        await run_shielded(delete_abandoned(session._api, session.session_id))

    def take_idle(self) -> list[AsyncSession]:
        """Remove all idle sessions from the pool and return them."""
        idle, self._idle = self._idle, []
        return idle


async def _is_running(session: AsyncSession) -> bool:
    return (await session.get_status()).unwrap() == SessionStatus.RUNNING


async def is_lost(session: AsyncSession, error: AgentBayError) -> bool:
    """Return whether work failed because its session is gone, so that a retry may succeed.

    A call in a session that has just ended may fail with another error than "not found", such as a
    closed connection. So the service is asked for the state of the session.
    """
    if isinstance(error, SessionNotFoundError):
        return True
    status = await session.get_status()
    if status.error is not None:
        return isinstance(status.error, SessionNotFoundError)
    return status.status in _GONE
