"""Create many sessions, and delete them again if too few succeed."""

from __future__ import annotations

from contextlib import aclosing
from itertools import repeat
from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async._bulk.delete_many import roll_back
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.options import check_optional, copy_params
from agentbay_async._bulk.worker_pool import WorkerPool
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.delivery import NotDelivered
from agentbay_async._lifecycle.orphans import delete_duplicates
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async._sync.persistence import downloaded
from agentbay_async.errors import (
    ArgumentTypeError,
    ClosedError,
    InvalidArgumentError,
    RolledBackError,
)
from agentbay_async.models.bulk import BulkOutcome, BulkResult
from agentbay_async.models.sessions import CreateSessionParams

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Iterable,
        Sequence,
    )

    from agentbay_async._api import Api
    from agentbay_async._bulk.options import RunLimits, RunOptions
    from agentbay_async._bulk.progress import ProgressOptions, ProgressReporter
    from agentbay_async.models.results import SessionResult
    from agentbay_async.session import AsyncSession

    Create = Callable[[CreateSessionParams], Awaitable[SessionResult[AsyncSession]]]
    CreateInputs = (
        CreateSessionParams | Iterable[CreateSessionParams] | AsyncIterable[CreateSessionParams]
    )
    Outcome = BulkOutcome[AsyncSession]
    CreateRun = WorkerPool[CreateSessionParams, AsyncSession]

_POLICIES = ("best_effort", "all_or_nothing")


def create_many(
    api: Api,
    create: Create,
    params: CreateInputs,
    count: int | None,
    limits: RunLimits,
    progress: ProgressOptions,
    *,
    max_starting: int | None,
    on_outcome: str,
    min_success: int | None,
) -> CreateMany:
    """Return a run that creates sessions.

    Raises:
        InvalidArgumentError: A value is out of range.
        ArgumentTypeError: A value has the wrong type.
    """
    options = attrs.evolve(limits.options(api, "create_many", "CreateMcpSession"), trusted=True)
    inputs = _create_inputs(params, count)
    policy = SuccessPolicy.from_arguments(on_outcome, min_success, inputs.size)
    starting = check_optional(_check.positive_int, max_starting, "max_starting")
    reporter = progress.reporter(api.clock, options.operation)
    return CreateMany(api, create, inputs, options, policy, starting, reporter)


def _create_inputs(params: CreateInputs, count: int | None) -> Inputs[CreateSessionParams]:
    if isinstance(params, CreateSessionParams):
        if count is None:
            raise InvalidArgumentError(
                "one params object goes with a count: create_many(params, 5)"
            )
        copies = _Copies(params, _check.positive_int(count, "count"))
        return Inputs(copies, lambda copied, _name: copied, "params")
    if isinstance(params, int):
        raise ArgumentTypeError(
            f"params comes first: create_many(CreateSessionParams(), {params}) creates {params}"
        )
    if count is not None:
        raise InvalidArgumentError("count goes with one CreateSessionParams; leave it out")
    return Inputs(params, copy_params, "params")


class _Copies:
    """The same params `count` times: one copy, shared by all inputs."""

    def __init__(self, params: CreateSessionParams, count: int) -> None:
        self._params = copy_params(params, "params")
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> repeat[CreateSessionParams]:
        return repeat(self._params, self._count)


