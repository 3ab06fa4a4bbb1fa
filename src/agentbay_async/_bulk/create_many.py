"""Many sessions made: what becomes of those that were made when the others fail."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from agentbay_async._bulk.delete_many import release
from agentbay_async._bulk.worker_pool import WorkerPool
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async._sync.persistence import downloaded
from agentbay_async.errors import ClosedError, RolledBackError
from agentbay_async.models.bulk import BulkOutcome, BulkResult

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from agentbay_async._api import Api
    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.plan import Plan
    from agentbay_async._bulk.progress import ProgressReporter
    from agentbay_async._bulk.success_policy import SuccessPolicy
    from agentbay_async.models.results import SessionResult
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.session import AsyncSession

    Create = Callable[[CreateSessionParams], Awaitable[SessionResult[AsyncSession]]]
    Outcomes = AsyncGenerator[BulkOutcome[AsyncSession], None]


class CreateMany:
    """One run that makes sessions, and answers for them.

    Args:
        api: The service.
        create: What makes one session.
        source: The inputs.
        plan: How it goes.
        demand: How many must succeed.
        max_starting: How many may wait for their files at once.
        teller: Who is told how far it is.

    Attributes:
        kept: The sessions that this run will have to delete, or ``None`` if it has none to keep.
    """

    def __init__(
        self,
        api: Api,
        create: Create,
        source: Inputs[CreateSessionParams],
        plan: Plan,
        demand: SuccessPolicy,
        max_starting: int | None,
        teller: ProgressReporter,
    ) -> None:
        self.kept: list[AsyncSession] | None = [] if demand.any else None
        self._api = api
        self._create = create
        self._source = source
        self._plan = plan
        self._demand = demand
        self._max_starting = max_starting
        self._starting: Semaphore | None = None
        self._teller = teller
        self._begun = False

    def _begin(self) -> WorkerPool[CreateSessionParams, AsyncSession]:
        if self._begun:
            raise ClosedError("this run was begun before", hint="Call create_many again")
        self._begun = True
        if self._max_starting is not None:
            from asyncio import Semaphore

            self._starting = Semaphore(self._max_starting)
        act = self._create if self._starting is None else self._start
        return WorkerPool(self._source, act, self._release, self._plan, self._api.clock)

    async def _start(self, params: CreateSessionParams) -> SessionResult[AsyncSession]:
        # A session without files to wait for runs as soon as it is accepted.
        if self._starting is None or not downloaded(params.context_syncs):
            return await self._create(params)
        async with self._starting:
            return await self._create(params)

    async def _release(self, sessions: Sequence[AsyncSession]) -> list[str]:
        return await release(self._api, sessions, self._plan)

    async def walk(self) -> Outcomes:
        """Yield the outcomes as they land.

        Raises:
            RolledBackError: Too many failed; what was made, and handed out, is deleted.
        """
        run = self._begin()
        async with aclosing(self._teller.told(run)) as outcomes:
            async for outcome in outcomes:
                if self.kept is not None and outcome.error is None:
                    self.kept.append(outcome.session)
                yield outcome
                if self._demand.hopeless(run.failed, run.source.size):
                    break
        if self._failed(run):
            made, self.kept = self.kept or [], []
            left = await run_shielded(self._release(made))
            raise self._given_up(run, f"; {len(left)} could not be deleted" if left else "")

    async def gather(self) -> BulkResult[AsyncSession]:
        """Return all outcomes; if too many failed, they are failures all."""
        run = self._begin()
        landed: list[BulkOutcome[AsyncSession]] = []
        try:
            async with aclosing(self._teller.told(run)) as outcomes:
                async for outcome in outcomes:
                    landed.append(outcome)
                    if self._demand.hopeless(run.failed, run.source.size):
                        break
        except BaseException:
            # Nobody will ever hold the result, so nobody else can delete them.
            await run_shielded(self._release(_sessions(landed)))
            raise
        if self._failed(run):
            return await run_shielded(self._rolled_back(run, landed))
        landed.sort(key=lambda outcome: outcome.index)
        if self.kept is not None:
            self.kept += _sessions(landed)
        return BulkResult(landed, run.seconds, run.left_over)

    def _failed(self, run: WorkerPool[CreateSessionParams, AsyncSession]) -> bool:
        hopeless = self._demand.hopeless(run.failed, run.source.size)
        return hopeless or not self._demand.met(run.done, run.failed)

    def _given_up(
        self, run: WorkerPool[CreateSessionParams, AsyncSession], more: str = ""
    ) -> RolledBackError:
        wanted = "all" if self._demand.every else f"at least {self._demand.least}"
        return RolledBackError(
            f"{self._plan.what}: {wanted} had to succeed and {run.failed} failed,"
            f" so the others were given up{more}"
        )

    async def _rolled_back(
        self,
        run: WorkerPool[CreateSessionParams, AsyncSession],
        landed: Sequence[BulkOutcome[AsyncSession]],
    ) -> BulkResult[AsyncSession]:
        left = [*run.left_over, *await self._release(_sessions(landed))]
        known = {outcome.index: outcome for outcome in landed}
        outcomes = [
            self._without(known.get(index), index, run)
            for index in range(max(run.source.pulled, run.source.size or 0))
        ]
        return BulkResult(outcomes, run.seconds, left)

    def _without(
        self,
        outcome: BulkOutcome[AsyncSession] | None,
        index: int,
        run: WorkerPool[CreateSessionParams, AsyncSession],
    ) -> BulkOutcome[AsyncSession]:
        """Return the outcome of an input that was given up."""
        if outcome is None:
            return BulkOutcome(error=self._given_up(run), index=index)
        if outcome.error is not None:
            return outcome
        error = self._given_up(run)
        error.session_id = outcome.session.session_id
        return BulkOutcome(
            None,
            error,
            outcome.request_id,
            index=index,
            attempts=outcome.attempts,
            seconds=outcome.seconds,
        )

    async def delete_kept(self) -> list[str]:
        """Delete what it made; return the ids of what could not be deleted."""
        made, self.kept = self.kept or [], []
        return await run_shielded(self._release(made))


def _sessions(outcomes: Sequence[BulkOutcome[AsyncSession]]) -> list[AsyncSession]:
    return [outcome.session for outcome in outcomes if outcome.error is None]
