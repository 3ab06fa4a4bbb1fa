"""Many sessions of one service at the same time: their cost, and what they leave behind."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import attrs

from agentbay_async import AsyncAgentBay, CreateSessionParams
from support import host
from support.health_probe import HealthProbe
from support.host import Footprint
from support.local import LocalChild

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_async import AsyncSession

MEMORY = "memory of the machine for a sandbox, MB"
_MB = 1e6
_CONCURRENCY = 100
_IDLE_SECONDS = 3.0


@attrs.frozen
class Phase:
    """The cost of one step in all sessions.

    Attributes:
        name: The step.
        wall: Seconds until all were done.
        cpu: CPU seconds of the service.
        each: Seconds of each.
        health: Seconds of each health check meanwhile.
        failed: How many failed.
    """

    name: str
    wall: float
    cpu: float
    each: list[float]
    health: list[float]
    failed: int


@attrs.define
class ManySessions:
    """Many sessions of one service, and their measurements.

    Attributes:
        phases: The steps.
        facts: Measurements, by name.
        left: Resources at the end that did not exist at the start.
    """

    service: LocalChild
    probe: HealthProbe
    bay: AsyncAgentBay
    phases: list[Phase] = attrs.field(factory=list)
    facts: dict[str, float] = attrs.field(factory=dict)
    left: dict[str, int] = attrs.field(factory=dict)

    async def live(self, count: int) -> None:
        """Create sessions, run commands in them, measure them, and delete them."""
        await self._warm_up()
        before, free = self._footprint(), host.available()
        sessions = await self._create(count)
        for name in ("first command", "second command"):
            await self._phase(name, [_echo(session) for session in sessions])
        await self._measure(count, before, free)
        await self._phase("sleep 60 &", [_sleep(session) for session in sessions])
        self.facts["CPU of the service while all sleep, %"] = await self._load()
        await self._phase("command beside it", [_echo(session) for session in sessions])
        await self._delete(sessions)
        # The connections of the client are descriptors of the service too.
        await self.bay.aclose()
        self.left = await self._excess(before)

    async def _warm_up(self) -> None:
        """Use one session first: the service creates some shared things with it."""
        async with AsyncAgentBay(self.service.api_key, endpoint=self.service.endpoint) as bay:
            session = (await bay.create()).unwrap()
            await _echo(session)()
            (await session.delete()).unwrap()
        self.probe.read_latencies()

    async def _create(self, count: int) -> list[AsyncSession]:
        started, cpu = time.perf_counter(), host.cpu(self.service.pid)
        made = await self.bay.create_many(CreateSessionParams(labels={"run": "scale"}), count)
        self._note("create_many", started, cpu, [], made.failed)
        return list(made.sessions)

    async def _delete(self, sessions: list[AsyncSession]) -> None:
        started, cpu = time.perf_counter(), host.cpu(self.service.pid)
        done = await self.bay.delete_many(sessions)
        self._note("delete_many", started, cpu, [], done.failed)

    async def _phase(self, name: str, steps: Sequence[Callable[[], Awaitable[bool]]]) -> None:
        """Do a step in every session, as many at once as a client has connections."""
        turn, each = asyncio.Semaphore(_CONCURRENCY), list[float]()

        async def timed(step: Callable[[], Awaitable[bool]]) -> bool:
            async with turn:
                began = time.perf_counter()
                ok = await step()
                each.append(time.perf_counter() - began)
                return ok

        started, cpu = time.perf_counter(), host.cpu(self.service.pid)
        ok = await asyncio.gather(*map(timed, steps))
        self._note(name, started, cpu, each, ok.count(False))

    def _note(self, name: str, started: float, cpu: float, each: list[float], failed: int) -> None:
        wall, cpu = time.perf_counter() - started, host.cpu(self.service.pid) - cpu
        self.phases.append(Phase(name, wall, cpu, each, self.probe.read_latencies(), failed))

    async def _measure(self, count: int, before: Footprint, free: int) -> None:
        now = self._footprint()
        shared_out, counted = host.memory(host.below(self.service.pid))
        service, _ = host.memory([self.service.pid])
        self.facts = {
            "processes of a sandbox": (now.processes - before.processes) / count,
            "memory of a sandbox, shared pages shared out, MB": shared_out / count / _MB,
            "memory of a sandbox, shared pages counted for each, MB": counted / count / _MB,
            MEMORY: (free - host.available()) / count / _MB,
            "memory of the service, MB": service / _MB,
            "descriptors of the service for a sandbox": (
                (now.descriptors - before.descriptors - _CONCURRENCY) / count
            ),
            "CPU of the service while all rest, %": await self._load(),
        }

    async def _load(self) -> float:
        """Return the share of one core that the idle service uses."""
        cpu = host.cpu(self.service.pid)
        await asyncio.sleep(_IDLE_SECONDS)
        return (host.cpu(self.service.pid) - cpu) / _IDLE_SECONDS * 100

    async def _excess(self, before: Footprint) -> dict[str, int]:
        """Return leftovers; the service notices a closed connection a moment later."""
        excess: dict[str, int] = {}
        for _ in range(50):
            now = self._footprint()
            excess = {
                name: figure - getattr(before, name) for name, figure in attrs.asdict(now).items()
            }
            if not any(excess.values()):
                break
            await asyncio.sleep(0.1)
        return excess

    def _footprint(self) -> Footprint:
        return Footprint.of(self.service.pid, self.service.home)


def _echo(session: AsyncSession) -> Callable[[], Awaitable[bool]]:
    async def step() -> bool:
        return (await session.command.run("echo hi")).stdout == "hi\n"

    return step


def _sleep(session: AsyncSession) -> Callable[[], Awaitable[bool]]:
    async def step() -> bool:
        return (await session.command.run("sleep 60 > /dev/null 2>&1 &")).success

    return step


async def measure_many_sessions(count: int) -> ManySessions:
    """Measure many sessions at once, from create to delete."""
    with LocalChild() as service, HealthProbe(service.endpoint) as probe:
        async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
            run = ManySessions(service, probe, bay)
            await run.live(count)
            return run