@attrs.frozen
class SuccessPolicy:
    """The number of inputs that must succeed; otherwise the run is rolled back.

    Attributes:
        require_all: Whether all must succeed.
        min_success: How many must succeed; 0 for no minimum.
    """

    require_all: bool = False
    min_success: int = 0

    @classmethod
    def from_arguments(
        cls, on_outcome: str, min_success: int | None, size: int | None
    ) -> SuccessPolicy:
        """Check the arguments of the caller and return the policy.

        Raises:
            InvalidArgumentError: There is no such policy, or it can never be met.
        """
        if on_outcome not in _POLICIES:
            raise InvalidArgumentError(
                f"on_outcome must be one of {', '.join(_POLICIES)}, not {on_outcome!r}"
            )
        if min_success is None:
            return cls(require_all=on_outcome == "all_or_nothing")
        if on_outcome == "all_or_nothing":
            raise InvalidArgumentError(
                "min_success and on_outcome='all_or_nothing' exclude each other"
            )
        minimum = _check.positive_int(min_success, "min_success")
        if size is not None and minimum > size:
            raise InvalidArgumentError(f"min_success must be at most {size}, not {minimum}")
        return cls(min_success=minimum)

    @property
    def may_roll_back(self) -> bool:
        """Whether the run can be rolled back at all."""
        return self.require_all or self.min_success > 0

    def is_unreachable(self, failed: int, size: int | None) -> bool:
        """Return whether the policy can no longer be met."""
        if self.require_all:
            return failed > 0
        return size is not None and size - failed < self.min_success

    def is_met(self, done: int, failed: int) -> bool:
        """Return whether a finished run meets the policy."""
        return not failed if self.require_all else done >= self.min_success


