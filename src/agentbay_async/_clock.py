"""Clock: the seam for time, so that a wait of five minutes takes a millisecond in tests.

Everything in this library that waits or reads the time does so through a :class:`Clock`. The
exception is the timeout of one HTTP exchange. It guards against a peer that does not answer, and
runs on the event loop's clock.
"""

from __future__ import annotations

from time import monotonic as _monotonic
from time import time as _time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Interface of a clock.

    Example:
        A clock for tests, which does not wait::

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
        """Return seconds of a clock that never goes backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...


class SystemClock:
    """The clock of the machine."""

    # The functions themselves: every call reads a clock several times.
    time = staticmethod(_time)
    monotonic = staticmethod(_monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await anyio.sleep(seconds)
