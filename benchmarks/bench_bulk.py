"""Benchmark of thousands of sessions: `create_many`, raw aiohttp and the official client.

Each job runs in a new process, in turns, against one stub over TLS; see the README.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support.ledger import temporary_ledger
from support.official import Official, official_python
from support.samples import Sample, Spread, Target, cpu_ratio, table, wall_ratio
from support.service import StubService

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BENCHMARKS = Path(__file__).parent
_HEAD = "job|sessions|latency ms|wall s|CPU s|CPU us each|growth MB|peak MB|requests|connections"
_STORED = 10_000


@attrs.frozen
class Cell:
    """One job, as it is measured.

    Attributes:
        job: A method of :class:`support.bulk_program.Job`, or an official client.
        count: How many sessions.
        latency: Of the service, in seconds.
    """

    job: str
    count: int
    latency: float = 0.0


@attrs.frozen
class Figures(Sample):
    """The total time of a job, and its memory in bytes."""

    growth: int = 0
    peak: int = 0
    failed: int = 0


Measured = dict[Cell, list[Figures]]


def cells(*, full: bool) -> list[Cell]:
    """Return the jobs that each round measures."""
    counts = (100, 1000, 10_000) if full else (100, 1000)
    bulk = [
        Cell(job, count, latency)
        for count in counts
        for latency in (0.0, 0.02, 0.3)
        for job in ("raw", "ours", "blocking")
        if latency < 0.3 or (count <= 1000 and job != "blocking")
    ]
    return [*bulk, Cell("gather", 5000), Cell("listing", _STORED)]


def measure(service: StubService, wanted: Sequence[Cell], rounds: int) -> Measured:
    """Let the jobs take turns; every other round goes the other way."""
    figures: Measured = {cell: [] for cell in wanted}
    for number in range(rounds):
        for cell in wanted if number % 2 else reversed(wanted):
            service.set_latency(cell.latency)
            figures[cell].append(_run(service, cell))
    service.set_latency(0.0)
    return figures


def _run(service: StubService, cell: Cell) -> Figures:
    before = service.counts()
    program = [sys.executable, "-m", "support.bulk_program"]
    done = subprocess.run(
        [*program, cell.job, service.url, service.trusted, str(cell.count)],
        env={**os.environ, "PYTHONPATH": str(_BENCHMARKS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{cell}: {done.stderr[-2000:]}")
    after = service.counts()
    # One request is the job's own, before its clocks begin.
    counted = {"requests": -1, "connections": 0}
    return Figures(
        **json.loads(done.stdout),
        **{name: after[name] - before[name] + more for name, more in counted.items()},
    )


def measure_official(service: StubService, python: Path, rounds: int) -> Measured:
    """Let the official clients make as many as they can in bearable time."""
    figures: Measured = {}
    for flavour, count in (("async", 100), ("sync", 1000)):
        with closing(Official(service, python, flavour)) as client:
            measured = [client.run("bulk", count) for _ in range(rounds)]
        cell = Cell(client.name, count)
        figures[cell] = [Figures(one.wall * count, one.cpu * count) for one in measured]
    return figures


def rows(figures: Measured) -> Iterator[list[str]]:
    """Yield the table, line by line."""
    for cell, measured in figures.items():
        cpu = Spread.of([one.cpu for one in measured]).median
        yield [
            cell.job,
            f"{cell.count:,}",
            f"{cell.latency * 1000:g}",
            f"{Spread.of([one.wall for one in measured]).median:.2f}",
            f"{cpu:.2f}",
            f"{cpu / cell.count * 1e6:,.0f}",
            f"{Spread.of([one.growth for one in measured]).median / 1e6:.1f}",
            f"{Spread.of([one.peak for one in measured]).median / 1e6:.0f}",
            f"{Spread.of([one.requests for one in measured]).median:.0f}",
            f"{Spread.of([one.connections for one in measured]).median:.0f}",
        ]


def targets(figures: Measured) -> list[Target]:
    """Return what must hold."""
    reached = list(_ratios(figures))
    for cell, measured in figures.items():
        if cell.job == "listing":
            requests = Spread.of([one.requests for one in measured])
            growth = Spread.of([one.growth / 1e6 for one in measured])
            reached.append(Target("list of 10,000: requests", 100, requests))
            reached.append(Target("list of 10,000: growth, MB", 3, growth))
        if cell.job == "gather":
            failed = Spread.of([one.failed for one in measured])
            peak = Spread.of([one.peak / 1e6 for one in measured])
            reached.append(Target("5,000 creates by gather: failures", 0, failed))
            reached.append(Target("5,000 creates by gather: peak, MB", 160, peak))
    return [*reached, *_against_official(figures), *_flat(figures)]


def _ratios(figures: Measured) -> Iterator[Target]:
    for cell, measured in figures.items():
        base = figures.get(attrs.evolve(cell, job="raw"))
        if cell.job == "ours" and base and cell.count >= 1000:
            what = f"create_many {cell.count:,} at {cell.latency * 1000:g} ms"
            yield Target(f"{what}: CPU / raw aiohttp", 1.35, cpu_ratio(measured, base))
        ours = figures.get(attrs.evolve(cell, job="ours"))
        if cell.job == "blocking" and ours and cell.count >= 1000:
            what = f"blocking create_many {cell.count:,} at {cell.latency * 1000:g} ms"
            yield Target(f"{what}: CPU / ours", 1.35, cpu_ratio(measured, ours))
            if cell.latency:
                yield Target(f"{what}: wall / ours", 1.03, wall_ratio(measured, ours))


def _flat(figures: Measured) -> Iterator[Target]:
    """Yield how the CPU of one session grows with their number, connections left aside.

    What the first hundred cost, a connection each, is measured off both sides.
    """
    by_count = {c.count: f for c, f in figures.items() if c.job == "ours" and not c.latency}
    if {100, 1000, 10_000} <= by_count.keys():
        spans = zip(by_count[100], by_count[1000], by_count[10_000], strict=True)
        grown = [((c.cpu - b.cpu) / 9000) / ((b.cpu - a.cpu) / 900) for a, b, c in spans]
        yield Target("CPU a session, 10,000 / 1,000", 1.15, Spread.of(grown))


def _against_official(figures: Measured) -> Iterator[Target]:
    """Yield our time for each session in hundredths of the official one's."""
    for name, times in (("official async", 100), ("official sync", 5)):
        for cell, measured in figures.items():
            if cell.job == name:
                ours = figures[Cell("ours", 1000)]
                pairs = zip(ours, measured, strict=False)
                parts = [one.wall / 1000 / (two.wall / cell.count) * 100 for one, two in pairs]
                yield Target(f"create_many / {name}: wall, %", 100 / times, Spread.of(parts))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--quick", action="store_true", help="leave the 10,000 out")
    parser.add_argument("--without-official", action="store_true")
    parser.add_argument(
        "--official-home",
        type=Path,
        default=_BENCHMARKS.parent / ".nox",
        help="where the official client's virtual environment is kept; default .nox",
    )
    parser.add_argument(
        "--official-python",
        type=Path,
        default=os.environ.get("OFFICIAL_PYTHON"),
        help="an interpreter that has the official client; default $OFFICIAL_PYTHON",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    with temporary_ledger(), StubService(_STORED) as service:
        figures = measure(service, cells(full=not options.quick), options.rounds)
        if not options.without_official:
            python = options.official_python or official_python(options.official_home)
            figures |= measure_official(service, Path(python), options.rounds)
    print(table(_HEAD.split("|"), rows(figures)))
    print()
    reached = targets(figures)
    for target in reached:
        print(target)
    if options.json:
        options.json.write_text(json.dumps(_document(figures), indent=1))
    return 1 if options.check and any(target.missed for target in reached) else 0


def _document(figures: Measured) -> list[dict[str, Any]]:
    return [
        {**attrs.asdict(cell), "figures": list(map(attrs.asdict, measured))}
        for cell, measured in figures.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
