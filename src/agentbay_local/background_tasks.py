"""Background tasks: work that continues after a request is answered."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_local.clock import start_work

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentbay_local.clock import Clock

__all__ = ["BackgroundTasks"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """The background tasks of one service.

    An exception that leaves a task is a bug, and is logged: expected errors are caught inside the
    task and recorded for clients.

    Args:
        clock: The clock of the service; an automatic clock does not jump while a task runs.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()

    def launch(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Start `work`, which nobody waits for."""
        _ = self.start(work, name)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start `work`, keep a reference until it is done, and return its task."""
        # asyncio keeps only weak references, and would let the task be collected.
        task = start_work(self._clock, lambda: asyncio.create_task(work, name=name))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or _is_interpreter_exit(error):
            return
        _log.error("%s failed", task.get_name(), exc_info=error)

    async def close(self, grace: float) -> None:
        """Cancel all tasks, and wait `grace` seconds at most until they end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)


def _is_interpreter_exit(error: BaseException) -> bool:
    """Return whether a worker thread was refused because the interpreter is exiting.

    An embedded service runs until then. The next start of a service completes the work, unless the
    home is temporary.
    """
    return isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error)
