"""Wait for what no event announces, such as a change of a process or of a file."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WITHIN = 50.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
