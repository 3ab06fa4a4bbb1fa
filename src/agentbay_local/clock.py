"""Where the service reads time: one protocol, so that a test can hold the hands of the clock.

Two readings exist because they answer different questions. `now` is what people see and what is
stored. `monotonic` measures how long something has lasted, and a correction of the machine's date
must not end a session.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from typing import Protocol

__all__ = ["Clock", "RealClock", "iso"]


class Clock(Protocol):
    """What the service needs of a clock."""

    def now(self) -> float:
        """Return Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary point, never going back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` on this clock."""
        ...


class RealClock:
    """The machine's own clock.

    Example:
        >>> RealClock().now() > 0
        True
    """

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)


def iso(seconds: float) -> str:
    """Write Unix seconds as the service writes times.

    Example:
        >>> iso(0)
        '1970-01-01T00:00:00Z'
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
