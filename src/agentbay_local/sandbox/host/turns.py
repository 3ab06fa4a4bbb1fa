"""Share the event loop: long work on what a session has sent, in steps with rests between them."""

from __future__ import annotations

import asyncio
import time

__all__ = ["Turns"]

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
