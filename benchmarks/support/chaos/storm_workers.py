"""Workers of the chaos test: create, label, list, sync and delete under faults, and record results.

The clock of client and service runs faster than the clock of the machine, so that waits of minutes
are over in seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from agentbay_async import AgentBayError, ContextSync, CreateSessionParams, LifecyclePolicy
from support.chaos.storm_findings import Claim, Findings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentbay_async import AsyncAgentBay, AsyncSession

T = TypeVar("T")

#: Real seconds after which an unfinished operation counts as hung.
HANG_TIMEOUT = 90.0
CANCEL_PROBABILITY = 0.1
CANCEL_WITHIN = 0.3
_MOUNT = "/mnt/data"
_SYNC_TIMEOUT = 120.0


class FastClock:
    """A clock that runs faster than that of the machine.

    Args:
        speed: Seconds of this clock per real second.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._date, self._began = time.time(), time.monotonic()

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self._date + self.monotonic() - self._began

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return self._began + (time.monotonic() - self._began) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock."""
        await asyncio.sleep(max(0.0, seconds) / self._speed)


@attrs.frozen
class Ended(Generic[T]):
    """The end of an operation: a value, an error of the library, or a cancellation."""

    value: T | None = None
    cancelled: bool = False

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.value is not None

    def note(self, claim: Claim[Any], *values: object) -> None:
        """Record in a claim the end of a change to one of `values`."""
        if self.ok:
            claim.acknowledged(*values)
        elif self.cancelled:
            claim.cancelled(*values)
        else:
            claim.failed(*values)


@attrs.define
class SharedState:
    """The shared state of all workers.

    Attributes:
        held: Expected labels of the sessions that a worker holds, by id.
        jobs: The job of each session that was ever handed over, by id.
        doomed: Sessions whose deletion was requested.
        files: What is in the files of contexts, by context and path.
        findings: What must not have happened, and figures.
    """

    held: dict[str, Claim[dict[str, str]]] = attrs.field(factory=dict)
    jobs: dict[str, str] = attrs.field(factory=dict)
    deleting: set[str] = attrs.field(factory=set)
    files: dict[tuple[str, str], Claim[bytes]] = attrs.field(factory=dict)
    findings: Findings = attrs.field(factory=Findings)


class Worker:
    """One of the workers.

    Args:
        bay: Its client.
        account: The shared state.
        name: Its name; what it does follows from that and the seed.
        seed: The seed.
    """

    def __init__(self, bay: AsyncAgentBay, state: SharedState, name: str, seed: int) -> None:
        self._bay = bay
        self._state = state
        self._name = name
        self._random = random.Random(f"{seed}-{name}")
        self._jobs = 0

    async def work(self, until: float) -> None:
        """Do one job after the other until a reading of ``time.monotonic``."""
        jobs = [self._labels, self._labels, self._files, self._block]
        while time.monotonic() < until:
            self._jobs += 1
            await self._random.choice(jobs)(f"{self._name}-{self._jobs}")

    async def _labels(self, job: str) -> None:
        session = await self._create(job)
        if session is None:
            return
        claim = self._state.held[session.session_id]
        for round_ in range(self._random.randrange(3)):
            labels = {"job": job, "round": str(round_)}
            ended = await self._try("set labels", _done(session.set_labels(labels)))
            ended.note(claim, labels)
            await self._look(session, job, claim)
        await self._delete(session)

    async def _look(self, session: AsyncSession, job: str, claim: Claim[dict[str, str]]) -> None:
        """Ask for the labels, and for the sessions that have them."""
        found = await self._try("get labels", _unwrap(session.get_labels()))
        if found.value is not None and claim.excludes(found.value.data):
            self._state.findings.wrong_labels.append(f"{job}: {found.value.data}")
        listed = await self._try("list", self._ids({"job": job}))
        for other in listed.value or ():
            if self._state.jobs.get(other, job) != job:
                self._state.findings.wrong_labels.append(f"{other} is listed for {job}")
        await self._try("list all", self._ids({}))

    async def _ids(self, labels: dict[str, str]) -> list[str]:
        return [one.session_id async for one in self._bay.list(labels, limit=5)]

    async def _block(self, job: str) -> None:
        """Hold a session for the length of a block; nothing is left of it, however it ends."""

        async def body() -> str:
            async with self._bay.session(_params(job)) as session:
                self._state.jobs[session.session_id] = job
                await session.get_status()
            return session.session_id

        await self._try("block", body())

    async def _files(self, job: str) -> None:
        made = await self._try("create context", _unwrap(self._bay.context.create(f"c-{job}")))
        if made.value is None:
            return
        context = made.value.context_id
        straight = self._random.randbytes(self._random.randrange(20_000))
        work = _unwrap(self._bay.context.upload_file(context, "straight.bin", straight))
        (await self._try("upload", work)).note(self._claim(context, "straight.bin"), straight)
        session = await self._create(job, context)
        if session is None:
            return
        await self._save(session, context)
        await self._delete(session, context)

    async def _save(self, session: AsyncSession, context: str) -> None:
        """Write into a session and have it saved, again and again."""
        claim, there = self._claim(context, "work.txt"), Claim[bytes]()
        for _ in range(self._random.randrange(1, 3)):
            text = self._random.randbytes(self._random.randrange(1, 2000)).hex()
            work = session.file_system.write_file(f"{_MOUNT}/work.txt", text)
            (await self._try("write", _unwrap(work))).note(there, text.encode())
            sync = session.context.sync(timeout=_SYNC_TIMEOUT)
            ended = await self._try("sync", _unwrap(sync))
            if there.certain or not ended.ok:
                ended.note(claim, *there.values)

    def _claim(self, context: str, path: str) -> Claim[bytes]:
        return self._state.files.setdefault((context, path), Claim())

    async def _create(self, job: str, context: str | None = None) -> AsyncSession | None:
        params = _params(job, context)
        created = await self._try("create", _unwrap(self._bay.create(params)))
        if created.value is None:
            return None
        session: AsyncSession = created.value.session
        claim = Claim[dict[str, str]]()
        claim.acknowledged(params.labels)
        self._state.held[session.session_id] = claim
        self._state.jobs[session.session_id] = job
        return session

    async def _delete(self, session: AsyncSession, context: str | None = None) -> None:
        """Delete a session, perhaps with its files; what does not go is held until the end."""
        self._state.deleting.add(session.session_id)
        for _ in range(3):
            work = session.delete(sync_context=context is not None)
            if (await self._try("delete", _unwrap(work))).ok:
                del self._state.held[session.session_id]
                return

    async def _try(self, what: str, work: Coroutine[Any, Any, T]) -> Ended[T]:
        """Run an operation, perhaps cancel it, and record how it ended."""
        task = asyncio.create_task(work)
        if self._random.random() < CANCEL_PROBABILITY:
            moment = self._random.random() * CANCEL_WITHIN
            asyncio.get_running_loop().call_later(moment, task.cancel)
        await asyncio.wait([task], timeout=HANG_TIMEOUT)
        how, ended = self._outcome(what, task)
        self._state.findings.counts[f"{what}: {how}"] += 1
        return ended

    def _outcome(self, what: str, task: asyncio.Task[T]) -> tuple[str, Ended[T]]:
        if not task.done():
            self._state.findings.hangs.append(f"{what} of {self._name}-{self._jobs}")
            task.cancel()
            return "hung", Ended(cancelled=True)
        if task.cancelled():
            return "cancelled", Ended(cancelled=True)
        error = task.exception()
        if error is None:
            return "ok", Ended(task.result())
        if not isinstance(error, AgentBayError):
            self._state.findings.untyped_errors.append(f"{what}: {error!r}")
        return "failed", Ended()


def _params(job: str, context: str | None = None) -> CreateSessionParams:
    syncs = [] if context is None else [ContextSync(context, _MOUNT)]
    # Nothing but a delete ends these, so that no lifetime hides a leak.
    forever = LifecyclePolicy(manual_release=True)
    return CreateSessionParams({"job": job}, lifecycle_policy=forever, context_syncs=syncs)


async def _unwrap(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a result, and raise what it failed with."""
    result: Any = await work
    if result.error is not None:
        raise result.error
    checked: T = result
    return checked


async def _done(work: Coroutine[Any, Any, Any]) -> bool:
    return await _unwrap(work) is not None


async def wait_all(tasks: list[asyncio.Task[None]], findings: Findings, limit: float) -> None:
    """Wait for tasks, and record those that do not finish in time."""
    _, late = await asyncio.wait(tasks, timeout=limit)
    for task in late:
        findings.hangs.append(task.get_name())
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
