"""Measure attacks: the silence of the service for another session, and the service's memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import attrs

from agentbay_async import AgentBayError, AsyncAgentBay, CreateSessionParams
from support.attacks import ATTACKS, Stage
from support.host import forget_peak, status_bytes
from support.local import LocalChild
from support.session_probe import SessionProbe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MB = 1e6
_PREPARE_WITHIN = 90.0
# Seconds for which the probe calls without an attack, before and after it.
_IDLE = 0.5


@attrs.frozen
class Outcome:
    """What an attack did.

    Attributes:
        name: Its name.
        calls: The calls of the other session meanwhile.
        silence: Seconds of the longest of them.
        median: Seconds of half of them at most.
        memory: Megabytes that the service had more at the worst moment than before.
        idle_silence: Seconds of the longest call shortly before and after the attack: what this
            machine does by itself.
    """

    name: str
    calls: int
    silence: float
    median: float
    memory: float
    idle_silence: float


def measure_attacks(
    names: Iterable[str], seconds: float, isolation: str = "namespaces"
) -> list[Outcome]:
    """Measure attacks one after another, all of them on one service."""
    with LocalChild(isolation) as service:
        return asyncio.run(_measure_all(names, seconds, service))


async def _measure_all(names: Iterable[str], seconds: float, service: LocalChild) -> list[Outcome]:
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        with SessionProbe(service.endpoint, service.api_key) as probe:
            return [await _measure(name, seconds, service, bay, probe) for name in names]


async def _measure(
    name: str, seconds: float, service: LocalChild, bay: AsyncAgentBay, probe: SessionProbe
) -> Outcome:
    session = (await bay.create(CreateSessionParams(image_id="code_latest"))).unwrap()
    await session.code.run_code("1")
    idle = await _idle_latencies(probe)
    before = status_bytes(service.pid, "VmRSS")
    forget_peak(service.pid)
    # A refused attack is as good as any; the figures tell what it did.
    with contextlib.suppress(AgentBayError, asyncio.TimeoutError):
        stage = Stage(service, bay, session, seconds)
        await asyncio.wait_for(ATTACKS[name](stage), seconds + _PREPARE_WITHIN)
    latencies = probe.read_latencies()
    grown = (status_bytes(service.pid, "VmHWM") - before) / _MB
    idle += await _idle_latencies(probe)
    # It is gone already if the attack was found out.
    await session.delete()
    return _outcome(name, latencies, grown, max(idle))


async def _idle_latencies(probe: SessionProbe) -> list[float]:
    probe.read_latencies()
    await asyncio.sleep(_IDLE)
    return probe.read_latencies()


def _outcome(name: str, latencies: Sequence[float], grown: float, idle: float) -> Outcome:
    ordered = sorted(latencies)
    return Outcome(name, len(ordered), ordered[-1], ordered[len(ordered) // 2], grown, idle)
