"""A connection that carries text, and when to try again to have one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from agentbay_async.errors import APIError, ClosedError, ServiceError

if TYPE_CHECKING:
    from agentbay_async._clock import Clock
    from agentbay_async.errors import AgentBayError

# The pauses between two attempts to connect, in seconds.
_FIRST_PAUSE = 0.5
_FACTOR = 1.5
_LONGEST_PAUSE = 5.0
_JITTER = 0.1
# A line that never was there is given up after so many attempts, one that broke after so many
# seconds: by then the session has most likely gone.
_FIRST_ATTEMPTS = 4
_GIVE_UP = 300.0


class Connection(Protocol):
    """A connection that carries text, as aiohttp has it, seen through :mod:`~._wire.ws`."""

    async def send(self, text: str) -> None:
        """Send one frame; raise ConnectionLostError when the line is broken."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next frame, or ``None`` when the line is broken."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Attempts:
    """The attempts to have a line, from the first one until it is there or is given up.

    Args:
        clock: Time.
        first: There was none before; otherwise it broke.
    """

    def __init__(self, clock: Clock, *, first: bool) -> None:
        self._clock = clock
        self._first = first
        self._until = clock.monotonic() + _GIVE_UP
        self._failed = 0
        self._pause = _FIRST_PAUSE

    def pause_after(self, error: AgentBayError) -> float | None:
        """Return the seconds to wait after a failed attempt; ``None`` if it was the last."""
        self._failed += 1
        if self._given_up() or not _may_pass(error):
            return None
        # Spread, so that a thousand sessions do not come back at once.
        pause = self._pause + random.uniform(0, _JITTER)  # noqa: S311  # no secret
        self._pause = min(self._pause * _FACTOR, _LONGEST_PAUSE)
        return pause

    def _given_up(self) -> bool:
        if self._first:
            return self._failed >= _FIRST_ATTEMPTS
        return self._clock.monotonic() > self._until


def _may_pass(error: AgentBayError) -> bool:
    """Whether a connection may succeed later; one that is refused for good may not."""
    return not isinstance(error, (APIError, ClosedError)) or isinstance(error, ServiceError)
