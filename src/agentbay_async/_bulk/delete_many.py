"""Many sessions deleted: because somebody asked, or because what made them did not succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.worker_pool import WorkerPool
from agentbay_async._lifecycle.deletion import delete_abandoned, log_abandoned
from agentbay_async.errors import ArgumentTypeError
from agentbay_async.models.results import OperationResult
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from agentbay_async._api import Api
    from agentbay_async._bulk.plan import Plan

T = TypeVar("T")

# Seconds in which a roll-back must be over.
_ROLL_BACK = 120.0


def deletion(
    api: Api,
    sessions: Iterable[AsyncSession | str] | AsyncIterable[AsyncSession | str],
    plan: Plan,
    *,
    sync_context: bool = False,
    force: bool = False,
) -> WorkerPool[AsyncSession, str]:
    """Return a run that deletes sessions; its outcomes carry their ids."""

    def check(item: object, name: str) -> AsyncSession:
        if isinstance(item, AsyncSession):
            return item
        if not isinstance(item, str):
            raise ArgumentTypeError(f"{name} must be a session or its id, not {_kind(item)}")
        return AsyncSession(api, _check.identifier(item, name))

    async def delete(session: AsyncSession) -> OperationResult[str]:
        result = await session.delete(sync_context, force=force)
        value = session.session_id if result.error is None else None
        return OperationResult(value, result.error, result.request_id)

    return WorkerPool(Inputs(sessions, check, "sessions"), delete, _keep, plan, api.clock)


async def _keep(_ids: Sequence[str]) -> list[str]:
    """Leave deleted sessions deleted."""
    return []


def _kind(item: object) -> str:
    return type(item).__name__


async def release(api: Api, sessions: Sequence[AsyncSession], plan: Plan) -> list[str]:
    """Delete sessions that nobody will hold; return the ids of those that could not be.

    Args:
        api: The service.
        sessions: What to delete.
        plan: How the run goes that made them: its concurrency holds for their end too.
    """
    ending = attrs.evolve(
        plan,
        what="the roll-back",
        action="DeleteSessionAsync",
        deadline=_ROLL_BACK,
        each_deadline=None,
        rate=None,
        trusted=False,
    )

    async def delete(session: AsyncSession) -> OperationResult[str]:
        # Outcomes are logged below: the roll-back may end before this returns.
        error = await delete_abandoned(api, session.session_id, log=False)
        return OperationResult(None if error else session.session_id, error)

    left: list[str] = []
    inputs: Inputs[AsyncSession] = Inputs(sessions, lambda session, _name: session, "sessions")
    async for outcome in WorkerPool(inputs, delete, _keep, ending, api.clock).outcomes():
        if outcome.error is not None:
            left.append(sessions[outcome.index].session_id)
            log_abandoned(api, left[-1], outcome.error)
    return left
