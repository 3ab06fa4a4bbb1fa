"""A function run on many items by the workers of a cluster: dealt out in chunks, and followed up.

Workers get chunks when they are idle, so that slow ones and dead ones hold up nobody. A chunk has a
label of its own, which all its sessions carry: when its worker dies, what lives of it is deleted by
that label, and then another worker gets the chunk under another label.
"""

from __future__ import annotations

import pickle
from asyncio import Event, create_task, get_running_loop, wait
from collections import deque
from contextlib import aclosing
from copy import copy
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import attrs

from agentbay_async._bulk.distributed.cleanup import delete_orphans
from agentbay_async._bulk.distributed.engine import STOPPING, Order
from agentbay_async._bulk.distributed.pickling import opened, unpacked
from agentbay_async._bulk.distributed.scheduler import Chunk, Scheduler
from agentbay_async._lifecycle.shielding import run_shielded
from agentbay_async.errors import (
    AgentBayError,
    BudgetExceededError,
    EngineError,
    OperationTimeoutError,
    WorkerLostError,
)
from agentbay_async.models.bulk import MapOutcome, Progress

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import AsyncGenerator, Collection

    from agentbay_async._api import Api
    from agentbay_async._bulk.distributed.engine import Engine, Report
    from agentbay_async._bulk.distributed.worker import Job
    from agentbay_async._bulk.inputs import Inputs
    from agentbay_async._bulk.options import MapTerms
    from agentbay_async._bulk.progress import ProgressReporter

T = TypeVar("T")

# Seconds between two looks at the cluster, and for how long it may be without any worker.
_LOOK = 1.0
_PATIENCE = 60.0
# Seconds in which workers are stopped and their sessions deleted when a run ends early.
_ENDING = 90.0
_FOREVER = float("inf")


