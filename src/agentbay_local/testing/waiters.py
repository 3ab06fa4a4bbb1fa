"""Who sleeps on a clock that is moved by hand, and who is at work meanwhile."""

from __future__ import annotations

import math
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import asyncio

__all__ = ["LONGEST", "WORK", "Waiter", "Work", "span_of", "wake_up"]

LONGEST = 1e9
"""Seconds, some thirty years, that nothing on a clock lasts longer than: dates stay dates."""


@attrs.define(eq=False)
class Waiter:
    """Somebody who sleeps until `due`, in seconds since the clock began."""

    due: float
    wake: asyncio.Future[None]
    task: asyncio.Task[Any]
    dozing: bool


@attrs.define(eq=False)
class Work:
    """Something at work; while it sleeps on the clock itself, it keeps nobody."""

    clock: object
    asleep: int = 0


WORK: ContextVar[Work | None] = ContextVar("agentbay_local_work", default=None)
"""The work that a task is part of."""


def wake_up(wake: asyncio.Future[None]) -> None:
    """End a sleep that was not cancelled meanwhile."""
    if not wake.done():
        wake.set_result(None)


def span_of(by: timedelta | float, minutes: float, hours: float, days: float) -> float:
    """Return the seconds that a clock is to be moved by.

    Raises:
        ValueError: They are negative, or more than `LONGEST`.
    """
    base = by.total_seconds() if isinstance(by, timedelta) else by
    seconds = math.inf if base > LONGEST else base + 60 * minutes + 3600 * hours + 86400 * days
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"a clock moves forward, by at most {LONGEST:g} seconds, not {seconds:g}")
    return float(seconds)
