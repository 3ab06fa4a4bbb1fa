"""A function run on each of many items, in a session of its own or one that is used again."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, TypeVar

from agentbay_async._api import call_hooks
from agentbay_async._bulk.delete_many import release
from agentbay_async._bulk.session_pool import is_lost
from agentbay_async._bulk.worker_pool import WorkerPool
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async.errors import AgentBayError, FunctionError, UsageError
from agentbay_async.models.bulk import MapOutcome
from agentbay_async.models.results import OperationResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from agentbay_async._api import Api
    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.plan import Plan
    from agentbay_async._bulk.progress import ProgressReporter
    from agentbay_async._bulk.session_pool import SessionPool
    from agentbay_async.session import AsyncSession

I = TypeVar("I")  # noqa: E741  # the customary name of an input
T = TypeVar("T")

#: What counts as an attempt: the function itself.
ACTION = "map"


class MapSessions(Generic[I, T]):
    """One run of a function over items.

    Args:
        api: The service.
        function: What is run.
        source: The items.
        pool: Where sessions come from.
        plan: How the run goes.
        retries: How often an item is tried again because its session was lost.
        teller: Who is told how far it is.
    """

    def __init__(
        self,
        api: Api,
        function: Callable[[AsyncSession, I], Awaitable[T]],
        source: Inputs[I],
        pool: SessionPool,
        plan: Plan,
        retries: int,
        teller: ProgressReporter,
    ) -> None:
        self._api = api
        self._function = function
        self._source = source
        self._pool = pool
        self._plan = plan
        self._retries = retries
        self._teller = teller

    async def walk(self) -> AsyncGenerator[MapOutcome[T], None]:
        """Yield what became of each item, when it is known."""
        run: WorkerPool[I, T] = WorkerPool(
            self._source, self._act, _nothing, self._plan, self._api.clock
        )
        try:
            async with aclosing(self._teller.told(run)) as outcomes:
                async for one in outcomes:
                    value = one.unwrap() if one.error is None else None
                    yield MapOutcome(
                        value, one.error, one.request_id, one.index, one.attempts, one.seconds
                    )
        finally:
            if idle := self._pool.drain():
                await run_shielded(release(self._api, idle, self._plan))

    async def _act(self, item: I) -> OperationResult[T]:
        left = self._retries
        while True:
            try:
                session = await self._pool.borrow()
            except UsageError:
                raise
            except AgentBayError as error:
                return OperationResult.failed(error)
            result, lost = await self._try(session, item)
            if not lost or not left:
                return result
            left -= 1

    async def _try(self, session: AsyncSession, item: I) -> tuple[OperationResult[T], bool]:
        """Return what the function made of the item, and whether its session was lost."""
        counting = call_hooks.get()
        if counting is not None:
            counting.sent(ACTION)
        usable = False
        try:
            value = await self._function(session, item)
            usable = True
        except AgentBayError as error:
            lost = not isinstance(error, UsageError) and await is_lost(session, error)
            return OperationResult.failed(error), lost
        except Exception as error:
            # Whatever it raises is its caller's affair, and must not end the run for the others.
            return OperationResult.failed(_wrapped(error)), False
        finally:
            await self._pool.give_back(session, usable=usable)
        return OperationResult.ok(value), False


def _wrapped(error: Exception) -> FunctionError:
    failed = FunctionError(f"the function raised {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


async def _nothing(_values: Sequence[object]) -> list[str]:
    """Leave what the function returned."""
    return []