class DistributedMap(Generic[T]):
    """One run of a function over items, on a cluster.

    Args:
        api: The service.
        engine: The cluster.
        job: What workers do.
        source: The items, packed.
        terms: How the run goes.
        width: How many items all workers work on at once; ``None`` lets each work on as many as
            the plan says.
        teller: Who is told how far it is.
    """

    def __init__(
        self,
        api: Api,
        engine: Engine,
        job: Job,
        source: Inputs[bytes],
        terms: MapTerms,
        width: int | None,
        teller: ProgressReporter,
    ) -> None:
        self._api = api
        self._engine = engine
        self._job = job
        self._packed = b""
        self._source = source
        self._plan = terms.plan
        self._teller = teller
        self._stirred = Event()
        self._dealer = Scheduler(
            source, terms, width, api.settings.budget, api.clock, self._stirred.set
        )
        self._places: Collection[str] = ()
        self._looked = self._inhabited = -_FOREVER
        self._out: dict[Task[Report], Chunk] = {}
        self._landed: deque[MapOutcome[T]] = deque()
        self._late = False
        self._done = self._failed = 0
        self._began = 0.0

    async def walk(self) -> AsyncGenerator[MapOutcome[T], None]:
        """Yield what became of each item, when its chunk is done."""
        async with aclosing(self._teller.told(self)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    def progress(self) -> Progress:
        """Return how far it is."""
        running = sum(len(chunk.items) for chunk in self._out.values())
        seconds = _now() - self._began
        return Progress(self._done, self._failed, running, self._source.size, seconds)

    async def outcomes(self) -> AsyncGenerator[MapOutcome[T], None]:
        """Yield each outcome when its chunk is done.

        Raises:
            EngineError: The cluster has no workers, or they cannot do it.
            Exception: What the source raised, or what the caller did wrong.
        """
        self._began = self._inhabited = _now()
        self._packed = pickle.dumps(await located(self._job, self._api))
        self._dealer.feed.begin()
        try:
            while await self._deal_and_settle():
                while self._landed:
                    yield self._counted(self._landed.popleft())
        finally:
            await run_shielded(self._close(), _ENDING)

    def _counted(self, outcome: MapOutcome[T]) -> MapOutcome[T]:
        if outcome.error is None:
            self._done += 1
        else:
            self._failed += 1
        return outcome

    async def _deal_and_settle(self) -> bool:
        """Wait until something has landed; return False when nothing will any more."""
        while not self._landed and (self._out or not self._dealer.is_over):
            hurry = await self._is_quiet()
            for task in [task for task in self._out if task.done()]:
                self._settle(task)
            if self._dealer.feed.error is not None:
                raise self._dealer.feed.error
            if self._left() > 0:
                await self._look()
                self._deal(hurry=hurry)
            else:
                await self._end_late()
        return bool(self._landed)

    async def _is_quiet(self) -> bool:
        """Wait until something happens; return True if nothing does for a while."""
        left = self._left()
        with anyio.move_on_after(min(_LOOK, left) if left > 0 else _LOOK):
            await self._stirred.wait()
        quiet = not self._stirred.is_set()
        self._stirred.clear()
        return quiet

    async def _look(self) -> None:
        """Ask the cluster where its workers are, now and then.

        Raises:
            EngineError: It is gone, or has had none for long.
        """
        now = _now()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        try:
            self._places = await self._engine.places()
        except Exception as error:
            raise _refusal(self._engine.name, error) from error
        if self._places or self._out:
            self._inhabited = now
        elif now - self._inhabited >= _PATIENCE:
            raise EngineError(
                f"{self._engine.name} has had no worker for {_PATIENCE:g} s",
                hint="Start workers; a run does not start them",
            )

    def _deal(self, *, hurry: bool) -> None:
        """Give chunks to idle workers."""
        busy = {chunk.place for chunk in self._out.values()}
        for chunk in self._dealer.deal(self._places, busy, hurry=hurry):
            task = create_task(self._carry(chunk))
            task.add_done_callback(lambda _: self._stirred.set())
            self._out[task] = chunk
        if not self._out and self._dealer.is_broke:
            # Nobody is left who might give something back.
            self._give_up(BudgetExceededError("the budget is spent", hint="Nothing was sent"))

    def _order(self, chunk: Chunk) -> Order:
        left, rate = self._left(), chunk.share.rate
        return Order(
            label=chunk.label,
            job=self._packed,
            items=tuple(data for _, data in chunk.items),
            width=chunk.share.width,
            rate=rate,
            burst=None if rate is None else max(int(self._plan.burst / len(self._places)), 1),
            deadline=None if left == _FOREVER else max(left, 0.001),
            sessions=chunk.allowance.sessions,
            session_hours=chunk.allowance.hours,
        )

    async def _carry(self, chunk: Chunk) -> Report:
        try:
            return await self._engine.run(self._order(chunk), chunk.place)
        except BaseException:
            # Nobody has reported that the sessions are gone.
            await run_shielded(delete_orphans(self._api, chunk.label, self._plan), _ENDING)
            raise

    def _settle(self, task: Task[Report]) -> None:
        """Take over what came of a chunk."""
        chunk = self._out.pop(task)
        error = None if task.cancelled() else task.exception()
        unknown = task.cancelled() or error is not None
        self._dealer.take_back(chunk, None if unknown else task.result())
        if task.cancelled():
            self._fail(chunk, self._too_late())
        elif error is None:
            self._land(chunk, task.result())
        elif isinstance(error, WorkerLostError):
            self._looked = -_FOREVER
            if not self._dealer.lose(chunk):
                self._fail(chunk, error)
        elif isinstance(error, AgentBayError):
            raise error
        else:
            raise _refusal(self._engine.name, error) from error

    def _land(self, chunk: Chunk, report: Report) -> None:
        if report.error is not None:
            error: Exception = unpacked(report.error, "the error of a worker")
            raise error
        for place, data in report.outcomes:
            self._landed.append(opened(data, chunk.items[place][0], chunk.losses))

    def _give_up(self, error: AgentBayError) -> None:
        """Fail what no worker has."""
        for chunk in self._dealer.give_up():
            self._fail(chunk, error)

    def _fail(self, chunk: Chunk, error: AgentBayError) -> None:
        for index, _ in chunk.items:
            # Each its own: whoever raises one adds a traceback to it.
            self._landed.append(MapOutcome(error=copy(error), index=index, attempts=chunk.losses))

    async def _end_late(self) -> None:
        """Give up what is not being worked on, and a little later the rest."""
        if not self._late:
            self._late = True
            await self._dealer.aclose()
            unread = range(self._source.pulled, self._source.size or 0)
            self._fail(Chunk([(index, b"") for index in unread]), self._too_late())
        self._give_up(self._too_late())
        if self._left() < -STOPPING:
            for task in self._out:
                task.cancel()

    def _too_late(self) -> AgentBayError:
        limit = self._plan.deadline or 0.0
        return OperationTimeoutError(
            f"{self._plan.what}: {limit:g} s were not enough for all of it"
        )

    def _left(self) -> float:
        """Return the seconds that are left for the run."""
        limit = self._plan.deadline
        return _FOREVER if limit is None else self._began + limit - _now()

    async def _close(self) -> None:
        """Stop the workers that still work; whoever carried a chunk deletes what lives of it."""
        await self._dealer.aclose()
        for task in self._out:
            task.cancel()
        if self._out:
            await wait(self._out)
        for task in self._out:
            if not task.cancelled():
                # asyncio complains of errors that nobody has looked at.
                task.exception()


async def located(job: Job, api: Api) -> Job:
    """Return a job that says where the service is, also if that is inside this process."""
    endpoint, api_key = await api.service()
    settings = attrs.evolve(job.settings, endpoint=endpoint, api_key=api_key)
    return attrs.evolve(job, settings=settings)


def _now() -> float:
    return get_running_loop().time()


def _refusal(name: str, error: BaseException) -> EngineError:
    return EngineError(
        f"{name} cannot do its part: {type(error).__name__}: {error}",
        hint="Workers need this package and the modules of fn, in the same versions",
    )
