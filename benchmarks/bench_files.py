"""Benchmark files of a session against files of the same machine.

Files are written and read by the tools, and uploaded and downloaded through the store. Plain files,
a session of the local service, and one of another checkout (client and service) do the same in
turns, each in a process of its own. See the README beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support import host
from support.child import LineChild
from support.host import forget_peak, status_bytes
from support.ledger import temporary_ledger
from support.local import LocalChild
from support.samples import Sample, Spread, Target, table, wall_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLAIN, OURS, OTHER = "plain", "agentbay", "other checkout"
_MIB = 1024**2
_MOST_MS = {"write 1 MiB": 8.0, "read 1 MiB": 8.0, "write 100 MiB": 500.0, "read 100 MiB": 500.0}
_HEAD = "step|contestant|wall ms|p10|p90|CPU ms|client +MB|service +MB|times plain"
_HERE = Path(__file__).parent


@attrs.frozen
class Step:
    """Work to do.

    Attributes:
        work: ``"write"``, ``"read"``, ``"upload"`` or ``"download"``.
        mib: The size of the file in MiB.
        calls: How often, in one round.
    """

    work: str
    mib: int
    calls: int = 1

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.work} {self.mib} MiB"


@attrs.frozen
class Measured:
    """What a step cost in one round, for each call.

    Attributes:
        sample: Seconds, and those of CPU of client and service together.
        client: Bytes by which the client grew at most.
        service: Bytes by which the service grew at most.
    """

    sample: Sample
    client: float
    service: float


class Contestant:
    """A program that does the steps, and the service behind it."""

    def __init__(self, name: str, child: LineChild, service: LocalChild | None) -> None:
        self.name = name
        self._child = child
        self._service = service
        child.read_line()

    def do(self, step: Step, path: Path) -> Measured:
        """Do a step."""
        pid = self._service.pid if self._service is not None else None
        before = (status_bytes(pid, "VmRSS"), host.cpu(pid)) if pid else (0, 0.0)
        if pid:
            forget_peak(pid)
        asked = {"work": step.work, "size": step.mib * _MIB, "calls": step.calls, "path": str(path)}
        done = self._child.ask(asked, timeout=600)
        after = (status_bytes(pid, "VmHWM"), host.cpu(pid)) if pid else (0, 0.0)
        cpu = done["cpu"] + (after[1] - before[1]) / step.calls
        return Measured(Sample(done["wall"], cpu), done["grown"], after[0] - before[0])

    def close(self) -> None:
        """End the program."""
        self._child.close()


Samples = dict[str, dict[str, list[Measured]]]


def measure(
    contestants: Sequence[Contestant], steps: Sequence[Step], rounds: int, directory: Path
) -> Samples:
    """Measure contestants in turns; the first one changes from round to round."""
    largest = max((step.mib for step in steps if step.work == "upload"), default=0)
    source, target = directory / "source", directory / "target"
    with source.open("wb") as file:
        for _ in range(largest):
            file.write(os.urandom(_MIB))
    samples: Samples = {step.name: {} for step in steps}
    for number in range(-1, rounds):
        first = number % len(contestants)
        for step in steps:
            if number < 0 and step.mib > 1:
                continue  # the round that warms up
            for one in [*contestants[first:], *contestants[:first]]:
                measured = one.do(step, source if step.work == "upload" else target)
                if number >= 0:
                    samples[step.name].setdefault(one.name, []).append(measured)
    return samples


def rows(samples: Samples) -> Iterator[list[str]]:
    """Yield the table, line by line."""
    for step, by_name in samples.items():
        for name, measured in by_name.items():
            wall = Spread.of([one.sample.wall * 1e3 for one in measured])
            cpu = Spread.of([one.sample.cpu * 1e3 for one in measured])
            figures = [f"{value:,.1f}" for value in (wall.median, wall.p10, wall.p90, cpu.median)]
            grown = [
                f"{max(getattr(one, side) for one in measured) / 1e6:,.0f}"
                for side in ("client", "service")
            ]
            yield [
                step,
                name,
                *figures,
                *grown,
                "" if name == PLAIN else str(_ratio(by_name, name)),
            ]


def _ratio(by_name: dict[str, list[Measured]], name: str) -> Spread:
    return wall_ratio(*([one.sample for one in by_name[side]] for side in (name, PLAIN)))


def targets(samples: Samples) -> list[Target]:
    """Return the targets, in milliseconds."""
    return [
        Target(
            f"{step}, ms",
            most,
            Spread.of([one.sample.wall * 1e3 for one in samples[step][OURS]]),
        )
        for step, most in _MOST_MS.items()
        if step in samples
    ]


def document(samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """Return all samples and where they were taken, for the file of ``--json``."""
    return {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "rounds": options.rounds,
        "steps": {
            step: {name: list(map(attrs.asdict, found)) for name, found in by_name.items()}
            for step, by_name in samples.items()
        },
    }


def _contestants(running: ExitStack, directory: Path, other: Path | None) -> list[Contestant]:
    plain = directory / PLAIN
    plain.mkdir()
    found = [Contestant(PLAIN, _program(None, str(plain)), None)]
    for name, checkout in {OURS: None, **({OTHER: other} if other else {})}.items():
        service = running.enter_context(LocalChild(checkout=checkout))
        child = _program(checkout, service.endpoint, service.api_key)
        found.append(Contestant(name, child, service))
    for one in found:
        running.callback(one.close)
    return found


def _program(checkout: Path | None, *arguments: str) -> LineChild:
    path = {} if checkout is None else {"PYTHONPATH": f"{_HERE}{os.pathsep}{checkout / 'src'}"}
    return LineChild.of_module("support.file_program", *arguments, **path)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument(
        "--transfer", type=int, default=1024, metavar="MIB", help="size to upload; 0 for none"
    )
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="measure another checkout as well"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    steps = [Step("write", 1, 20), Step("read", 1, 20), Step("write", 100), Step("read", 100)]
    if options.transfer:
        steps += [Step("upload", options.transfer), Step("download", options.transfer)]
    with (
        temporary_ledger(),
        tempfile.TemporaryDirectory(prefix="agentbay-bench-") as home,
        ExitStack() as running,
    ):
        contestants = _contestants(running, Path(home), options.against)
        samples = measure(contestants, steps, options.rounds, Path(home))
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
