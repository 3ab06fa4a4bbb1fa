"""Measure attacks on the local service: how long others wait, and how much memory it takes.

Each attack of `support.attacks` has a service of its own, in which another session calls the
service all the time. See the README beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import support.file_attacks  # noqa: F401 - its attacks join the others
from support.attack_run import Outcome, measure_attacks
from support.attacks import ATTACKS
from support.ledger import temporary_ledger
from support.samples import Spread, Target, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SILENCE_MS = 250
MEMORY_MB = 200
_HEAD = "attack|level|calls of another session|longest ms|median ms|memory MB"


def rows(outcomes: Iterable[Outcome], isolation: str) -> Iterator[list[str]]:
    """Yield the table."""
    for one in outcomes:
        waits = [f"{seconds * 1e3:,.0f}" for seconds in (one.silence, one.median)]
        yield [one.name, isolation, f"{one.calls:,}", *waits, f"{one.memory:,.0f}"]


def targets(outcomes: Iterable[Outcome]) -> Iterator[Target]:
    """Yield the targets."""
    for one in outcomes:
        silence, memory = (Spread.of([figure]) for figure in (one.silence * 1e3, one.memory))
        yield Target(f"{one.name}: silence, ms", SILENCE_MS, silence)
        yield Target(f"{one.name}: memory, MB", MEMORY_MB, memory)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "attacks", nargs="*", metavar="ATTACK", help="some of: " + ", ".join(ATTACKS)
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each attack; default 5")
    parser.add_argument("--isolation", default="namespaces", help="or landlock")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    options = parser.parse_args(arguments)
    if unknown := set(options.attacks) - set(ATTACKS):
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    with temporary_ledger():
        outcomes = [
            outcome
            for name in options.attacks or ATTACKS
            for outcome in measure_attacks([name], options.seconds, options.isolation)
        ]
    print(table(_HEAD.split("|"), rows(outcomes, options.isolation)))
    print()
    reached = list(targets(outcomes))
    for target in reached:
        print(target)
    if options.json:
        options.json.write_text(json.dumps(list(map(attrs.asdict, outcomes)), indent=1))
    return 1 if options.check and any(target.missed for target in reached) else 0


if __name__ == "__main__":
    sys.exit(main())
