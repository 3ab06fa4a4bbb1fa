"""Many sessions of one service that live at the same time: what they cost, and what they leave."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import attrs

from agentbay_async import AsyncAgentBay, CreateSessionParams
from support import host
from support.host import Footprint
from support.local import LocalChild
from support.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_async import AsyncSession

MEMORY = "memory of the machine for a sandbox, MB"
_MB = 1e6
_CREW = 100
_LOOK = 3.0


@attrs.frozen
class Phase:
    """What one step of all sessions took.

    Attributes:
        name: The step.
        wall: Seconds until all were done.
        cpu: Seconds that the service computed for it.
        each: Seconds of each.
        health: Seconds that the service took to say that it was well, meanwhile.
        failed: How many failed.
    """

    name: str
    wall: float
    cpu: float
    each: list[float]
    health: list[float]
    failed: int


@attrs.define
class Crowd:
    """Many sessions of one service, and what was measured of them.

    Attributes:
        phases: The steps.
        facts: What they take, by name.
        left: What is there at the end and was not at the beginning.
    """

    service: LocalChild
    pulse: Pulse
    bay: AsyncAgentBay
    phases: list[Phase] = attrs.field(factory=list)
    facts: dict[str, float] = attrs.field(factory=dict)
    left: dict[str, int] = attrs.field(factory=dict)

    async def live(self, count: int) -> None:
        """Make sessions, work in them, look at what they take, and delete them."""
        await self._warmed_up()
        before, free = self._footprint(), host.available()
        sessions = await self._made(count)
        for name in ("first command", "second command"):
            await self._phase(name, [_echo(session) for session in sessions])
        await self._weighed(count, before, free)
        await self._phase("sleep 60 &", [_sleeps(session) for session in sessions])
        self.facts["CPU of the service while all sleep, %"] = await self._load()
        await self._phase("command beside it", [_echo(session) for session in sessions])
        await self._deleted(sessions)
        # The connections of the client are descriptors of the service too.
        await self.bay.aclose()
        self.left = await self._left(before)

    async def _warmed_up(self) -> None:
        """Live once: the service makes some things for all sandboxes with the first."""
        async with AsyncAgentBay(self.service.api_key, endpoint=self.service.endpoint) as bay:
            session = (await bay.create()).unwrap()
            await _echo(session)()
            (await session.delete()).unwrap()
        self.pulse.taken()

    async def _made(self, count: int) -> list[AsyncSession]:
        started, cpu = time.perf_counter(), host.cpu(self.service.pid)
        made = await self.bay.create_many(CreateSessionParams(labels={"run": "scale"}), count)
        self._note("create_many", started, cpu, [], made.failed)
        return list(made.sessions)

    async def _deleted(self, sessions: list[AsyncSession]) -> None:
        started, cpu = time.perf_counter(), host.cpu(self.service.pid)
        done = await self.bay.delete_many(sessions)
        self._note("delete_many", started, cpu, [], done.failed)

    async def _phase(self, name: str, steps: Sequence[Callable[[], Awaitable[bool]]]) -> None:
        """Do a step in every session, as many at once as a client has connections."""
        turn, each = asyncio.Semaphore(_CREW), list[float]()

        async def timed(step: Callable[[], Awaitable[bool]]) -> bool:
            async with turn:
                began = time.perf_counter()
                good = await step()
                each.append(time.perf_counter() - began)
                return good

        started, cpu = time.perf_counter(), host.cpu(self.service.pid)
        good = await asyncio.gather(*map(timed, steps))
        self._note(name, started, cpu, each, good.count(False))

    def _note(self, name: str, started: float, cpu: float, each: list[float], failed: int) -> None:
        wall, cpu = time.perf_counter() - started, host.cpu(self.service.pid) - cpu
        self.phases.append(Phase(name, wall, cpu, each, self.pulse.taken(), failed))

    async def _weighed(self, count: int, before: Footprint, free: int) -> None:
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
                (now.descriptors - before.descriptors - _CREW) / count
            ),
            "CPU of the service while all rest, %": await self._load(),
        }

    async def _load(self) -> float:
        """Return how much of one core the service takes when it is left alone."""
        cpu = host.cpu(self.service.pid)
        await asyncio.sleep(_LOOK)
        return (host.cpu(self.service.pid) - cpu) / _LOOK * 100

    async def _left(self, before: Footprint) -> dict[str, int]:
        """Return what is too many; a closed connection is noticed a moment later."""
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


def _sleeps(session: AsyncSession) -> Callable[[], Awaitable[bool]]:
    async def step() -> bool:
        return (await session.command.run("sleep 60 > /dev/null 2>&1 &")).success

    return step


async def crowded(count: int) -> Crowd:
    """Measure the life of many sessions at once."""
    with LocalChild() as service, Pulse(service.endpoint) as pulse:
        async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
            crowd = Crowd(service, pulse, bay)
            await crowd.live(count)
            return crowd
