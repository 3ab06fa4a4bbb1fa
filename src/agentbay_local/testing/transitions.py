"""How long a session or a context is on its way from one state to another.

By default no longer than it takes. A test that wants to see ``PAUSING`` or ``DELETING`` lets it
take some time on the service's clock, or until it says so.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from agentbay_local.clock import wait_for_ever
from agentbay_local.manual_clock import LONGEST

if TYPE_CHECKING:
    from agentbay_local.clock import Clock

__all__ = ["KINDS", "Transitions"]

KINDS = ("pause", "resume", "delete", "clear")
"""What takes time: of a session the first three, of a context the last."""


class Transitions:
    """The ways of one service; to be changed from any thread.

    Example:
        ::

            service.transitions.manual("pause")
            session.pause()  # and it is PAUSING
            service.transitions.finish("pause")
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: dict[str, float | None] = {}
        self._waiting: dict[str, list[asyncio.Task[None]]] = {}

    def immediate(self, kind: str) -> None:
        """Let it take no longer than it takes, and let those go that are on their way.

        Raises:
            ValueError: There is no such transition.
        """
        self._set(kind, 0.0)
        self.finish(kind)

    def timed(self, kind: str, seconds: float) -> None:
        """Let it take so many seconds on the service's clock.

        Raises:
            ValueError: There is no such transition, or the time is negative or without end.
        """
        if not 0 <= seconds <= LONGEST:
            raise ValueError(f"seconds must not be negative or over {LONGEST:g}: {seconds!r:.80}")
        self._set(kind, float(seconds))

    def manual(self, kind: str) -> None:
        """Let it last until `finish` is called.

        Raises:
            ValueError: There is no such transition.
        """
        self._set(kind, None)

    def finish(self, kind: str) -> int:
        """Let those go that are on their way, and return how many they were.

        Raises:
            ValueError: There is no such transition.
        """
        _check(kind)
        with self._lock:
            waiting = self._waiting.pop(kind, [])
        for task in waiting:
            # A loop that was closed meanwhile has nobody left who waits.
            with suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        return len(waiting)

    def reset(self) -> None:
        """Let everything take no longer than it takes."""
        for kind in KINDS:
            self.immediate(kind)

    async def pass_through(self, kind: str) -> None:
        """Wait as long as it takes."""
        seconds = self._seconds.get(kind, 0.0)
        if seconds == 0:
            return
        task = asyncio.create_task(self._last(seconds))
        with self._lock:
            self._waiting.setdefault(kind, []).append(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            with self._lock, suppress(ValueError):
                self._waiting.get(kind, []).remove(task)

    async def _last(self, seconds: float | None) -> None:
        if seconds is None:
            await wait_for_ever(self._clock)
        await self._clock.sleep(seconds)

    def _set(self, kind: str, seconds: float | None) -> None:
        _check(kind)
        with self._lock:
            self._seconds[kind] = seconds


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"a transition is one of {', '.join(KINDS)}, not {kind!r}")
