"""What work in a session costs: against plain processes and plain files of the same machine.

A plain process, a live sandbox without HTTP, and a session of the local service (in a process of
its own) do the same steps in turns. Ratios are of wall clock within a round: what a session costs
is mostly spent in processes that are not ours. See the README beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support.ledger import own_ledger
from support.local import LocalChild
from support.places import ECHO, STEPS, InSandbox, OverHttp, Place, Plain
from support.samples import Sample, Spread, Target, table, wall_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from support.places import Step

SANDBOX_MOST = 2.0
HTTP_MOST = 4.0
_HEAD = "step|place|wall ms|p10|p90|times plain"

Samples = dict[str, dict[str, list[Sample]]]


async def measure(places: Sequence[Place], rounds: int, steps: Mapping[str, int]) -> Samples:
    """Let the places take turns; who begins changes from round to round."""
    samples: Samples = {step: {} for step in steps}
    # The first round warms up: imports, pools, what the system keeps of programs.
    for number in range(-1, rounds):
        first = number % len(places)
        for step, calls in steps.items():
            for place in [*places[first:], *places[:first]]:
                if step in place.steps:
                    taken = await _timed(place.steps[step], calls)
                    if number >= 0:
                        samples[step].setdefault(place.name, []).append(taken)
    return samples


async def _timed(step: Step, calls: int) -> Sample:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        await step()
    return Sample((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)


def rows(samples: Samples) -> Iterator[list[str]]:
    """Yield the table, line by line."""
    for step, by_place in samples.items():
        for name in (Plain.name, InSandbox.name, OverHttp.name):
            if taken := by_place.get(name):
                spread = Spread.of([sample.wall * 1e3 for sample in taken])
                ratio = wall_ratio(taken, by_place[Plain.name])
                figures = [f"{value:,.2f}" for value in (spread.median, spread.p10, spread.p90)]
                yield [step, name, *figures, "" if name == Plain.name else str(ratio)]


def targets(samples: Samples) -> list[Target]:
    """Return what must hold."""
    by_place = samples.get(ECHO, {})
    return [
        Target(f"{ECHO}: {name} / plain", most, wall_ratio(by_place[name], by_place[Plain.name]))
        for name, most in ((InSandbox.name, SANDBOX_MOST), (OverHttp.name, HTTP_MOST))
        if name in by_place
    ]


def document(samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """Return all samples and where they were taken, for the file of ``--json``."""
    return {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "rounds": options.rounds,
        "steps": {
            step: {name: list(map(attrs.asdict, taken)) for name, taken in by_place.items()}
            for step, by_place in samples.items()
        },
    }


async def _compared(options: argparse.Namespace, directory: Path, service: LocalChild) -> Samples:
    places: list[Place] = [Plain(directory), InSandbox(directory), OverHttp(service)]
    steps = {step: calls for step, calls in STEPS.items() if not _left_out(step, options)}
    try:
        return await measure(places, options.rounds, steps)
    finally:
        for place in places:
            await place.close()


def _left_out(step: str, options: argparse.Namespace) -> bool:
    return ("100 MiB" in step and options.without_large) or (
        "run_code" in step and options.without_code
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10, help="default 10")
    parser.add_argument("--without-large", action="store_true", help="leave 100 MiB out")
    parser.add_argument(
        "--without-code", action="store_true", help="leave run_code out, which needs IPython"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    with (
        own_ledger(),
        tempfile.TemporaryDirectory(prefix="agentbay-bench-") as home,
        LocalChild() as service,
    ):
        samples = asyncio.run(_compared(options, Path(home), service))
    print(table(_HEAD.split("|"), rows(samples)))
    print()
    if options.json:
        options.json.write_text(json.dumps(document(samples, options), indent=1))
    reached = targets(samples)
    for target in reached:
        print(target)
    return 1 if options.check and any(target.missed for target in reached) else 0


if __name__ == "__main__":
    sys.exit(main())
