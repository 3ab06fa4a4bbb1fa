"""Benchmark work in a session against plain processes and files of the same machine.

A plain process, a running sandbox without HTTP, and a session of the local service (in a child
process) do the same steps in turns. Ratios compare wall-clock time within a round, because most of
the work happens in other processes. See the README beside this file.
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

from support.environments import ECHO, STEPS, Environment, InSandbox, OverHttp, Plain
from support.ledger import temporary_ledger
from support.local import LocalChild
from support.samples import Sample, Spread, Target, table, wall_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from support.environments import Step

SANDBOX_MOST = 2.0
HTTP_MOST = 4.0
_HEAD = "step|environment|wall ms|p10|p90|times plain"

Samples = dict[str, dict[str, list[Sample]]]


async def measure(
    environments: Sequence[Environment], rounds: int, steps: Mapping[str, int]
) -> Samples:
    """Measure the environments in turns; the first one changes from round to round."""
    samples: Samples = {step: {} for step in steps}
    # The first round warms up: imports, pools, what the system keeps of programs.
    for number in range(-1, rounds):
        first = number % len(environments)
        for step, calls in steps.items():
            for environment in [*environments[first:], *environments[:first]]:
                if step in environment.steps:
                    measured = await _timed(environment.steps[step], calls)
                    if number >= 0:
                        samples[step].setdefault(environment.name, []).append(measured)
    return samples


async def _timed(step: Step, calls: int) -> Sample:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        await step()
    return Sample((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)


def rows(samples: Samples) -> Iterator[list[str]]:
    """Yield the table, line by line."""
    for step, by_environment in samples.items():
        for name in (Plain.name, InSandbox.name, OverHttp.name):
            if measured := by_environment.get(name):
                spread = Spread.of([sample.wall * 1e3 for sample in measured])
                ratio = wall_ratio(measured, by_environment[Plain.name])
                figures = [f"{value:,.2f}" for value in (spread.median, spread.p10, spread.p90)]
                yield [step, name, *figures, "" if name == Plain.name else str(ratio)]


def targets(samples: Samples) -> list[Target]:
    """Return the targets."""
    by_environment = samples.get(ECHO, {})
    return [
        Target(
            f"{ECHO}: {name} / plain",
            most,
            wall_ratio(by_environment[name], by_environment[Plain.name]),
        )
        for name, most in ((InSandbox.name, SANDBOX_MOST), (OverHttp.name, HTTP_MOST))
        if name in by_environment
    ]


def document(samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """Return all samples and where they were taken, for the file of ``--json``."""
    return {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "rounds": options.rounds,
        "steps": {
            step: {
                name: list(map(attrs.asdict, measured)) for name, measured in by_environment.items()
            }
            for step, by_environment in samples.items()
        },
    }


async def _run_all(options: argparse.Namespace, directory: Path, service: LocalChild) -> Samples:
    environments: list[Environment] = [Plain(directory), InSandbox(directory), OverHttp(service)]
    steps = {step: calls for step, calls in STEPS.items() if not _is_excluded(step, options)}
    try:
        return await measure(environments, options.rounds, steps)
    finally:
        for environment in environments:
            await environment.close()


def _is_excluded(step: str, options: argparse.Namespace) -> bool:
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
        temporary_ledger(),
        tempfile.TemporaryDirectory(prefix="agentbay-bench-") as home,
        LocalChild() as service,
    ):
        samples = asyncio.run(_run_all(options, Path(home), service))
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
