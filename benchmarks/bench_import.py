"""Benchmark of importing: both packages against their dependencies, in new interpreters.

The cases take turns, each in a new interpreter. See the README beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support.samples import Sample, Spread, Target, cpu_ratio, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BARE = "bare python"
THREE = "attrs, cattrs, anyio"
FOUR = "the three and aiohttp"
ASYNC = "import agentbay_async"
BLOCKING = "import agentbay"
NAMES = "from agentbay import two names"
ASYNC_CLIENT = "agentbay_async, client made"
BLOCKING_CLIENT = "agentbay, client made"

_CLIENT = '(api_key="akm-0", endpoint="https://127.0.0.1:1")'
CASES = {
    BARE: "",
    THREE: "import attrs, cattrs, anyio",
    FOUR: "import attrs, cattrs, anyio, aiohttp",
    ASYNC: "import agentbay_async",
    BLOCKING: "import agentbay",
    NAMES: "from agentbay import AgentBay, CreateSessionParams",
    ASYNC_CLIENT: f"import agentbay_async; agentbay_async.AsyncAgentBay{_CLIENT}",
    BLOCKING_CLIENT: f"import agentbay; agentbay.AgentBay{_CLIENT}",
}
IMPORT_MOST = 1.6
CLIENT_MOST = 1.25

# Appended to a case: the resources of the interpreter at its end.
_REPORT = """
import json, resource, sys, threading
try:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "modules": len(sys.modules), "threads": threading.active_count(), "peak": peak,
    "aiohttp": "aiohttp" in sys.modules,
}))
"""

Samples = dict[str, list[Sample]]


@attrs.frozen
class Footprint:
    """The resources of an interpreter after a case.

    Attributes:
        modules: The number of loaded modules; the report itself loads a few.
        threads: The number of Python threads.
        peak: The peak of its memory, in KiB.
        aiohttp: Whether aiohttp is loaded.
        files: Files that appeared in the working directory.
    """

    modules: int
    threads: int
    peak: int
    aiohttp: bool
    files: int


class Interpreters:
    """Fresh interpreters in an empty directory, with no settings of AgentBay around them."""

    def __init__(self, environment: str) -> None:
        self._directory = environment
        inherited = {
            key: text for key, text in os.environ.items() if not key.startswith("AGENTBAY_")
        }
        self._env = {**inherited, "HOME": environment}

    def measure(self, code: str) -> Sample:
        """Run `code` and return the time of the whole process."""
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        self._run(code)
        wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(wall, cpu)

    def inspect(self, code: str) -> Footprint:
        """Run `code` and return the resources of the interpreter at its end."""
        report: dict[str, Any] = json.loads(self._run(code + _REPORT))
        return Footprint(**report, files=len(os.listdir(self._directory)))

    def _run(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self._directory,
            env=self._env,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout


def measure(interpreters: Interpreters, rounds: int) -> Samples:
    """Let the cases take turns; each round starts with another case."""
    samples: Samples = {name: [] for name in CASES}
    names = list(CASES)
    for number in range(rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            samples[name].append(interpreters.measure(CASES[name]))
    return samples


def over_bare(measured: Sequence[Sample], bare: Sequence[Sample]) -> list[Sample]:
    """Return the samples less the cost of an interpreter that does nothing."""
    return [
        Sample(mine.wall - empty.wall, mine.cpu - empty.cpu)
        for mine, empty in zip(measured, bare, strict=True)
    ]


def rows(samples: Samples, footprints: dict[str, Footprint]) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for name, measured in samples.items():
        footprint = footprints[name]
        yield [
            name,
            f"{Spread.of([sample.wall for sample in measured]).median * 1e3:.0f}",
            f"{Spread.of([sample.cpu for sample in measured]).median * 1e3:.0f}",
            str(cpu_ratio(measured, samples[THREE])),
            str(cpu_ratio(measured, samples[FOUR])),
            f"{footprint.peak / 1024:.1f}",
            str(footprint.modules),
            str(footprint.threads),
            "yes" if footprint.aiohttp else "no",
            str(footprint.files),
        ]


def targets(samples: Samples) -> list[Target]:
    """Return the targets: ratios of whole processes, with the start of the interpreter."""
    ratios = [
        (ASYNC, THREE, IMPORT_MOST),
        (BLOCKING, THREE, IMPORT_MOST),
        (ASYNC_CLIENT, FOUR, CLIENT_MOST),
        (BLOCKING_CLIENT, FOUR, CLIENT_MOST),
    ]
    return [
        Target(f"{name} / {base}", most, cpu_ratio(samples[name], samples[base]))
        for name, base, most in ratios
    ]


def net_ratios(samples: Samples) -> Iterator[str]:
    """Yield the ratios without the start of the interpreter, for information."""
    for name, base in ((BLOCKING, THREE), (ASYNC_CLIENT, FOUR), (BLOCKING_CLIENT, FOUR)):
        these, those = (over_bare(samples[which], samples[BARE]) for which in (name, base))
        yield f"over bare python  {name} / {base}: {cpu_ratio(these, those)}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20, help="default 20")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="agentbay-bench-") as environment:
        interpreters = Interpreters(environment)
        # This also writes missing .pyc files, before anything is measured.
        footprints = {name: interpreters.inspect(code) for name, code in CASES.items()}
        samples = measure(interpreters, options.rounds)
    head = "process|wall ms|CPU ms|CPU / three|CPU / four|RSS MiB|modules|threads|aiohttp|files"
    print(table(head.split("|"), rows(samples, footprints)), end="\n\n")
    if options.json:
        measured = {name: list(map(attrs.asdict, each)) for name, each in samples.items()}
        options.json.write_text(json.dumps(measured, indent=1))
    reached = targets(samples)
    print(*reached, *net_ratios(samples), sep="\n")
    return 1 if options.check and any(target.missed for target in reached) else 0


if __name__ == "__main__":
    sys.exit(main())
