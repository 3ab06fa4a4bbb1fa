"""Map a function over items, each in a session."""

from __future__ import annotations

from contextlib import aclosing
from inspect import isawaitable
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._api import call_hooks
from agentbay_async._bulk.delete_many import roll_back
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.options import (
    RunOptions,
    check_async_function,
    check_optional,
    copy_params,
)
from agentbay_async._bulk.session_pool import SessionPool, is_lost
from agentbay_async._bulk.worker_pool import WorkerPool
from agentbay_async._lifecycle.orphans import delete_duplicates
from agentbay_async.errors import AgentBayError, ArgumentTypeError, FunctionError, UsageError
from agentbay_async.models.bulk import MapOutcome
from agentbay_async.models.results import OperationResult

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Iterable,
        Sequence,
    )

    from agentbay_async._api import Api
    from agentbay_async._bulk.create_many import Create
    from agentbay_async._bulk.options import RunLimits
    from agentbay_async._bulk.progress import ProgressOptions, ProgressReporter
    from agentbay_async._bulk.session_pool import Healthy, Reset
    from agentbay_async.models.results import SessionResult
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.session import AsyncSession

I = TypeVar("I")  # noqa: E741  # the customary name of an input
T = TypeVar("T")

# Not an action of the protocol: an attempt is a call of the function.
_ACTION = "map"


def map_sessions(
    api: Api,
    create: Create,
    function: Callable[[AsyncSession, I], Awaitable[T]],
    items: Iterable[I] | AsyncIterable[I],
    params: CreateSessionParams,
    limits: RunLimits,
    progress: ProgressOptions,
    *,
    reuse: bool | int,
    reset: Reset | None,
    healthy: Healthy | None,
    retries: int,
) -> MapSessions[I, T]:
    """Return a run of a function over items.

    Raises:
        InvalidArgumentError: A value is out of range.
        ArgumentTypeError: A value has the wrong type.
    """
    options = map_options(api, function, params, limits, reuse, reset, healthy, retries)

    def create_session() -> Awaitable[SessionResult[AsyncSession]]:
        return create(options.params)

    throttle_timeout = api.settings.deadline
    pool = SessionPool(
        create_session, api.clock, throttle_timeout, options.max_uses, reset, healthy
    )
    inputs: Inputs[I] = Inputs(items, lambda item, _name: item, "items")
    reporter = progress.reporter(api.clock, options.run.operation)
    return MapSessions(api, function, inputs, pool, options.run, retries, reporter)


@attrs.frozen
class MapOptions:
    """Options of a run of a function over items.

    Attributes:
        run: How the run proceeds.
        params: The params of its sessions.
        max_uses: How many items one session serves, or ``None`` for no limit.
        retries: How often an item is retried because its session was lost.
    """

    run: RunOptions
    params: CreateSessionParams
    max_uses: int | None
    retries: int


def map_options(
    api: Api,
    function: object,
    params: object,
    limits: RunLimits,
    reuse: bool | int,
    reset: object,
    healthy: object,
    retries: int,
) -> MapOptions:
    """Check the arguments of a map and return its options.

    Raises:
        InvalidArgumentError: A value is out of range.
        ArgumentTypeError: A value has the wrong type.
    """
    check_async_function(function, "fn")
    check_optional(check_async_function, reset, "reset")
    check_optional(check_async_function, healthy, "healthy")
    if retries != 0:
        _check.positive_int(retries, "retries")
    # A function that raised ThrottledError must not run again: the session pool retries creates.
    run = attrs.evolve(limits.options(api, "map_sessions", _ACTION), throttle_timeout=0.0)
    if isinstance(reuse, bool):
        max_uses = None if reuse else 1
    else:
        max_uses = _check.positive_int(reuse, "reuse")
    return MapOptions(run, copy_params(params, "params"), max_uses, retries)


class MapSessions(Generic[I, T]):
    """One run of a function over items.

    Args:
        api: The service.
        function: The function.
        inputs: The items.
        pool: The sessions.
        options: How the run proceeds.
        retries: How often an item is retried because its session was lost.
        reporter: Reports the progress.
    """

    def __init__(
        self,
        api: Api,
        function: Callable[[AsyncSession, I], Awaitable[T]],
        inputs: Inputs[I],
        pool: SessionPool,
        options: RunOptions,
        retries: int,
        reporter: ProgressReporter,
    ) -> None:
        self._api = api
        self._function = function
        self._inputs = inputs
        self._pool = pool
        self._options = options
        self._retries = retries
        self._reporter = reporter

    async def iterate(self) -> AsyncGenerator[MapOutcome[T], None]:
        """Yield the outcome of each item when it is ready."""
        api = self._api
        run: WorkerPool[I, T] = WorkerPool(
            self._inputs, self._process, self._end, self._options, api.clock, api.background
        )
        async with aclosing(self._reporter.track(run)) as outcomes:
            async for outcome in outcomes:
                yield MapOutcome(
                    outcome.unwrap() if outcome.error is None else None,
                    outcome.error,
                    outcome.request_id,
                    outcome.index,
                    outcome.attempts,
                    outcome.seconds,
                )

    async def _end(self, _unread: Sequence[T]) -> list[str]:
        """Delete the sessions of the pool; results of the function need no undoing."""
        remaining = await roll_back(self._api, self._pool.take_idle(), self._options)
        await delete_duplicates(self._api)
        return remaining

    async def _process(self, item: I) -> OperationResult[T]:
        retries = self._retries
        while True:
            try:
                session = await self._pool.acquire()
            except UsageError:
                # A mistake in the arguments would fail every item: raise it once instead.
                raise
            except AgentBayError as error:
                return OperationResult.failed(error)
            result, lost = await self._attempt(session, item)
            if not lost or not retries:
                return result
            retries -= 1

    async def _attempt(self, session: AsyncSession, item: I) -> tuple[OperationResult[T], bool]:
        """Run the function once; return its result, and whether the session was lost."""
        hooks = call_hooks.get()
        if hooks is not None:
            hooks.sent(_ACTION)
        usable = False
        try:
            value = await self._call(session, item)
            usable = True
        except AgentBayError as error:
            lost = not isinstance(error, UsageError) and await is_lost(session, error)
            return OperationResult.failed(error), lost
        except Exception as error:
            # An error of the function concerns its item alone; the other items go on.
            return OperationResult.failed(_function_error(error)), False
        finally:
            await self._pool.release(session, usable=usable)
        return OperationResult.ok(value), False

    def _call(self, session: AsyncSession, item: I) -> Awaitable[T]:
        awaitable = self._function(session, item)
        if not isawaitable(awaitable):
            raise ArgumentTypeError(
                f"fn must return an awaitable, not {type(awaitable).__name__}",
                hint="Define it with `async def`, or use the blocking package agentbay",
            )
        return awaitable


def _function_error(error: Exception) -> FunctionError:
    wrapped = FunctionError(f"the function raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
