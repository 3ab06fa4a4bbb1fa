"""What callers of runs over many sessions pass, checked before anything is sent."""

from __future__ import annotations

from copy import copy, deepcopy
from itertools import repeat
from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._bulk.create_many import CreateMany
from agentbay_async._bulk.delete_many import deletion
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.map_sessions import ACTION, MapSessions
from agentbay_async._bulk.plan import Plan
from agentbay_async._bulk.progress import ProgressReporter
from agentbay_async._bulk.session_pool import SessionPool
from agentbay_async._bulk.success_policy import SuccessPolicy
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.sessions import CreateSessionParams

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async._bulk.create_many import Create
    from agentbay_async._bulk.session_pool import Healthy, Reset
    from agentbay_async._bulk.worker_pool import WorkerPool
    from agentbay_async.models.bulk import Progress
    from agentbay_async.session import AsyncSession

    CreateInputs = (
        CreateSessionParams | Iterable[CreateSessionParams] | AsyncIterable[CreateSessionParams]
    )

I = TypeVar("I")  # noqa: E741  # the customary name of an input
R = TypeVar("R")
T = TypeVar("T")


@attrs.frozen
class Pacing:
    """How fast a run goes and how long it may take, as the caller said."""

    max_concurrency: int | None
    rate: float | None
    burst: int | None
    deadline: float | timedelta | None
    each_deadline: float | timedelta | None

    def plan(self, api: Api, what: str, action: str) -> Plan:
        """Return how a run goes.

        Raises:
            InvalidArgumentError: A value cannot be meant.
            ArgumentTypeError: A value has the wrong type.
        """
        if self.burst is not None and self.rate is None:
            raise InvalidArgumentError("burst goes with rate: give both, or neither")
        width = _optional(_check.positive_int, self.max_concurrency, "max_concurrency")
        return Plan(
            what,
            action,
            width or api.settings.max_connections,
            patience=api.settings.deadline,
            deadline=_optional(_check.seconds, self.deadline, "deadline"),
            each_deadline=_optional(_check.seconds, self.each_deadline, "each_deadline"),
            rate=_optional(_rate, self.rate, "rate"),
            burst=_optional(_check.positive_int, self.burst, "burst") or 1,
        )


@attrs.frozen
class Watching:
    """Who wants to know how far a run is, as the caller said."""

    on_progress: Callable[[Progress], Awaitable[None] | None] | None
    progress: bool

    def teller(self, api: Api, what: str) -> ProgressReporter:
        """Return who tells them."""
        _optional(_function, self.on_progress, "on_progress")
        draw = _check.boolean(self.progress, "progress")
        return ProgressReporter(what, self.on_progress, draw, api.clock)


def making(
    api: Api,
    create: Create,
    params: CreateInputs,
    count: int | None,
    pacing: Pacing,
    watching: Watching,
    *,
    max_starting: int | None,
    on_outcome: str,
    min_success: int | None,
) -> CreateMany:
    """Return a run that makes sessions.

    Raises:
        InvalidArgumentError: A value cannot be meant.
        ArgumentTypeError: A value has the wrong type.
    """
    plan = attrs.evolve(pacing.plan(api, "create_many", "CreateMcpSession"), trusted=True)
    source = _source(params, count)
    demand = SuccessPolicy.of(on_outcome, min_success, source.size)
    starting = _optional(_check.positive_int, max_starting, "max_starting")
    return CreateMany(api, create, source, plan, demand, starting, watching.teller(api, plan.what))


def ending(
    api: Api,
    sessions: Iterable[AsyncSession | str] | AsyncIterable[AsyncSession | str] | None,
    pacing: Pacing,
    watching: Watching,
    *,
    sync_context: bool,
    force: bool,
) -> tuple[WorkerPool[AsyncSession, str], ProgressReporter]:
    """Return a run that deletes sessions, and who tells how far it is.

    Raises:
        InvalidArgumentError: A value cannot be meant.
        ArgumentTypeError: A value has the wrong type.
    """
    plan = pacing.plan(api, "delete_many", "DeleteSessionAsync")
    run = deletion(api, sessions or (), plan, sync_context=sync_context, force=force)
    return run, watching.teller(api, plan.what)


