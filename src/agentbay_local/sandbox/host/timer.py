"""A timer that can be paused, for the timeouts of commands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PausableTimer"]


class PausableTimer:
    """Call back once, after some seconds without the time spent paused.

    Args:
        seconds: The time to wait.
        callback: Called on the running loop; may call `restart`.
    """

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._left = seconds
        self._handle: asyncio.TimerHandle | None = None
        self.resume()

    def restart(self, seconds: float, callback: Callable[[], None]) -> None:
        """Run again with another callback."""
        self.pause()
        self._left, self._callback = seconds, callback
        self.resume()

    def pause(self) -> None:
        """Stop the clock; to cancel the timer, never resume it."""
        if self._handle is not None:
            self._left = max(0.0, self._handle.when() - self._loop.time())
            self._handle.cancel()
            self._handle = None

    def resume(self) -> None:
        """Let the clock go on."""
        if self._handle is None:
            self._handle = self._loop.call_later(self._left, self._callback)
