"""The duration of state changes of sessions and contexts.

By default they are as fast as the work. A test that wants to see ``PAUSING`` or ``DELETING`` makes
them take some time on the service's clock, or holds them until it calls `finish`.
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

__all__ = ["TRANSITIONS", "Transitions"]

TRANSITIONS = ("pause", "resume", "delete", "clear")
"""The transitions with a duration: three of a session, and ``clear`` of a context."""


class Transitions:
    """The transitions of one service; they may be changed from any thread.

    Example:
        ::

            service.transitions.manual("pause")
            session.pause()  # it stays PAUSING
            service.transitions.finish("pause")
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: dict[str, float | None] = {}
        self._waiting: dict[str, list[asyncio.Task[None]]] = {}

    def immediate(self, kind: str) -> None:
        """Make a transition as fast as its work, and finish those under way.

        Raises:
            ValueError: There is no such transition.
        """
        self._set(kind, 0.0)
        self.finish(kind)

    def timed(self, kind: str, seconds: float) -> None:
        """Make a transition take `seconds` on the service's clock.

        Raises:
            ValueError: There is no such transition, or the time is negative or infinite.
        """
        if not 0 <= seconds <= LONGEST:
            raise ValueError(f"seconds must not be negative or over {LONGEST:g}: {seconds!r:.80}")
        self._set(kind, float(seconds))

    def manual(self, kind: str) -> None:
        """Hold a transition until `finish` is called.

        Raises:
            ValueError: There is no such transition.
        """
        self._set(kind, None)

    def finish(self, kind: str) -> int:
        """Finish the transitions under way, and return their number.

        Raises:
            ValueError: There is no such transition.
        """
        _check(kind)
        with self._lock:
            waiting = self._waiting.pop(kind, [])
        for task in waiting:
            # The loop may be closed meanwhile; then no task waits on it.
            with suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        return len(waiting)

    def reset(self) -> None:
        """Make every transition as fast as its work."""
        for kind in TRANSITIONS:
            self.immediate(kind)

    async def pass_through(self, kind: str) -> None:
        """Wait for the duration of a transition."""
        seconds = self._seconds.get(kind, 0.0)
        if seconds == 0:
            return
        task = asyncio.create_task(self._wait(seconds))
        with self._lock:
            self._waiting.setdefault(kind, []).append(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            with self._lock, suppress(ValueError):
                self._waiting.get(kind, []).remove(task)

    async def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            await wait_for_ever(self._clock)
        await self._clock.sleep(seconds)

    def _set(self, kind: str, seconds: float | None) -> None:
        _check(kind)
        with self._lock:
            self._seconds[kind] = seconds


def _check(kind: str) -> None:
    if kind not in TRANSITIONS:
        raise ValueError(f"a transition is one of {', '.join(TRANSITIONS)}, not {kind!r}")
