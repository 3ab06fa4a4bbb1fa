"""Run blocking work on a thread, so that it never outlives what it works on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

__all__ = ["finish", "run_off_loop"]

T = TypeVar("T")


async def finish(work: Awaitable[T]) -> T:
    """Finish some bounded work, even if the caller is cancelled meanwhile.

    The caller raises its own cancellation again.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()


async def run_off_loop(
    work: Callable[[], T],
    executor: Executor | None = None,
    on_cancel: Callable[[], None] = lambda: None,
) -> T:
    """Run blocking work on a thread and return its result.

    A cancelled caller waits until the work has ended before it raises the cancellation. Otherwise
    it would close files that the thread still uses, whose numbers soon belong to other files.

    Args:
        work: The function.
        executor: Its threads; the default threads of the event loop if None.
        on_cancel: Called when the caller is cancelled, to make the work end early.

    Example:
        >>> asyncio.run(run_off_loop(lambda: 6 * 7))
        42
    """
    running = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        on_cancel()
        await finish(asyncio.wait([running]))
        if not running.cancelled():
            running.exception()  # retrieved, so that asyncio logs nothing
        raise
