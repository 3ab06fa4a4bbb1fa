"""Share the event loop: long work on what a session has sent, in steps with rests between them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["Turns"]

T = TypeVar("T")

STEP = 0.002
"""Seconds of work at a stretch. The parser holds the interpreter lock, so a thread is no help."""


class Turns:
    """The turns of one long piece of work on the running loop.

    It gets at most half of the loop's time, whatever the session has sent.

    Example:
        >>> turns = Turns()
        >>> for line in lines:  # doctest: +SKIP
        ...     parse(line)
        ...     await turns.rest_if_due()
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def rest_if_due(self) -> None:
        """Let others run for as long as this work has run, once that is long enough."""
        worked = time.perf_counter() - self._began
        if worked >= STEP:
            await asyncio.sleep(worked)
            self._began = time.perf_counter()

    async def wait_for(self, input: Awaitable[T]) -> T:
        """Wait for more to work on; only the wait does not count as work.

        It may not suspend at all, when a session sends faster than this work is done.
        """
        waiting = time.perf_counter()
        found = await input
        self._began += time.perf_counter() - waiting
        return found
