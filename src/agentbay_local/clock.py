"""Where the service reads time, and how it waits: on the one clock that client and service share.

Two readings exist because they answer different questions. ``time`` is what people see and what is
stored. ``monotonic`` measures how long something has lasted, and a correction of the machine's date
must not end a session.

A clock whose hands a test moves wants to know more than the time one sleeps: who is at work, and
who waits without a purpose of its own. The functions here tell it, and cost nothing elsewhere.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

from agentbay_async._clock import Clock, SystemClock
from agentbay_local.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Never

__all__ = [
    "Clock",
    "SystemClock",
    "at_work",
    "doze_until",
    "employ",
    "happens_within",
    "iso",
    "wait_for_ever",
]

T = TypeVar("T")


def iso(seconds: float) -> str:
    """Write Unix seconds as the service writes times.

    Example:
        >>> iso(0)
        '1970-01-01T00:00:00Z'
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def at_work(clock: Clock) -> AbstractContextManager[None]:
    """Keep a clock that jumps from jumping while something is done inside."""
    return clock.at_work() if isinstance(clock, ManualClock) else nullcontext()


def employ(clock: Clock, start: Callable[[], asyncio.Task[T]]) -> asyncio.Task[T]:
    """Start a task that is at work, in the sense of `at_work`, from now on until it is done."""
    return clock.employ(start) if isinstance(clock, ManualClock) else start()


async def doze_until(clock: Clock, moment: float) -> None:
    """Sleep until a reading of ``monotonic``, as the routines of the service do.

    Nobody waits for their end, so that no clock jumps for it.
    """
    if isinstance(clock, ManualClock):
        await clock.doze_until(moment)
    else:
        await clock.sleep(moment - clock.monotonic())


async def wait_for_ever(clock: Clock) -> Never:
    """Wait until cancelled."""
    while True:
        if isinstance(clock, ManualClock):
            await clock.doze_until(math.inf)
        else:
            await asyncio.Event().wait()


async def happens_within(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not for ever; say whether it has come."""
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return event.is_set()
