"""Bulk runs: create and delete many sessions, at the rate that the service allows.

A run starts on first use. Used as a whole, it gives one
:class:`~agentbay_async.models.bulk.BulkResult`. Iterated, it gives each outcome as soon as it is
known and keeps none, so that its memory does not grow. As a context manager, it deletes its
sessions at the end of the block.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from agentbay_async.errors import ClosedError, SessionError
from agentbay_async.models._later import AwaitableCoroutine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from types import TracebackType
    from typing import Any

    from agentbay_async._bulk.create_many import CreateMany
    from agentbay_async._bulk.progress import ProgressReporter
    from agentbay_async._bulk.worker_pool import WorkerPool
    from agentbay_async.models.bulk import BulkOutcome, BulkResult
    from agentbay_async.session import AsyncSession


class AsyncBulkCreation(AwaitableCoroutine["BulkResult[AsyncSession]"]):
    """A run that creates many sessions; see :meth:`AsyncAgentBay.create_many`.

    Each object is one run: its result stays the same, and a second iteration raises an error.

    Example:
        ::

            result = await bay.create_many(params, 1000)
            print(result.done, result.failed)

            async for outcome in bay.create_many(params, 1000):
                print(outcome.index, outcome.session.session_id)

            async with bay.create_many(params, 10) as sessions:
                async for outcome in sessions:
                    await outcome.session.command.run("make test")
    """

    __slots__ = ("__weakref__", "_result", "_run")

    def __init__(self, run: CreateMany) -> None:
        self._run = run
        self._result: BulkResult[AsyncSession] | None = None

    def __repr__(self) -> str:
        size = self._run.size
        shown = self._result or f"{'any number of' if size is None else size} inputs, not awaited"
        return f"{type(self).__name__}({shown})"

    def __await__(self) -> Generator[Any, None, BulkResult[AsyncSession]]:
        return self.run().__await__()

    async def run(self) -> BulkResult[AsyncSession]:
        """Create all sessions, and return the outcomes in the order of the inputs.

        A cancel, or an error that the inputs raise, ends the run and deletes its sessions.

        Raises:
            ClosedError: The run was iterated before.
        """
        if self._result is None:
            self._result = await self._run.gather()
        return self._result

    def __aiter__(self) -> AsyncIterator[BulkOutcome[AsyncSession]]:
        return self._run.iterate()

    async def __aenter__(self) -> AsyncBulkCreation:
        self._run.created, self._run.in_block = [], True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What remains is named once: by the error below, or in a warning beside another error.
        remaining = await self._run.delete_created(log=error is not None)
        if remaining and error is None:
            raise SessionError(
                f"{len(remaining)} sessions could not be deleted and may cost money: "
                f"{', '.join(remaining)}",
                hint="Delete them with delete_many",
            )


class AsyncBulkDeletion(AwaitableCoroutine["BulkResult[str]"]):
    """A run that deletes many sessions; see :meth:`AsyncAgentBay.delete_many`.

    Each object is one run: its result stays the same, and a second iteration raises an error.

    Example:
        ::

            result = await bay.delete_many(labels={"project": "demo"})
            result.raise_for_failures()
    """

    __slots__ = ("__weakref__", "_reporter", "_result", "_run", "_started")

    def __init__(self, run: WorkerPool[AsyncSession, str], reporter: ProgressReporter) -> None:
        self._run = run
        self._reporter = reporter
        self._started = False
        self._result: BulkResult[str] | None = None

    def __repr__(self) -> str:
        size = self._run.inputs.size
        shown = self._result or f"{'any number of' if size is None else size} inputs, not awaited"
        return f"{type(self).__name__}({shown})"

    def __await__(self) -> Generator[Any, None, BulkResult[str]]:
        return self.run().__await__()

    async def run(self) -> BulkResult[str]:
        """Delete all sessions, and return the outcomes in the order of the inputs.

        Raises:
            ClosedError: The run was iterated before.
        """
        if self._result is None:
            outcomes = [outcome async for outcome in self._iterate()]
            outcomes.sort(key=lambda outcome: outcome.index)
            # Imported here, because few programs use it and attrs takes time to build its classes.
            from agentbay_async.models.bulk import BulkResult

            self._result = BulkResult(outcomes, self._run.seconds)
        return self._result

    def __aiter__(self) -> AsyncIterator[BulkOutcome[str]]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[BulkOutcome[str]]:
        if self._started:
            raise ClosedError("this run has already started", hint="Call delete_many again")
        self._started = True
        async with aclosing(self._reporter.track(self._run)) as outcomes:
            async for outcome in outcomes:
                yield outcome
