"""Nothing is lost while everything goes wrong: workers in a service with every fault there is.

Prints what was done and what must not have happened, and exits with 1 if any of that has. The seed
settles what each worker does, when it is cancelled, and which of the requests each fault strikes;
which request comes as which one is up to the machine, so two runs are alike but never the same.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import sys
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
from support.ledger import own_ledger
from support.storm import HANG, Account, FastClock, Worker, all_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.claims import Findings

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
# Half of the workers are as patient as everybody, half as one is with a service like this one.
_PATIENT = RetryPolicy(attempts=10, budget=10, reserve=1000)
_LEFT = re.compile(r"session (\S+) is still there")


class _Warned(logging.Handler):
    """Collects the sessions that warnings of the library name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sessions: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        self.sessions.update(_LEFT.findall(record.getMessage()))


@contextmanager
def _warnings() -> Iterator[_Warned]:
    warned = _Warned()
    logger = logging.getLogger("agentbay")
    logger.addHandler(warned)
    try:
        yield warned
    finally:
        logger.removeHandler(warned)


def storm(
    seconds: float, seed: int, *, workers: int = 32, isolation: str = "namespaces", pace: float = 20
) -> Findings:
    """Let workers work in a service of their own, and return what came of it.

    Args:
        seconds: For how long new jobs are begun.
        seed: What is done follows from it.
        workers: How many at once.
        isolation: Of the sessions; see `LocalService`.
        pace: How much faster time runs.
    """
    clock = FastClock(pace)
    with LocalService(isolation=isolation, clock=clock) as service:
        if not service.isolation.available:
            raise RuntimeError(f"{service.isolation.reason}; --isolation none needs nothing")
        for number, effect in enumerate(_EFFECTS):
            service.faults.add(effect, probability=_PROBABILITY, seed=seed * 100 + number)
        with _warnings() as warned:
            return asyncio.run(_storm(service, clock, seconds, seed, workers, warned))


async def _storm(
    service: LocalService,
    clock: FastClock,
    seconds: float,
    seed: int,
    workers: int,
    warned: _Warned,
) -> Findings:
    account = Account()
    bays = [_client(service, clock), _client(service, clock, _PATIENT)]
    until = time.monotonic() + seconds
    tasks = [
        asyncio.create_task(Worker(bays[n % 2], account, f"w{n}", seed).work(until), name=f"w{n}")
        for n in range(workers)
    ]
    await all_over(tasks, account.findings, seconds + 10 * HANG)
    closing = [asyncio.create_task(bay.aclose(), name="close") for bay in bays]
    await all_over(closing, account.findings, HANG)
    _count_faults(service, account.findings)
    service.faults.clear()
    async with _client(service, clock) as calm:
        await _judge(service, calm, account, warned)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    account.findings.hangs.extend(f"a task is left: {task.get_name()}" for task in left)
    return account.findings


def _client(
    service: LocalService, clock: FastClock, retry: RetryPolicy | None = None
) -> AsyncAgentBay:
    return AsyncAgentBay(service.api_key, endpoint=service.endpoint, clock=clock, retry=retry)


def _count_faults(service: LocalService, findings: Findings) -> None:
    for rule in service.faults:
        findings.counts[f"fault: {rule.effect.name}"] += rule.hits
    findings.counts["requests"] = len(service.journal) + service.journal.dropped


async def _judge(
    service: LocalService, calm: AsyncAgentBay, account: Account, warned: _Warned
) -> None:
    """Compare what is there with what may be there, then delete it all."""
    findings = account.findings
    living = await service.aliving()
    nobodys = living.keys() - account.held.keys()
    findings.told.extend(nobodys & warned.sessions)
    findings.leaked.extend(nobodys - warned.sessions)
    findings.vanished.extend(account.held.keys() - living.keys() - account.doomed)
    jobs = [labels.get("job", "") for one, labels in living.items() if one not in warned.sessions]
    findings.doubles.extend(job for job in set(jobs) if jobs.count(job) > 1)
    for session_id in living.keys() & account.held.keys():
        found = (await (await calm.get(session_id)).session.get_labels()).unwrap()
        if account.held[session_id].broken_by(found):
            findings.wrong_labels.append(f"{session_id}: {found}")
    await _compare_files(calm, account)
    for session_id in living:
        (await calm.delete(session_id)).unwrap()
    findings.leaked.extend(f"{one} cannot be deleted" for one in await service.aliving())


async def _compare_files(calm: AsyncAgentBay, account: Account) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "file"
        for (context, path), claim in account.files.items():
            if not claim.firm:
                continue
            result = await calm.context.download_file(context, path, target)
            found = target.read_bytes() if result.success else None
            account.findings.counts["files compared"] += 1
            account.findings.counts["bytes compared"] += len(found or b"")
            if claim.broken_by(found):
                account.findings.files_lost.append(f"{path} of {context}: {result.error_message}")
                account.findings.bytes_lost += min(map(len, claim.values))


def report(findings: Findings) -> str:
    """Return the figures as lines of text."""
    lines = [f"{name:28} {count:>10,}" for name, count in sorted(findings.counts.items())]
    lines.append(f"{'told of and in the ledger':28} {len(findings.told):>10,}")
    lines.append("")
    for name, found in findings.bad.items():
        lines.append(f"{name:28} {len(found):>10,}")
        lines.extend(f"    {one}" for one in found[:20])
    lines.append(f"{'acknowledged bytes lost':28} {findings.bytes_lost:>10,}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the storm, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=5.0, help="default 5")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--workers", type=int, default=32, help="default 32")
    parser.add_argument("--pace", type=float, default=20.0, help="how fast time runs; default 20")
    parser.add_argument(
        "--isolation", default="namespaces", choices=["namespaces", "landlock", "none"]
    )
    options = parser.parse_args(arguments)
    logging.getLogger("agentbay").propagate = False
    # What the service warns of is what it was asked to do wrong; its own failures are still told.
    logging.getLogger("agentbay_local").setLevel(logging.ERROR)
    with own_ledger():
        findings = storm(
            options.minutes * 60,
            options.seed,
            workers=options.workers,
            isolation=options.isolation,
            pace=options.pace,
        )
    print(f"seed {options.seed}, {options.minutes:g} minutes, {options.workers} workers\n")
    print(report(findings))
    return 0 if findings.good else 1


if __name__ == "__main__":
    sys.exit(main())
