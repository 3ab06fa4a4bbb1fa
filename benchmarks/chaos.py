"""Chaos test: do what can go wrong on purpose, and report what was lost by it.

Prints one line for each scenario, and what was wrong in it. Exits with 1 if a goal is missed: no
session is left that nobody holds and no warning names, no byte is lost after a success, no call
ends after its deadline, every error is typed, nothing else is wrong. The README beside this file
describes the scenarios.
"""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.chaos.fork_server import ForkServer
from support.chaos.registry import SCENARIOS, run_scenario
from support.ledger import temporary_ledger
from support.samples import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from support.chaos.scenario import Tally

_HEAD = "scenario|verdict|runs|unheld|unheld but named|bytes lost|s past deadline|untyped errors"
_SHOWN = 20


def report(tallies: Mapping[str, Tally]) -> str:
    """Return the table, then what was wrong."""
    lines = [table(_HEAD.split("|"), [_row(name, tally) for name, tally in tallies.items()])]
    for name, tally in tallies.items():
        if tally.skipped:
            lines.append(f"\n{name} was skipped: {tally.skipped}")
        wrong = [f"a session is left: {one}" for one in tally.unheld]
        wrong += [f"not an error of the library: {one}" for one in tally.untyped]
        wrong += tally.problems
        if wrong:
            lines.append(f"\n{name}: {len(wrong)} things are wrong")
            lines.extend(f"    {one}" for one in wrong[:_SHOWN])
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> list[str]:
    verdict = "skipped" if tally.skipped and not tally.runs else "met" if tally.ok else "MISSED"
    return [
        name,
        verdict,
        f"{tally.runs:,}",
        f"{len(tally.unheld):,}",
        f"{tally.named:,}",
        f"{tally.bytes_lost:,}",
        f"{tally.past_deadline:.1f}",
        f"{len(tally.untyped):,}",
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--scenario",
        action="append",
        choices=list(SCENARIOS),
        help="may be repeated; default: all, in turns",
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="for all of them; default 5")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--size", type=int, default=60, help="sessions of a bulk run; default 60")
    parser.add_argument("--workers", type=int, default=32, help="of the storm; default 32")
    parser.add_argument("--speed", type=float, default=20.0, help="of its clock; default 20")
    parser.add_argument(
        "--isolation",
        default="namespaces",
        choices=["namespaces", "landlock", "none"],
        help="of sessions that run commands; default namespaces, 'none' needs nothing",
    )
    parser.add_argument("--verbose", action="store_true", help="show the counts of the storm")
    return parser.parse_args(arguments)


@contextmanager
def _quiet() -> Iterator[None]:
    """Log less: faults are injected on purpose."""
    client, service = logging.getLogger("agentbay"), logging.getLogger("agentbay_local")
    before = client.propagate, service.level
    client.propagate = False
    # Its own errors are still logged.
    service.setLevel(logging.ERROR)
    try:
        yield
    finally:
        client.propagate = before[0]
        service.setLevel(before[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios, print the losses, and return the exit code."""
    options = _options(arguments)
    names = options.scenario or list(SCENARIOS)
    tallies = {}
    with _quiet(), temporary_ledger(), ForkServer() as fork_server:
        for name in names:
            tallies[name] = run_scenario(
                SCENARIOS[name],
                fork_server,
                seed=options.seed,
                seconds=options.minutes * 60 / len(names),
                size=options.size,
                isolation=options.isolation,
                workers=options.workers,
                speed=options.speed,
            )
            if options.verbose:
                print("\n".join(tallies[name].notes), flush=True)
    print(f"seed {options.seed}, {options.minutes:g} minutes\n")
    print(report(tallies))
    return 0 if all(tally.ok for tally in tallies.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
