"""Delete many sessions: for the caller, or because a bulk run is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.worker_pool import WorkerPool
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.deletion import delete_abandoned, log_abandoned
from agentbay_async.errors import ArgumentTypeError
from agentbay_async.models.results import OperationResult
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from agentbay_async._api import Api
    from agentbay_async._bulk.options import RunLimits, RunOptions
    from agentbay_async._bulk.progress import ProgressOptions, ProgressReporter
    from agentbay_async.errors import AgentBayError

# Seconds after which a roll-back gives up.
_ROLL_BACK_TIMEOUT = 120.0


def delete_many(
    api: Api,
    sessions: Iterable[AsyncSession | str] | AsyncIterable[AsyncSession | str] | None,
    limits: RunLimits,
    progress: ProgressOptions,
    *,
    sync_context: bool,
    force: bool,
) -> tuple[WorkerPool[AsyncSession, str], ProgressReporter]:
    """Return a run that deletes sessions, and its reporter; the outcomes carry the ids.

    Raises:
        InvalidArgumentError: A value is out of range.
        ArgumentTypeError: A value has the wrong type.
    """

    def check(item: object, name: str) -> AsyncSession:
        if isinstance(item, AsyncSession):
            return item
        if not isinstance(item, str):
            raise ArgumentTypeError(
                f"{name} must be a session or its id, not {type(item).__name__}"
            )
        return AsyncSession(api, _check.identifier(item, name))

    async def delete(session: AsyncSession) -> OperationResult[str]:
        result = await session.delete(sync_context, force=force)
        value = session.session_id if result.error is None else None
        return OperationResult(value, result.error, result.request_id)

    options = limits.options(api, "delete_many", "DeleteSessionAsync")
    inputs = Inputs(sessions or (), check, "sessions")
    run = WorkerPool(inputs, delete, _undo_nothing, options, api.clock)
    return run, progress.reporter(api.clock, options.operation)


async def _undo_nothing(_ids: Sequence[str]) -> list[str]:
    """Leave deleted sessions deleted."""
    return []


async def roll_back(
    api: Api, sessions: Sequence[AsyncSession], options: RunOptions, *, log: bool = True
) -> list[str]:
    """Delete sessions that no caller holds; return the ids of those that may still exist.

    Args:
        api: The service.
        sessions: The sessions.
        options: The options of the run that created them, for its concurrency.
        log: Whether to name those in a warning; False for a caller that names them in an error.
    """
    if not sessions:
        return []
    for session in sessions:
        unheld.add(api, session.session_id)
    # Without the rate, which limits creates, and without the caller's deadline, which may be over.
    roll_back_options = attrs.evolve(
        options,
        operation="the roll-back",
        action="DeleteSessionAsync",
        deadline=_ROLL_BACK_TIMEOUT,
        each_deadline=None,
        rate=None,
        trusted=False,
    )

    async def delete(session: AsyncSession) -> OperationResult[str]:
        # Outcomes are logged below: the roll-back may end before this returns.
        error = await delete_abandoned(api, session.session_id, log=False)
        return OperationResult(None if error else session.session_id, error)

    failures: dict[str, AgentBayError] = {}
    inputs: Inputs[AsyncSession] = Inputs(sessions, lambda session, _name: session, "sessions")
    run = WorkerPool(inputs, delete, _undo_nothing, roll_back_options, api.clock)
    async for outcome in run.outcomes():
        if outcome.error is not None:
            failures[sessions[outcome.index].session_id] = outcome.error
    remaining = list(failures)
    for session_id in remaining:
        unheld.sessions.pop(session_id, None)
    if remaining and log:
        log_abandoned(api, remaining, failures[remaining[0]])
    return remaining
