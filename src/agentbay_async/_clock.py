"""Time as the client sees it: a seam, so that a wait of five minutes tests in a millisecond.

Whatever in this library waits or reads the time does so through a :class:`Clock`. Time limits of
one HTTP exchange are the exception: they guard against a peer that does not answer, and run on the
event loop's own clock.
"""

from __future__ import annotations

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """What can be asked of a clock.

    Example:
        A clock for tests, on which waiting takes no time::

            class Instant:
                def __init__(self) -> None:
                    self.now = 0.0

                def time(self) -> float:
                    return self.now

                def monotonic(self) -> float:
                    return self.now

                async def sleep(self, seconds: float) -> None:
                    self.now += seconds
    """

    def time(self) -> float:
        """Return the seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...


class SystemClock:
    """The clock of the machine."""

    def time(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await anyio.sleep(seconds)
