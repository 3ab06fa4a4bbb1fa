"""The clock of the service, and waits on it.

``time`` is the date that people see and that is stored. ``monotonic`` measures durations: a
correction of the machine's date must not end a session.

A `ManualClock` also needs to know which tasks are at work, and which waits nobody waits for. The
functions here tell it so, and cost nothing with other clocks.
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
    "happens_within",
    "iso",
    "start_work",
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
    """Keep an automatic clock from jumping until the end of the block."""
    return clock.at_work() if isinstance(clock, ManualClock) else nullcontext()


def start_work(clock: Clock, start: Callable[[], asyncio.Task[T]]) -> asyncio.Task[T]:
    """Start a task that counts as work, in the sense of `at_work`, until it is done."""
    return clock.start_work(start) if isinstance(clock, ManualClock) else start()


async def doze_until(clock: Clock, moment: float) -> None:
    """Sleep until a reading of ``monotonic``, for routines of the service.

    No client waits for them, so that an automatic clock does not jump for them.
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
    """Wait for an event for `seconds` at most; return whether it is set."""
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return event.is_set()
