"""Background tasks: what a client does beside the calls of its user, and waits for when it closes.

Closing a client must not lose a session: not one that is being created, and not one that a bulk
run created and nobody read.
"""

from __future__ import annotations

import logging
from asyncio import create_task, get_running_loop, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from agentbay_async._lifecycle.shielding import GRACE, run_shielded
from agentbay_async.errors import ClosedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from typing import Any

    from agentbay_async._clock import Clock

logger = logging.getLogger("agentbay")

# Creates may finish within the grace. After that they are cancelled, and the sessions that nobody
# read are deleted within another grace.
_CLOSE_TIMEOUT = 2 * GRACE


class Run(Protocol):
    """A bulk run."""

    async def aclose(self) -> None:
        """Start nothing more, and delete the sessions that the caller never got."""
        ...


class BackgroundTasks:
    """Scheduled work, creates and bulk runs of one client, until the client is closed.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closing = False
        self._tasks: set[Task[Any]] = set()
        self._sleeps: set[Task[Any]] = set()
        self._runs: dict[Run, AbstractEventLoop] = {}
        self._creates: dict[AbstractEventLoop, int] = {}
        self._waiters: dict[AbstractEventLoop, Future[None]] = {}

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Let the closing of the client wait for the end of this block.

        Raises:
            ClosedError: The client is being closed.
        """
        if self._closing:
            raise ClosedError("this client is closed", hint="Make a new one")
        loop = get_running_loop()
        self._creates[loop] = self._creates.get(loop, 0) + 1
        try:
            yield
        finally:
            self._creates[loop] -= 1
            if not self._creates[loop]:
                del self._creates[loop]
                waiter = self._waiters.pop(loop, None)
                if waiter is not None and not waiter.done():
                    waiter.set_result(None)

    def add_run(self, run: Run) -> None:
        """Close `run` when the client is closed.

        Raises:
            ClosedError: The client is being closed.
        """
        if self._closing:
            raise ClosedError("this client is closed", hint="Make a new one")
        self._runs[run] = get_running_loop()

    def discard_run(self, run: Run) -> None:
        """Forget a run that is closed."""
        self._runs.pop(run, None)

    def schedule(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Run `work` after each of `pauses`. It must handle its own errors."""
        _keep(create_task(self._repeat(pauses, work)), self._tasks)

    async def _repeat(
        self, pauses: Iterable[float], work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        for pause in pauses:
            if not self._closing:
                sleep = create_task(self._clock.sleep(pause))
                _keep(sleep, self._sleeps)
                await wait([sleep])
            # Run once more after a close: a run that had started before it may have looked too
            # early.
            last = self._closing
            await work()
            if last:
                return

    async def aclose(self) -> None:
        """Close the runs, wait for creates, and run scheduled work one last time, at once.

        Only the work of this loop; each step is bounded. A cancel of the caller waits for it.
        """
        self._closing = True
        loop = get_running_loop()
        if self._creates.get(loop) or self._runs:
            await run_shielded(self._settle(loop), _CLOSE_TIMEOUT)
        if self._tasks:
            await self._finish_scheduled(loop)

    async def _settle(self, loop: AbstractEventLoop) -> None:
        runs = [run for run, owner in self._runs.items() if owner is loop]
        pending: list[Future[None]] = [create_task(run.aclose()) for run in runs]
        if self._creates.get(loop):
            pending.append(self._waiters.setdefault(loop, loop.create_future()))
        if not pending:
            return
        done, _ = await wait(pending, timeout=_CLOSE_TIMEOUT)
        for future in done:
            if not future.cancelled() and (error := future.exception()) is not None:
                logger.warning("a bulk run did not end well when its client was closed: %r", error)
        if left := self._creates.get(loop):
            logger.warning(
                "%d creates had not ended when their client was closed; their sessions may cost"
                " money, and `agentbay reap` deletes them once this process has ended",
                left,
            )

    async def _finish_scheduled(self, loop: AbstractEventLoop) -> None:
        for sleep in [task for task in self._sleeps if task.get_loop() is loop]:
            sleep.cancel()
        if own := [task for task in self._tasks if task.get_loop() is loop]:
            await wait(own, timeout=GRACE)


def _keep(task: Task[Any], tasks: set[Task[Any]]) -> None:
    tasks.add(task)
    task.add_done_callback(tasks.discard)
