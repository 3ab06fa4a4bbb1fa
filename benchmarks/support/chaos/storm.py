"""Storm: workers use a local service that injects every fault, and cancel what they do.

The seed determines the actions of each worker, its cancels, and the numbers of the requests that
each fault affects. The order of the requests depends on the machine, so two runs with one seed are
similar but not equal.
"""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay, RetryPolicy
from agentbay_local import (
    Delay,
    Drop,
    ExpireToken,
    Fail,
    FailTask,
    Garbage,
    Lag,
    LocalService,
    Slow,
    StickTask,
    Throttle,
    Truncate,
)
from support.chaos.scenario import Scenario, UnavailableError
from support.chaos.storm_workers import HANG_TIMEOUT, FastClock, SharedState, Worker, wait_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.chaos.scenario import Trial
    from support.chaos.storm_findings import Findings

_PROBABILITY = 0.1
_EFFECTS = (
    Fail(),
    Fail("InternalError", 500, "A fault was asked for."),
    Throttle(0.5),
    Throttle(0.5, own_header=True),
    Delay(2),
    Drop(),
    Drop(reset=True),
    Drop(committed=True),
    Drop(committed=True, reset=True),
    Truncate(),
    Garbage(),
    Slow(2),
    ExpireToken(),
    FailTask(),
    StickTask(),
    Lag(20),
)
# Half of the clients use the default policy, half one that suits a service with many faults.
_PATIENT = RetryPolicy(attempts=10, budget=10, reserve=1000)
_LEFT = re.compile(
    r"session (\S+) is still there|\d+ sessions are still there[^:]*: (.*?) could not"
)


class _WarningCollector(logging.Handler):
    """Collects the sessions that warnings of the library name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sessions: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Record the sessions that a message names."""
        for one, several in _LEFT.findall(record.getMessage()):
            self.sessions.update([one] if one else several.split(", "))


@contextmanager
def _warnings() -> Iterator[_WarningCollector]:
    collector = _WarningCollector()
    logger = logging.getLogger("agentbay")
    logger.addHandler(collector)
    try:
        yield collector
    finally:
        logger.removeHandler(collector)


def storm(
    seconds: float,
    seed: int,
    *,
    workers: int = 32,
    isolation: str = "namespaces",
    speed: float = 20,
) -> Findings:
    """Run workers against a local service with faults, and return the findings.

    Args:
        seconds: Seconds during which new jobs start.
        seed: Determines the actions of the workers.
        workers: How many at once.
        isolation: Of the sessions; see `LocalService`.
        speed: How many times faster the clock runs.

    Raises:
        UnavailableError: This machine lacks the isolation; `none` needs nothing.
    """
    clock = FastClock(speed)
    with LocalService(isolation=isolation, clock=clock) as service:
        if not service.isolation.available:
            raise UnavailableError(service.isolation.reason)
        for number, effect in enumerate(_EFFECTS):
            service.faults.add(effect, probability=_PROBABILITY, seed=seed * 100 + number)
        with _warnings() as collector:
            return asyncio.run(_storm(service, clock, seconds, seed, workers, collector))


async def _storm(
    service: LocalService,
    clock: FastClock,
    seconds: float,
    seed: int,
    workers: int,
    collector: _WarningCollector,
) -> Findings:
    state = SharedState()
    bays = [_client(service, clock), _client(service, clock, _PATIENT)]
    until = time.monotonic() + seconds
    tasks = [
        asyncio.create_task(Worker(bays[n % 2], state, f"w{n}", seed).work(until), name=f"w{n}")
        for n in range(workers)
    ]
    await wait_all(tasks, state.findings, seconds + 10 * HANG_TIMEOUT)
    closing = [asyncio.create_task(bay.aclose(), name="close") for bay in bays]
    await wait_all(closing, state.findings, HANG_TIMEOUT)
    _count_faults(service, state.findings)
    service.faults.clear()
    async with _client(service, clock) as client:
        await _check_end_state(service, client, state, collector)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    state.findings.hangs.extend(f"a task is left: {task.get_name()}" for task in left)
    return state.findings


def _client(
    service: LocalService, clock: FastClock, retry: RetryPolicy | None = None
) -> AsyncAgentBay:
    return AsyncAgentBay(service.api_key, endpoint=service.endpoint, clock=clock, retry=retry)


def _count_faults(service: LocalService, findings: Findings) -> None:
    for rule in service.faults:
        findings.counts[f"fault: {rule.effect.name}"] += rule.hits
    findings.counts["requests"] = len(service.journal) + service.journal.dropped


async def _check_end_state(
    service: LocalService, client: AsyncAgentBay, state: SharedState, collector: _WarningCollector
) -> None:
    """Compare the state of the service with the expectations, then delete everything."""
    findings = state.findings
    living = await service.aliving()
    unowned = living.keys() - state.held.keys()
    findings.reported.extend(unowned & collector.sessions)
    findings.leaked.extend(unowned - collector.sessions)
    findings.vanished.extend(state.held.keys() - living.keys() - state.deleting)
    jobs = [
        labels.get("job", "") for one, labels in living.items() if one not in collector.sessions
    ]
    findings.doubles.extend(job for job in set(jobs) if jobs.count(job) > 1)
    for session_id in living.keys() & state.held.keys():
        found = (await (await client.get(session_id)).session.get_labels()).unwrap()
        if state.held[session_id].excludes(found):
            findings.wrong_labels.append(f"{session_id}: {found}")
    await _compare_files(client, state)
    for session_id in living:
        (await client.delete(session_id)).unwrap()
    findings.leaked.extend(f"{one} cannot be deleted" for one in await service.aliving())


async def _compare_files(client: AsyncAgentBay, state: SharedState) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "file"
        for (context, path), claim in state.files.items():
            if not claim.certain:
                continue
            result = await client.context.download_file(context, path, target)
            found = target.read_bytes() if result.success else None
            state.findings.counts["files compared"] += 1
            state.findings.counts["bytes compared"] += len(found or b"")
            if claim.excludes(found):
                state.findings.files_lost.append(f"{path} of {context}: {result.error_message}")
                state.findings.bytes_lost += min(map(len, claim.values))


def report(findings: Findings) -> str:
    """Return the figures as lines of text."""
    lines = [f"{name:28} {count:>10,}" for name, count in sorted(findings.counts.items())]
    lines.append(f"{'reported and in the ledger':28} {len(findings.reported):>10,}")
    lines.append("")
    for name, found in findings.problems.items():
        lines.append(f"{name:28} {len(found):>10,}")
        lines.extend(f"    {one}" for one in found[:20])
    lines.append(f"{'acknowledged bytes lost':28} {findings.bytes_lost:>10,}")
    return "\n".join(lines)


def _storm_trial(trial: Trial) -> None:
    findings = storm(
        trial.seconds,
        trial.seed,
        workers=trial.workers,
        isolation=trial.isolation,
        speed=trial.speed,
    )
    tally = trial.tally
    tally.unheld += findings.leaked + findings.doubles
    tally.named += len(findings.reported)
    tally.bytes_lost += findings.bytes_lost
    tally.untyped += findings.untyped_errors
    tally.problems += [*findings.vanished, *findings.files_lost, *findings.wrong_labels]
    tally.problems += [f"{call} never ended" for call in findings.hangs]
    tally.notes.append(report(findings))


STORM = Scenario("storm", _storm_trial)
