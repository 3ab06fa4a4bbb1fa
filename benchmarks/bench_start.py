"""Benchmark the start of a sandbox: from the create to the first command's answer.

The method is that of ComputeSDK's public benchmarks: starts one at a time, then a burst of starts
at once; the fastest and slowest 5 % are left out; the score weighs median, p95 and p99 against ten
seconds. bubblewrap alone, the sandboxes of others that the machine has, and the service of another
checkout take part in turns. See the README beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import attrs

from support.ledger import temporary_ledger
from support.local import LocalChild
from support.samples import Sample, Spread, Target, table, wall_ratio
from support.starts import LocalService, NewProcess, Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.starts import Starter

OURS = "agentbay"
READY = "agentbay, sandboxes ready"
OTHER = "other checkout"
CODE, PROCESS = "run_code", "new process"
_TRIMMED = 0.05
_CEILING = 10.0
_WEIGHTS = {0.5: 0.60, 0.95: 0.25, 0.99: 0.15}
_RESTING = 20
# What a service allows.
_MOST_READY = 128
_HEAD = "measured|contestant|starts|failed|median ms|p95 ms|p99 ms|score|all ms|times the first"

# Milliseconds; published by ComputeSDK for a hundred starts at once, over a network.
PUBLISHED_BURST = {"daytona": 367, "e2b": 822, "modal": 2261}


@attrs.define
class Starts:
    """The starts of one contestant.

    Attributes:
        seconds: Of each start that succeeded.
        failed: How many failed.
        walls: Seconds until all starts of a burst were done, and removed again, for each burst.
        medians: The median of each turn.
    """

    seconds: list[float] = attrs.field(factory=list)
    failed: int = 0
    walls: list[float] = attrs.field(factory=list)
    medians: list[float] = attrs.field(factory=list)

    def percentile(self, part: float) -> float:
        """Return a percentile of what is left when both ends are trimmed; `part` is 0 to 1."""
        ordered = sorted(self.seconds)
        cut = int(len(ordered) * _TRIMMED)
        kept = ordered[cut : len(ordered) - cut]
        return kept[min(len(kept) - 1, int(part * len(kept)))]

    @property
    def score(self) -> float:
        """The score, from 0 to 100."""
        done = len(self.seconds) / (len(self.seconds) + self.failed)
        parts = {part: max(0.0, 1 - self.percentile(part) / _CEILING) for part in _WEIGHTS}
        return 100 * done * sum(_WEIGHTS[part] * value for part, value in parts.items())


Measured = dict[str, dict[str, Starts]]


async def measure(starters: Sequence[Starter], rounds: int, at_once: int) -> dict[str, Starts]:
    """Measure contestants in turns; the first one changes from round to round.

    Args:
        starters: The contestants.
        rounds: How often each has its turn.
        at_once: How many starts a turn has.
    """
    measured = {starter.name: Starts() for starter in starters if rounds}
    for number in range(rounds):
        first = number % len(starters)
        for starter in [*starters[first:], *starters[:first]]:
            await starter.settle()
            await _turn(starter, at_once, measured[starter.name])
    return measured


async def _turn(starter: Starter, at_once: int, into: Starts) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    done = await asyncio.gather(*(starter.start() for _ in range(at_once)), return_exceptions=True)
    into.walls.append(loop.time() - began)
    seconds = [one for one in done if isinstance(one, float)]
    for one in done:
        if not isinstance(one, float):
            print(f"{starter.name}: {one!r}", file=sys.stderr)
    into.seconds += seconds
    into.failed += len(done) - len(seconds)
    into.medians.append(median(seconds or into.walls[-1:]))


def rows(measured: Measured) -> Iterator[list[str]]:
    """Yield the table, line by line."""
    for what, by_name in measured.items():
        base = next(iter(by_name.values()))
        for name, starts in by_name.items():
            figures = [f"{starts.percentile(part) * 1e3:,.1f}" for part in _WEIGHTS]
            yield [
                *(what, name, str(len(starts.seconds)), str(starts.failed), *figures),
                *(f"{starts.score:.1f}", f"{Spread.of(starts.walls).median * 1e3:,.1f}"),
                "" if starts is base else str(_ratio(starts, base)),
            ]


def _ratio(these: Starts, base: Starts) -> Spread:
    pairs = [[Sample(each, 0) for each in starts.medians] for starts in (these, base)]
    return wall_ratio(*pairs)


def targets(measured: Measured) -> list[Target]:
    """Return the targets of our services, in milliseconds."""
    most = {"one at a time": 25.0, "burst": 600.0, CODE: 60.0, PROCESS: 60.0}
    return [
        Target(f"{what}, {name}, median ms", most[what], Spread.of([starts.percentile(0.5) * 1e3]))
        for what, by_name in measured.items()
        for name, starts in by_name.items()
        if name in (OURS, READY, NewProcess.EMBEDDED)
    ]


async def _run_all(
    options: argparse.Namespace, services: dict[str, LocalChild]
) -> tuple[Measured, dict[str, dict[str, float]]]:
    async with AsyncExitStack() as closing:
        compiled = closing.enter_context(tempfile.TemporaryDirectory(prefix="agentbay-bench-"))
        programs, processes = (
            [Program.bubblewrap(), *Program.peers()],
            NewProcess.all(Path(compiled)),
        )
        locals_, coders = (
            [LocalService(name, one, code=code) for name, one in services.items()]
            for code in (False, True)
        )
        starters: list[Starter] = [*programs, *processes, *locals_, *coders]
        for one in starters:
            closing.push_async_callback(one.close)
            await one.start()  # the first start of a service makes what all share
        few = max(1, options.runs // 5)
        measured: Measured = {
            "one at a time": await measure([*programs, *locals_], options.runs, 1),
            "burst": await measure([*programs, *locals_], options.bursts, options.runs),
        }
        cold = [one for one in locals_ if one.name != READY]
        resting = {one.name: await one.resting(_RESTING) for one in cold}
        measured[CODE] = await measure(coders, few, 1)
        measured[PROCESS] = await measure(processes, few, 1)
        for one in cold:
            resting[f"{one.name} that has loaded a kernel"] = await one.resting(_RESTING)
    return {what: by_name for what, by_name in measured.items() if by_name}, resting


def document(measured: Measured, resting: object, options: argparse.Namespace) -> dict[str, Any]:
    """Return all samples and where they were taken, for the file of ``--json``."""
    return {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "runs": options.runs,
        "starts": {
            what: {name: attrs.asdict(starts) for name, starts in by_name.items()}
            for what, by_name in measured.items()
        },
        "resting": resting,
        "published_burst_ms": PUBLISHED_BURST,
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=100, help="and starts of a burst; default 100")
    parser.add_argument("--bursts", type=int, default=3, help="default 3; 0 for none")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="measure the service of another checkout"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    children = {OURS: LocalChild()}
    if options.against:
        children[OTHER] = LocalChild(checkout=options.against)
    children[READY] = LocalChild(ready=min(options.runs, _MOST_READY))
    with temporary_ledger(), ExitStack() as running:
        services = {name: running.enter_context(child) for name, child in children.items()}
        measured, resting = asyncio.run(_run_all(options, services))
    print(table(_HEAD.split("|"), rows(measured)))
    print()
    for name, facts in resting.items():
        print(f"a sandbox at rest, {name}: " + ", ".join(f"{v:.2f} {n}" for n, v in facts.items()))
    print()
    if options.json:
        options.json.write_text(json.dumps(document(measured, resting, options), indent=1))
    reached = targets(measured)
    for target in reached:
        print(target)
    return 1 if options.check and any(target.missed for target in reached) else 0


if __name__ == "__main__":
    sys.exit(main())
