"""Keep-alive: refresh a session while a block runs, and warn before its time is over."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.shielding import run_beside
from agentbay_async._protocol import schema
from agentbay_async.errors import AgentBayError, SessionNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import timedelta

    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")


class KeepAlive:
    """Refreshes the idle time of one session periodically.

    Args:
        api: The service.
        session_id: The session.
        every: Seconds between two refreshes.
        warn: Called once, shortly before the ``max_runtime`` of the session is over.
        warn_before: Seconds between the warning and the end.
        remaining: Returns the longest time that the session still lives.

    Attributes:
        gone: The error of the refresh that found no session, or ``None``.
    """

    def __init__(
        self,
        api: Api,
        session_id: str,
        every: float,
        warn: Callable[[timedelta], Awaitable[None] | None] | None,
        warn_before: float,
        remaining: Callable[[], timedelta | None],
    ) -> None:
        self._api = api
        self._session_id = session_id
        self._every = every
        self._warn = warn
        self._warn_before = warn_before
        self._remaining = remaining
        self.gone: SessionNotFoundError | None = None

    async def run(self) -> None:
        """Refresh until the session is gone or this is cancelled."""
        clock = self._api.clock
        due = clock.monotonic() + self._every
        while self.gone is None:
            await clock.sleep(max(0.0, min(due - clock.monotonic(), self._until_warning())))
            if self._until_warning() <= 0:
                await self._send_warning()
            if clock.monotonic() >= due:
                await self._refresh()
                due = clock.monotonic() + self._every

    def _until_warning(self) -> float:
        left = self._remaining() if self._warn is not None else None
        return inf if left is None else left.total_seconds() - self._warn_before

    async def _send_warning(self) -> None:
        warn, self._warn = self._warn, None
        left = self._remaining()
        if warn is not None and left is not None and (answer := warn(left)) is not None:
            await answer

    async def _refresh(self) -> None:
        try:
            await self._api.call(schema.RefreshSessionIdleTime(session_id=self._session_id))
        except SessionNotFoundError as error:
            self.gone = error
        except AgentBayError as error:
            # The next refresh may succeed. A block that works must not fail for this.
            logger.warning("%s could not be kept alive: %s", self._session_id, error)


@asynccontextmanager
async def kept(keeper: KeepAlive) -> AsyncIterator[None]:
    """Run a keep-alive while a block runs.

    Raises:
        SessionNotFoundError: The session ended while the block ran.
        Exception: The error that `warn` raised.
    """
    async with run_beside(keeper.run()) as task:
        yield
    if keeper.gone is not None:
        raise keeper.gone
    if not task.cancelled():
        task.result()
