"""A deadline that stands still while its session is paused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PausableTimer"]


class PausableTimer:
    """Calls back once, after so many seconds of not being paused.

    Args:
        seconds: Time to run.
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
        """Stand still; cancelling is pausing for ever."""
        if self._handle is not None:
            self._left = max(0.0, self._handle.when() - self._loop.time())
            self._handle.cancel()
            self._handle = None

    def resume(self) -> None:
        """Go on."""
        if self._handle is None:
            self._handle = self._loop.call_later(self._left, self._callback)
