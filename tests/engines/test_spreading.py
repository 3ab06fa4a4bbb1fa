"""`map_sessions` on a cluster: dealt out, followed up, called off, and nothing left behind."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    AsyncSession,
    Budget,
    BudgetExceededError,
    Config,
    CreateSessionParams,
    EngineError,
    FunctionError,
    InvalidArgumentError,
    OperationTimeoutError,
    Progress,
    SessionError,
    SessionNotFoundError,
    WorkerLostError,
)
from agentbay_async._lifecycle.reserved_labels import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from agentbay_async._bulk.distributed.engine import Order
    from agentbay_local import LocalService

    from .conftest import Threads

    Bays = Callable[..., AsyncAgentBay]


async def _named(session: AsyncSession, item: int) -> str:
    return f"{session.session_id}: {item}"


async def test_every_item_is_worked_on_once_by_one_of_the_workers(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """In sessions of its own that are gone in the end; outcomes name the place of the item."""
    outcomes = [one async for one in bay.map_sessions(_named, range(30), engine="dask")]
    assert sorted(one.index for one in outcomes) == list(range(30))
    assert all(one.value.endswith(f": {one.index}") for one in outcomes)
    assert len({one.value.partition(":")[0] for one in outcomes}) == 30
    assert all((one.attempts, one.seconds > 0) == (1, True) for one in outcomes)
    assert {place for _, place in threads.orders} == {"one", "two"}


async def test_outcomes_come_when_their_chunk_is_done(bay: AsyncAgentBay, threads: Threads) -> None:
    """Long before the last item is worked on; an endless source is read a little ahead."""
    pulled: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(10_000):
            pulled.append(number)
            yield number

    walk = bay.map_sessions(_named, endless(), max_concurrency=2, engine="dask")
    async for outcome in walk:
        assert outcome.success
        if outcome.index >= 8:
            break
    await walk.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert len(pulled) < 40
    assert all(len(order.items) == 2 for order, _ in threads.orders)


async def test_a_session_serves_as_many_items_as_it_may_within_its_chunk(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """So chunks are longer when sessions are used again."""
    walk = bay.map_sessions(_named, range(24), reuse=6, max_concurrency=2, engine="dask")
    outcomes = [one async for one in walk]
    assert [len(order.items) for order, _ in threads.orders[:2]] == [6, 6]
    sessions = {one.value.partition(":")[0] for one in outcomes}
    assert len(sessions) == len(threads.orders)


async def test_a_slow_source_is_not_waited_for_until_a_chunk_is_full(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """What there is is worked on when nothing happens for a moment."""
    first_is_done = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await first_is_done.wait()
        yield 2

    indices: list[int] = []
    async for outcome in bay.map_sessions(_named, items(), engine="dask"):
        indices.append(outcome.index)
        first_is_done.set()
    assert indices == [0, 1]


async def test_workers_share_what_the_run_may_use(bay: AsyncAgentBay, threads: Threads) -> None:
    """Whoever comes first gets what cannot be cut."""
    walk = bay.map_sessions(_named, range(6), max_concurrency=3, rate=1000, burst=8, engine="dask")
    assert [one.success async for one in walk] == [True] * 6
    dealt = [(order.width, order.rate, order.burst) for order, _ in threads.orders[:2]]
    assert dealt == [(2, 500.0, 4), (1, 500.0, 4)]


async def test_a_dead_workers_sessions_are_deleted_before_its_chunk_is_dealt_out_again(
    bay: AsyncAgentBay, threads: Threads, service: LocalService
) -> None:
    """The items get their outcomes from another worker, and the attempt counts."""
    left: list[str] = []

    async def die(order: Order, place: str) -> None:
        if left:
            assert not any(session in service.living() for session in left)
        elif place == "one":
            left.extend(await _abandon(bay, order, 3))
            threads.alive.discard("one")
            raise WorkerLostError("it was killed")

    threads.fate = die
    outcomes = [one async for one in bay.map_sessions(_named, range(8), engine="dask")]
    assert sorted(one.index for one in outcomes) == list(range(8))
    assert all(one.success for one in outcomes)
    assert sorted(one.attempts for one in outcomes) == [1] * 4 + [2] * 4
    labels = [order.label for order, _ in threads.orders]
    assert len(left) == len(set(labels)) == 3


async def _abandon(bay: AsyncAgentBay, order: Order, count: int) -> list[str]:
    """Make sessions as a worker does that is then killed."""
    params = CreateSessionParams()
    params.labels[CHUNK] = order.label
    made = [(await bay.create(params)).session for _ in range(count)]
    return [session.session_id for session in made]


async def test_items_whose_workers_always_die_fail_in_the_end(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """After as many retries as were allowed; the others are not concerned."""

    async def die(order: Order, _place: str) -> None:
        if len(order.items) == 1:
            raise WorkerLostError("it was killed")

    threads.fate = die
    walk = bay.map_sessions(_named, range(3), retries=1, engine="dask")
    outcomes = sorted([one async for one in walk], key=lambda one: one.index)
    assert [one.success for one in outcomes] == [True, True, False]
    assert isinstance(outcomes[2].error, WorkerLostError)
    assert outcomes[2].attempts == 2


async def test_a_cancel_stops_the_workers_and_leaves_nothing(
    bay: AsyncAgentBay, threads: Threads, service: LocalService
) -> None:
    """They delete their sessions before the cancel goes on to the caller."""

    async def stay() -> None:
        async for _ in bay.map_sessions(_forever, range(8), engine="dask"):
            pass

    running = asyncio.create_task(stay())
    await asyncio.to_thread(_begun.acquire)
    labels = {order.label for order, _ in threads.orders}
    assert {found[CHUNK] for found in service.living().values()} <= labels
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(threads.stopped) == sorted(order.label for order, _ in threads.orders)
    assert service.living() == {}


_begun = threading.Semaphore(0)


async def _forever(_session: AsyncSession, _item: int) -> None:
    _begun.release()
    await asyncio.Event().wait()


async def _never(_session: AsyncSession, _item: int) -> None:
    await asyncio.Event().wait()


async def _raises(session: AsyncSession, item: int) -> Any:
    if item == 0:
        raise LookupError("of the function")
    if item == 1:
        error = SessionNotFoundError("gone", request_id="REQ-1")
        error.ended("idle")
        raise error
    if item == 2:
        return threading.Lock()
    if item == 3:
        raise _PickyError("one", "two")
    if item == 4:
        rooted = SessionError("of the session")
        vars(rooted)["lock"] = threading.Lock()
        raise rooted
    return session.session_id


class _PickyError(Exception):
    """One that can be pickled, and not made again."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


