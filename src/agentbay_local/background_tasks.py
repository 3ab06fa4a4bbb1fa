"""Work that goes on after the answer was given: kept, logged when it fails, and ended in time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from agentbay_local.clock import employ

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentbay_local.clock import Clock

__all__ = ["BackgroundTasks"]

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """The tasks of one service.

    A failure of such a task is a fault of ours: whatever can go wrong in the ordinary course is
    caught inside it and recorded where clients look.

    Args:
        clock: The clock that does not jump while there is work.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()

    def launch(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Start `work` and hold on to it until it is done."""
        task = employ(self._clock, lambda: asyncio.create_task(work, name=name))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or _python_ends(error):
            return
        _log.error("%s failed", task.get_name(), exc_info=error)

    async def close(self, grace: float) -> None:
        """Cancel everything and wait for it, `grace` seconds at most."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)


def _python_ends(error: BaseException) -> bool:
    """Whether a worker thread was refused because the process is about to end.

    An embedded service lives until then; what it had left to do is made up for at the next start,
    or goes with its temporary home.
    """
    return isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error)
