"""Benchmark many sessions on the local service: 1,000 with sandboxes, 100,000 stored.

The first part creates sessions, runs commands in all of them and deletes them, and measures the
resources and the leftovers. The second part makes the same calls to three services with different
numbers of stored sessions, in turns. See the README beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support.ledger import temporary_ledger
from support.local import LocalChild
from support.many_sessions import MEMORY, ManySessions, measure_many_sessions
from support.samples import Sample, Spread, Target, cpu_ratio, table
from support.stored_sessions import StoredSessions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CALLS = 10
_SMALLEST = 100
_FLAT = 1.3
_LIVE_HEAD = "step|wall s|each second|p50 ms|p99 ms|service CPU s|healthz p50 ms|p99 ms|max ms"
_STORED_HEAD = "call|stored|wall us|CPU us|p10|p90|CPU / the smallest"

Samples = dict[str, dict[int, list[Sample]]]


async def measure_stored_sessions(sizes: Sequence[int], rounds: int) -> Samples:
    """Measure services with different numbers of stored sessions in turns."""
    samples: Samples = {}
    with ExitStack() as services:
        async with AsyncExitStack() as closing:
            stores = []
            for size in sizes:
                store = StoredSessions(services.enter_context(LocalChild()), size)
                closing.push_async_callback(store.close)
                await store.prepare()
                stores.append(store)
            # The first round warms up.
            for number in range(-1, rounds):
                await _round(stores, number, samples)
    return samples


async def _round(stores: list[StoredSessions], number: int, samples: Samples) -> None:
    """Make every call to every service; the first one changes from round to round."""
    first = number % len(stores)
    for name in stores[0].calls:
        for store in [*stores[first:], *stores[:first]]:
            measured = await store.timed(name, _CALLS)
            if number >= 0:
                samples.setdefault(name, {}).setdefault(store.stored, []).append(measured)


def live_rows(run: ManySessions, count: int) -> Iterator[list[str]]:
    """Yield the table of sessions with sandboxes."""
    for phase in run.phases:
        p50, p99 = (_percentile(phase.each, part) for part in (0.5, 0.99))
        latency = [f"{p50:,.1f}", f"{p99:,.1f}"] if phase.each else ["", ""]
        health = [f"{_percentile(phase.health, part):,.1f}" for part in (0.5, 0.99, 1)]
        rate = f"{count / phase.wall:,.0f}"
        yield [phase.name, f"{phase.wall:.1f}", rate, *latency, f"{phase.cpu:.1f}", *health]


def _percentile(seconds: Sequence[float], part: float) -> float:
    """Return a percentile in milliseconds; `part` is between 0 and 1."""
    ordered = sorted(seconds) or [0.0]
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1e3


def live_targets(run: ManySessions) -> list[Target]:
    """Return the targets for sessions with sandboxes."""
    failed = sum(phase.failed for phase in run.phases)
    health = max(_percentile(phase.health, 0.99) for phase in run.phases)
    return [
        Target("steps that failed", 0, Spread.of([failed])),
        *(Target(f"{name} left", 0, Spread.of([n])) for name, n in run.left.items()),
        Target("healthz, p99 of the worst step, ms", 1000, Spread.of([health])),
        Target(MEMORY, 20, Spread.of([run.facts[MEMORY]])),
    ]


def stored_rows(samples: Samples) -> Iterator[list[str]]:
    """Yield the table of the stored sessions."""
    for name, by_size in samples.items():
        smallest = by_size[min(by_size)]
        for size, measured in by_size.items():
            wall = Spread.of([sample.wall * 1e6 for sample in measured])
            cpu = Spread.of([sample.cpu * 1e6 for sample in measured])
            values = (wall.median, cpu.median, cpu.p10, cpu.p90)
            figures = [f"{value:,.0f}" for value in values]
            ratio = "" if measured is smallest else str(cpu_ratio(measured, smallest))
            yield [name, f"{size:,}", *figures, ratio]


def stored_targets(samples: Samples) -> list[Target]:
    """Return the targets for stored sessions."""
    return [
        Target(
            f"{name}: {max(by_size):,} stored / {min(by_size):,}",
            _FLAT,
            cpu_ratio(by_size[max(by_size)], by_size[min(by_size)]),
        )
        for name, by_size in samples.items()
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sandboxes", type=int, default=1000, help="that live; 0 for none")
    parser.add_argument("--stored", type=int, default=100_000, help="in the largest store")
    parser.add_argument("--rounds", type=int, default=15, help="default 15")
    parser.add_argument("--quick", action="store_true", help="100 that live, 10,000 stored")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    count = min(options.sandboxes, 100) if options.quick else options.sandboxes
    stored = min(options.stored, 10_000) if options.quick else options.stored
    figures: dict[str, Any] = {}
    reached: list[Target] = []
    if count:
        with temporary_ledger():
            run = asyncio.run(measure_many_sessions(count))
        print(table(_LIVE_HEAD.split("|"), live_rows(run, count)))
        print()
        print("\n".join(f"{figure:8.1f}  {name}" for name, figure in run.facts.items()))
        reached += live_targets(run)
        figures["live"] = {
            "phases": list(map(attrs.asdict, run.phases)),
            "facts": run.facts,
            "left": run.left,
        }
    if stored:
        samples = asyncio.run(measure_stored_sessions(_sizes(stored), options.rounds))
        print()
        print(table(_STORED_HEAD.split("|"), stored_rows(samples)))
        reached += stored_targets(samples)
        figures["stored"] = {
            name: {size: list(map(attrs.asdict, measured)) for size, measured in by_size.items()}
            for name, by_size in samples.items()
        }
    print()
    for target in reached:
        print(target)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 1 if options.check and any(target.missed for target in reached) else 0


def _sizes(largest: int) -> list[int]:
    return sorted({min(_SMALLEST, largest), max(1, largest // 10), largest})


if __name__ == "__main__":
    sys.exit(main())