def mapped(
    api: Api,
    create: Create,
    function: Callable[[AsyncSession, I], Awaitable[R]],
    items: Iterable[I] | AsyncIterable[I],
    params: CreateSessionParams,
    pacing: Pacing,
    watching: Watching,
    *,
    reuse: bool | int,
    reset: Reset | None,
    healthy: Healthy | None,
    retries: int,
) -> MapSessions[I, R]:
    """Return a run of a function over items.

    Raises:
        InvalidArgumentError: A value cannot be meant.
        ArgumentTypeError: A value has the wrong type.
    """
    terms = map_terms(api, function, params, pacing, reuse, reset, healthy, retries)
    patience = api.settings.deadline
    made = terms.params
    pool = SessionPool(lambda: create(made), api.clock, patience, terms.uses, reset, healthy)
    source: Inputs[I] = Inputs(items, lambda item, _name: item, "items")
    teller = watching.teller(api, terms.plan.what)
    return MapSessions(api, function, source, pool, terms.plan, retries, teller)


@attrs.frozen
class MapTerms:
    """How a function is run over items.

    Attributes:
        plan: How the run goes.
        params: What its sessions are like.
        uses: How many items a session serves, or ``None`` for as many as there are.
        retries: How often an item is tried again because its session was lost.
    """

    plan: Plan
    params: CreateSessionParams
    uses: int | None
    retries: int


def map_terms(
    api: Api,
    function: object,
    params: object,
    pacing: Pacing,
    reuse: bool | int,
    reset: object,
    healthy: object,
    retries: int,
) -> MapTerms:
    """Check what the caller of a map says.

    Raises:
        InvalidArgumentError: A value cannot be meant.
        ArgumentTypeError: A value has the wrong type.
    """
    _function(function, "fn")
    _optional(_function, reset, "reset")
    _optional(_function, healthy, "healthy")
    if retries != 0:
        _check.positive_int(retries, "retries")
    plan = attrs.evolve(pacing.plan(api, "map_sessions", ACTION), patience=0.0)
    taken = snapshot(params, "params")
    uses = (
        (None if reuse else 1) if isinstance(reuse, bool) else _check.positive_int(reuse, "reuse")
    )
    return MapTerms(plan, taken, uses, retries)


def _optional(check: Callable[[object, str], T], value: object, name: str) -> T | None:
    return None if value is None else check(value, name)


def _function(value: object, name: str) -> object:
    if not callable(value):
        raise ArgumentTypeError(f"{name} must be a function, not {type(value).__name__}")
    return value


def _rate(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{name} must be a number a second, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise InvalidArgumentError(f"{name} must be above 0 and finite, not {value}")
    return float(value)


class Copies:
    """The same params, so many times; a snapshot, taken once for all of them."""

    def __init__(self, params: CreateSessionParams, count: int) -> None:
        self._params = snapshot(params, "params")
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> repeat[CreateSessionParams]:
        return repeat(self._params, self._count)


def _source(params: CreateInputs, count: int | None) -> Inputs[CreateSessionParams]:
    if isinstance(params, CreateSessionParams):
        if count is None:
            raise InvalidArgumentError(
                "one params object goes with a count: create_many(params, 5)"
            )
        return Inputs(Copies(params, _check.positive_int(count, "count")), _as_it_is, "params")
    if count is not None:
        raise InvalidArgumentError("count goes with one CreateSessionParams; leave it out")
    return Inputs(params, snapshot, "params")


def _as_it_is(item: CreateSessionParams, _name: str) -> CreateSessionParams:
    return item


def snapshot(item: object, name: str) -> CreateSessionParams:
    """Return a copy of params, which nobody else can change while they wait for their turn."""
    if not isinstance(item, CreateSessionParams):
        raise ArgumentTypeError(f"{name} must be CreateSessionParams, not {type(item).__name__}")
    taken = copy(item)
    taken.labels = dict(item.labels)
    if item.context_syncs or item.lifecycle_policy is not None:
        taken.context_syncs = deepcopy(item.context_syncs)
        taken.lifecycle_policy = copy(item.lifecycle_policy)
    return taken