async def test_errors_keep_what_they_know_on_their_way(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """Type, request, cause; what cannot travel is told in words, and fails its item alone."""
    walk = bay.map_sessions(_raises, range(6), retries=0, engine="dask")
    outcomes = sorted([one async for one in walk], key=lambda one: one.index)
    errors: list[Any] = [one.error for one in outcomes]
    assert isinstance(errors[0], FunctionError)
    assert isinstance(errors[0].__cause__, LookupError)
    assert (errors[1].request_id, errors[1].reason) == ("REQ-1", "expired")
    assert isinstance(errors[2], FunctionError)
    assert "what fn returned cannot be pickled" in errors[2].message
    assert isinstance(errors[3], FunctionError)
    assert "_PickyError: one" in errors[3].message
    assert isinstance(errors[4], FunctionError)
    assert "SessionError: of the session" in errors[4].message
    assert outcomes[5].success


async def test_a_budget_is_shared_and_never_exceeded(make_bay: Bays, threads: Threads) -> None:
    """What a worker did not need goes back; items beyond it are refused without a request."""
    budget = Budget(max_sessions=5, max_session_hours=10)
    async with make_bay(budget=budget) as bay:
        outcomes = [one async for one in bay.map_sessions(_named, range(8), engine="dask")]
    assert sum(one.success for one in outcomes) == 5
    refused = [one.error for one in outcomes if not one.success]
    assert all(isinstance(error, BudgetExceededError) for error in refused)
    assert budget.sessions == 5
    assert 0 < budget.session_hours(0.0) < 0.1


async def test_when_the_time_is_over_every_item_has_an_outcome(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """Those under way, those that nobody had begun."""
    walk = bay.map_sessions(_never, range(40), max_concurrency=2, deadline=1.5, engine="dask")
    outcomes = [one async for one in walk]
    assert sorted(one.index for one in outcomes) == list(range(40))
    assert all(isinstance(one.error, OperationTimeoutError) for one in outcomes)


async def test_a_worker_that_dies_when_the_time_is_over_is_not_replaced(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """Its items have had their time."""

    async def die(_order: Order, _place: str) -> None:
        await asyncio.get_running_loop().run_in_executor(None, over.wait)
        raise WorkerLostError("it was killed")

    over = threading.Event()
    asyncio.get_running_loop().call_later(0.6, over.set)
    threads.fate = die
    walk = bay.map_sessions(_named, range(2), deadline=0.3, engine="dask")
    errors = [one.error async for one in walk]
    assert [type(error) for error in errors] == [OperationTimeoutError] * 2
    assert len(threads.orders) == 2


async def test_progress_is_told_by_the_caller_s_process(
    bay: AsyncAgentBay, threads: Threads
) -> None:
    """At the end everything is done, and nothing is under way."""
    heard: list[Progress] = []
    walk = bay.map_sessions(_named, range(4), on_progress=heard.append, engine="dask")
    assert [one.success async for one in walk] == [True] * 4
    assert (heard[-1].done, heard[-1].running, heard[-1].total) == (4, 0, 4)


async def test_an_error_of_the_cluster_ends_the_run(bay: AsyncAgentBay, threads: Threads) -> None:
    """With one error of ours, whatever the cluster calls it."""

    async def refuse(_order: Order, _place: str) -> None:
        raise ModuleNotFoundError("no module of that name")

    threads.fate = refuse
    with pytest.raises(EngineError, match="Threads cannot do its part: ModuleNotFoundError"):
        await anext_of(bay.map_sessions(_named, [1], engine="dask"))


async def test_what_the_items_raise_comes_out(bay: AsyncAgentBay, threads: Threads) -> None:
    """As without a cluster; also the error of one that cannot be sent."""

    def items() -> Iterator[object]:
        yield 1
        raise LookupError("of the items")

    with pytest.raises(LookupError, match="of the items"):
        await anext_of(bay.map_sessions(_named, items(), engine="dask"))
    with pytest.raises(ArgumentTypeError, match=r"items\[1\] cannot be sent"):
        await anext_of(bay.map_sessions(_named, [1, threading.Lock()], engine="dask"))


async def anext_of(walk: AsyncIterator[Any]) -> None:
    """Read to the end."""
    async for _ in walk:
        pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fn": lambda _session, _item: None}, "fn cannot be sent to a worker"),
        ({"reset": lambda _session: None}, "reset cannot be sent to a worker"),
        (
            {"params": CreateSessionParams(idempotency_key="job-1")},
            "params.idempotency_key stands for one session",
        ),
        ({"retries": -1}, "retries must be at least 1"),
        ({"items": 5}, "items must be iterable"),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_once(
    bay: AsyncAgentBay, threads: Threads, options: dict[str, Any], words: str
) -> None:
    """Before anything is sent to the cluster."""
    given = {"fn": _named, "items": [1], "engine": "dask", **options}
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=words):
        bay.map_sessions(**given)
    assert threads.orders == []


async def test_orders_show_no_secrets(
    bay: AsyncAgentBay, threads: Threads, service: LocalService
) -> None:
    """Clusters write what they work on into their logs."""
    assert [one.success async for one in bay.map_sessions(_named, [1], engine="dask")] == [True]
    order = threads.orders[0][0]
    assert service.api_key.encode() in order.job
    assert service.api_key not in repr(order)


async def test_a_service_inside_this_process_serves_the_workers_too(threads: Threads) -> None:
    """They are told where it is."""
    async with AsyncAgentBay(cfg=Config(endpoint="local")) as bay:
        walk = bay.map_sessions(_named, range(2), engine="dask")
        assert [one.success async for one in walk] == [True, True]
    settings = pickle.loads(threads.orders[0][0].job).settings
    assert settings.endpoint.startswith("http://127.0.0.1:")
