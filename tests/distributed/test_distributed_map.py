"""`map_sessions` with an engine: chunks, lost workers, cancels, errors, budgets."""

from __future__ import annotations

import asyncio
import pickle
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    AsyncSession,
    Budget,
    BudgetExceededError,
    ClosedError,
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

    from agentbay_async._bulk.distributed.engine import ChunkTask
    from agentbay_local import LocalService

    from .conftest import ThreadEngine

    Bays = Callable[..., AsyncAgentBay]


async def _name(session: AsyncSession, item: int) -> str:
    return f"{session.session_id}: {item}"


async def test_every_item_is_processed_once(bay: AsyncAgentBay, engine: ThreadEngine) -> None:
    """By one of the workers, each in a fresh session, which is deleted in the end."""
    outcomes = [one async for one in bay.map_sessions(_name, range(30), engine="dask")]
    assert sorted(one.index for one in outcomes) == list(range(30))
    assert all(one.value.endswith(f": {one.index}") for one in outcomes)
    assert len({one.value.partition(":")[0] for one in outcomes}) == 30
    assert all((one.attempts, one.seconds > 0) == (1, True) for one in outcomes)
    assert {slot for _, slot in engine.tasks} == {"one", "two"}


async def test_outcomes_come_when_their_chunk_is_done(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """Long before the last item is processed; an endless iterable is read only a little ahead."""
    pulled: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(10_000):
            pulled.append(number)
            yield number

    walk = bay.map_sessions(_name, endless(), max_concurrency=2, engine="dask")
    async for outcome in walk:
        assert outcome.success
        if outcome.index >= 8:
            break
    await walk.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert len(pulled) < 40
    assert all(len(task.items) == 2 for task, _ in engine.tasks)


async def test_a_session_is_reused_within_its_chunk(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """So chunks are larger when sessions are reused."""
    walk = bay.map_sessions(_name, range(24), reuse=6, max_concurrency=2, engine="dask")
    outcomes = [one async for one in walk]
    assert [len(task.items) for task, _ in engine.tasks[:2]] == [6, 6]
    sessions = {one.value.partition(":")[0] for one in outcomes}
    assert len(sessions) == len(engine.tasks)


async def test_a_slow_iterable_does_not_delay_items_that_are_there(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """After a moment without new items, a chunk is assigned although it is not full."""
    first_is_done = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await first_is_done.wait()
        yield 2

    indices: list[int] = []
    async for outcome in bay.map_sessions(_name, items(), engine="dask"):
        indices.append(outcome.index)
        first_is_done.set()
    assert indices == [0, 1]


async def test_workers_share_concurrency_rate_and_burst(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """The first worker gets the remainder of the concurrency."""
    walk = bay.map_sessions(_name, range(6), max_concurrency=3, rate=1000, burst=8, engine="dask")
    assert [one.success async for one in walk] == [True] * 6
    quotas = [(task.concurrency, task.rate, task.burst) for task, _ in engine.tasks[:2]]
    assert quotas == [(2, 500.0, 4), (1, 500.0, 4)]


async def test_sessions_of_a_dead_worker_are_deleted_before_its_chunk_runs_again(
    bay: AsyncAgentBay, engine: ThreadEngine, service: LocalService
) -> None:
    """Another worker processes the items, and the lost attempt counts."""
    left: list[str] = []

    async def die(task: ChunkTask, slot: str) -> None:
        if left:
            assert not any(session in service.living() for session in left)
        elif slot == "one":
            left.extend(await _create_abandoned(bay, task, 3))
            engine.available.discard("one")
            raise WorkerLostError("it was killed")

    engine.before_run = die
    outcomes = [one async for one in bay.map_sessions(_name, range(8), engine="dask")]
    assert sorted(one.index for one in outcomes) == list(range(8))
    assert all(one.success for one in outcomes)
    assert sorted(one.attempts for one in outcomes) == [1] * 4 + [2] * 4
    labels = [task.label for task, _ in engine.tasks]
    assert len(left) == len(set(labels)) == 3


async def _create_abandoned(bay: AsyncAgentBay, task: ChunkTask, count: int) -> list[str]:
    """Create sessions as a worker does that is then killed."""
    params = CreateSessionParams()
    params.labels[CHUNK] = task.label
    made = [(await bay.create(params)).session for _ in range(count)]
    return [session.session_id for session in made]


async def test_items_fail_when_their_workers_keep_dying(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """After all retries; the other items succeed."""

    async def die(task: ChunkTask, _slot: str) -> None:
        if len(task.items) == 1:
            raise WorkerLostError("it was killed")

    engine.before_run = die
    walk = bay.map_sessions(_name, range(3), retries=1, engine="dask")
    outcomes = sorted([one async for one in walk], key=lambda one: one.index)
    assert [one.success for one in outcomes] == [True, True, False]
    assert isinstance(outcomes[2].error, WorkerLostError)
    assert outcomes[2].attempts == 2


async def test_a_cancel_stops_the_workers_and_deletes_their_sessions(
    bay: AsyncAgentBay, engine: ThreadEngine, service: LocalService
) -> None:
    """They delete their sessions before the cancel reaches the caller."""

    async def run_map() -> None:
        async for _ in bay.map_sessions(_start_and_wait, range(8), engine="dask"):
            pass

    running = asyncio.create_task(run_map())
    await asyncio.to_thread(_started.acquire)
    labels = {task.label for task, _ in engine.tasks}
    assert {found[CHUNK] for found in service.living().values()} <= labels
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(engine.stopped) == sorted(task.label for task, _ in engine.tasks)
    assert service.living() == {}


async def test_a_map_left_early_ends_when_its_client_is_closed(
    bay: AsyncAgentBay, engine: ThreadEngine, service: LocalService
) -> None:
    """Its workers delete their sessions first, and its caller gets nothing more."""
    outcomes = bay.map_sessions(_start_and_wait, range(8), engine="dask")
    reading = asyncio.ensure_future(anext(outcomes))
    await asyncio.to_thread(_started.acquire)
    await bay.aclose()
    assert sorted(engine.stopped) == sorted(task.label for task, _ in engine.tasks)
    assert service.living() == {}
    with pytest.raises(ClosedError):
        await reading


_started = threading.Semaphore(0)


async def _start_and_wait(_session: AsyncSession, _item: int) -> None:
    _started.release()
    await asyncio.Event().wait()


async def _wait_forever(_session: AsyncSession, _item: int) -> None:
    await asyncio.Event().wait()


async def _fail(session: AsyncSession, item: int) -> Any:
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
    """An error that can be pickled, but not unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


async def test_errors_keep_their_type_request_id_and_cause(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """An error that cannot be pickled is replaced by its text, and fails its item alone."""
    walk = bay.map_sessions(_fail, range(6), retries=0, engine="dask")
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


async def test_a_budget_is_shared_and_never_exceeded(make_bay: Bays, engine: ThreadEngine) -> None:
    """A worker returns what it did not need; items beyond the budget fail without a request."""
    budget = Budget(max_sessions=5, max_session_hours=10)
    async with make_bay(budget=budget) as bay:
        outcomes = [one async for one in bay.map_sessions(_name, range(8), engine="dask")]
    assert sum(one.success for one in outcomes) == 5
    refused = [one.error for one in outcomes if not one.success]
    assert all(isinstance(error, BudgetExceededError) for error in refused)
    assert budget.sessions == 5
    assert 0 < budget.session_hours(0.0) < 0.1


async def test_at_the_deadline_every_item_has_an_outcome(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """Items that are being processed, and those that no worker has started."""
    walk = bay.map_sessions(
        _wait_forever, range(40), max_concurrency=2, deadline=1.5, engine="dask"
    )
    outcomes = [one async for one in walk]
    assert sorted(one.index for one in outcomes) == list(range(40))
    assert all(isinstance(one.error, OperationTimeoutError) for one in outcomes)


async def test_a_chunk_whose_worker_dies_after_the_deadline_does_not_run_again(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """Its items fail with a timeout."""

    async def die(_task: ChunkTask, _slot: str) -> None:
        await asyncio.get_running_loop().run_in_executor(None, over.wait)
        raise WorkerLostError("it was killed")

    over = threading.Event()
    asyncio.get_running_loop().call_later(0.6, over.set)
    engine.before_run = die
    walk = bay.map_sessions(_name, range(2), deadline=0.3, engine="dask")
    errors = [one.error async for one in walk]
    assert [type(error) for error in errors] == [OperationTimeoutError] * 2
    assert len(engine.tasks) == 2


async def test_progress_is_reported_to_the_caller(bay: AsyncAgentBay, engine: ThreadEngine) -> None:
    """At the end all items are done, and none is being processed."""
    reports: list[Progress] = []
    walk = bay.map_sessions(_name, range(4), on_progress=reports.append, engine="dask")
    assert [one.success async for one in walk] == [True] * 4
    assert (reports[-1].done, reports[-1].running, reports[-1].total) == (4, 0, 4)


async def test_an_error_of_the_cluster_ends_the_run(
    bay: AsyncAgentBay, engine: ThreadEngine
) -> None:
    """With an EngineError, whatever the error of the cluster is."""

    async def refuse(_task: ChunkTask, _slot: str) -> None:
        raise ModuleNotFoundError("no module of that name")

    engine.before_run = refuse
    with pytest.raises(EngineError, match="Threads cannot run the function: ModuleNotFoundError"):
        await _consume(bay.map_sessions(_name, [1], engine="dask"))


async def test_errors_of_the_iterable_are_raised(bay: AsyncAgentBay, engine: ThreadEngine) -> None:
    """As without an engine; also the error of an item that cannot be pickled."""

    def items() -> Iterator[object]:
        yield 1
        raise LookupError("of the items")

    with pytest.raises(LookupError, match="of the items"):
        await _consume(bay.map_sessions(_name, items(), engine="dask"))
    with pytest.raises(ArgumentTypeError, match=r"items\[1\] cannot be sent"):
        await _consume(bay.map_sessions(_name, [1, threading.Lock()], engine="dask"))


async def _consume(walk: AsyncIterator[Any]) -> None:
    """Read all outcomes."""
    async for _ in walk:
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fn": lambda _session, _item: None}, "fn cannot be sent to a worker"),
        ({"reset": lambda _session: None}, "reset cannot be sent to a worker"),
        (
            {"params": CreateSessionParams(idempotency_key="job-1")},
            "params.idempotency_key identifies one session",
        ),
        ({"retries": -1}, "retries must be at least 1"),
        ({"items": 5}, "items must be iterable"),
    ],
)
async def test_invalid_arguments_are_rejected_at_once(
    bay: AsyncAgentBay, engine: ThreadEngine, options: dict[str, Any], message: str
) -> None:
    """Before anything is sent to the cluster."""
    arguments = {"fn": _name, "items": [1], "engine": "dask", **options}
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=message):
        bay.map_sessions(**arguments)
    assert engine.tasks == []


async def test_the_repr_of_a_task_shows_no_key(
    bay: AsyncAgentBay, engine: ThreadEngine, service: LocalService
) -> None:
    """Clusters write their tasks into logs."""
    assert [one.success async for one in bay.map_sessions(_name, [1], engine="dask")] == [True]
    task = engine.tasks[0][0]
    assert service.api_key.encode() in task.job
    assert service.api_key not in repr(task)


@pytest.fixture
def _own_embedded_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop the embedded service after the test; by itself it lives as long as the process."""
    module = import_module("agentbay_local.embedded")
    monkeypatch.setattr(module, "_holder", module._Holder())
    yield
    module.embedded().stop()


@pytest.mark.usefixtures("_own_embedded_service")
async def test_workers_use_the_embedded_service_of_the_caller(engine: ThreadEngine) -> None:
    """The job contains its URL."""
    async with AsyncAgentBay(cfg=Config(endpoint="local")) as bay:
        walk = bay.map_sessions(_name, range(2), engine="dask")
        assert [one.success async for one in walk] == [True, True]
    settings = pickle.loads(engine.tasks[0][0].job).settings
    assert settings.endpoint.startswith("http://127.0.0.1:")