class CreateMany:
    """One run that creates sessions.

    Args:
        api: The service.
        create: Creates one session.
        inputs: The params of the sessions.
        options: How the run proceeds.
        policy: How many must succeed.
        max_starting: How many sessions may download files of contexts at once, or ``None``.
        reporter: Reports the progress.

    Attributes:
        created: The sessions that the caller got and that the run may have to delete; ``None`` if
            it never deletes them, so that an endless run does not collect them.
        in_block: Whether the end of a block deletes all of them.
    """

    def __init__(
        self,
        api: Api,
        create: Create,
        inputs: Inputs[CreateSessionParams],
        options: RunOptions,
        policy: SuccessPolicy,
        max_starting: int | None,
        reporter: ProgressReporter,
    ) -> None:
        self.created: list[AsyncSession] | None = [] if policy.may_roll_back else None
        self.in_block = False
        self._api = api
        self._create = create
        self._inputs = inputs
        self._options = options
        self._policy = policy
        self._max_starting = max_starting
        self._downloads: Semaphore | None = None
        self._reporter = reporter
        self._started = False

    @property
    def size(self) -> int | None:
        """The number of inputs, or ``None`` if unknown."""
        return self._inputs.size

    def _start(self) -> CreateRun:
        if self._started:
            raise ClosedError("this run has already started", hint="Call create_many again")
        self._started = True
        if self._max_starting is not None:
            from asyncio import Semaphore

            self._downloads = Semaphore(self._max_starting)
        create = self._create_unheld if self._downloads is None else self._create_limited
        api = self._api
        return WorkerPool(self._inputs, create, self._end, self._options, api.clock, api.background)

    async def _end(self, unread: Sequence[AsyncSession]) -> list[str]:
        remaining = await self._roll_back(unread)
        await delete_duplicates(self._api)
        return remaining

    async def _create_limited(self, params: CreateSessionParams) -> SessionResult[AsyncSession]:
        # A session without files to download runs as soon as the service accepts it.
        if self._downloads is None or not downloaded(params.all_syncs()):
            return await self._create_unheld(params)
        async with self._downloads:
            return await self._create_unheld(params)

    async def _create_unheld(self, params: CreateSessionParams) -> SessionResult[AsyncSession]:
        # The caller gets the session later, with its outcome.
        result = await self._create(params)
        if result.success and params.idempotency_key is None:
            unheld.add(self._api, result.session.session_id)
        return result

    async def _roll_back(self, sessions: Sequence[AsyncSession], *, log: bool = True) -> list[str]:
        return await roll_back(self._api, sessions, self._options, log=log)

    async def iterate(self) -> AsyncGenerator[Outcome, None]:
        """Yield the outcomes when they are ready.

        Raises:
            RolledBackError: Too few succeeded; all sessions, also those yielded, were deleted.
        """
        run = self._start()
        async with aclosing(self._reporter.track(run)) as outcomes:
            async for outcome in outcomes:
                if outcome.error is None:
                    self._hand_over(outcome.session)
                try:
                    yield outcome
                except NotDelivered:
                    await run_shielded(self._roll_back(_sessions([outcome])))
                    raise
                if self._policy.is_unreachable(run.failed, run.inputs.size):
                    break
        if self._has_failed(run):
            remaining = await self.delete_created()
            details = f"; {len(remaining)} could not be deleted" if remaining else ""
            raise self._rolled_back_error(run, details)

    def _hand_over(self, session: AsyncSession) -> None:
        # In a block the caller only borrows it: the end of the block deletes it.
        if not self.in_block:
            unheld.hand_over.get()(session.session_id, None)
        if self.created is not None:
            self.created.append(session)

    async def gather(self) -> BulkResult[AsyncSession]:
        """Return all outcomes; if too few succeeded, all of them are failures."""
        with self._api.background.creating():
            return await self._gather()

    async def _gather(self) -> BulkResult[AsyncSession]:
        run = self._start()
        ready: list[Outcome] = []
        try:
            async with aclosing(self._reporter.track(run)) as outcomes:
                async for outcome in outcomes:
                    ready.append(outcome)
                    if self._policy.is_unreachable(run.failed, run.inputs.size):
                        break
        except BaseException:
            # The caller gets no result, so it cannot delete the sessions.
            await run_shielded(self._roll_back(_sessions(ready)))
            raise
        if self._has_failed(run):
            return await run_shielded(self._rolled_back_result(run, ready))
        ready.sort(key=lambda outcome: outcome.index)
        sessions = _sessions(ready)
        for session in sessions:
            self._hand_over(session)
        return BulkResult(ready, run.seconds, run.left_over)

    def _has_failed(self, run: CreateRun) -> bool:
        unreachable = self._policy.is_unreachable(run.failed, run.inputs.size)
        return unreachable or not self._policy.is_met(run.done, run.failed)

    def _rolled_back_error(self, run: CreateRun, details: str = "") -> RolledBackError:
        required = "all" if self._policy.require_all else f"at least {self._policy.min_success}"
        return RolledBackError(
            f"{self._options.operation}: {required} had to succeed and {run.failed} failed,"
            f" so the others were rolled back{details}"
        )

    async def _rolled_back_result(
        self, run: CreateRun, ready: Sequence[Outcome]
    ) -> BulkResult[AsyncSession]:
        left_over = [*run.left_over, *await self._roll_back(_sessions(ready))]
        by_index = {outcome.index: outcome for outcome in ready}
        outcomes = [
            self._rolled_back_outcome(by_index.get(index), index, run)
            for index in range(max(run.inputs.taken, run.inputs.size or 0))
        ]
        return BulkResult(outcomes, run.seconds, left_over)

    def _rolled_back_outcome(self, outcome: Outcome | None, index: int, run: CreateRun) -> Outcome:
        """Return the outcome of one input of a run that was rolled back."""
        if outcome is None:
            return BulkOutcome(error=self._rolled_back_error(run), index=index)
        if outcome.error is not None:
            return outcome
        error = self._rolled_back_error(run)
        error.session_id = outcome.session.session_id
        return BulkOutcome(
            None,
            error,
            outcome.request_id,
            index=index,
            attempts=outcome.attempts,
            seconds=outcome.seconds,
        )

    async def delete_created(self, *, log: bool = True) -> list[str]:
        """Delete the sessions of this run; return the ids of those that may still exist.

        Args:
            log: Whether to name those in a warning.
        """
        sessions, self.created = self.created or [], []
        return await run_shielded(self._roll_back(sessions, log=log))


def _sessions(outcomes: Sequence[Outcome]) -> list[AsyncSession]:
    return [outcome.session for outcome in outcomes if outcome.error is None]
