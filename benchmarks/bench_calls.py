"""Benchmark of one call: raw aiohttp, our two packages and the official client.

All of them call the same stub over TLS, in turns, so that other load of the machine affects all of
them alike. Ratios are of CPU time within a round; see the README beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support.clients import OPERATIONS, Client, OurAsync, OurBlocking, RawAiohttp
from support.ledger import temporary_ledger
from support.official import Official, official_python
from support.samples import Sample, Spread, Target, cpu_ratio, table
from support.service import StubService

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ASYNC_MOST = 1.5
BLOCKING_MOST = 1.6
_WARM_UP = 10
_HEAD = (
    "operation|client|wall us|CPU us|requests|connections|CPU / raw aiohttp|CPU / agentbay_async"
)

Samples = dict[str, dict[str, list[Sample]]]


def measure(
    service: StubService, clients: Sequence[Client], options: argparse.Namespace
) -> Samples:
    """Let the clients take turns; who begins changes from round to round."""
    _warm_up(clients, options.operations)
    samples: Samples = {
        operation: {client.name: [] for client in clients} for operation in options.operations
    }
    for number in range(options.rounds):
        first = number % len(clients)
        for operation in options.operations:
            for client in [*clients[first:], *clients[:first]]:
                sample = _counted(service, client, operation, _part(client, options.calls))
                samples[operation][client.name].append(sample)
    return samples


def _warm_up(clients: Sequence[Client], operations: Sequence[str]) -> None:
    for client in clients:
        for operation in operations:
            client.run(operation, _part(client, _WARM_UP))


def _counted(service: StubService, client: Client, operation: str, calls: int) -> Sample:
    before = service.counts()
    sample = client.run(operation, calls)
    after = service.counts()
    return attrs.evolve(
        sample,
        **{name: (after[name] - before[name]) / calls for name in ("requests", "connections")},
    )


def _part(client: Client, calls: int) -> int:
    return max(1, round(calls * client.share))


def rows(samples: Samples) -> Iterator[list[str]]:
    """Yield the table, line by line."""
    for operation, by_client in samples.items():
        for name, measured in by_client.items():
            yield [
                operation,
                name,
                f"{Spread.of([sample.wall for sample in measured]).median * 1e6:,.0f}",
                f"{Spread.of([sample.cpu for sample in measured]).median * 1e6:,.0f}",
                f"{Spread.of([sample.requests for sample in measured]).median:g}",
                f"{Spread.of([sample.connections for sample in measured]).median:g}",
                _against(measured, by_client[RawAiohttp.name], shown=name != RawAiohttp.name),
                _against(measured, by_client[OurAsync.name], shown=name == OurBlocking.name),
            ]


def _against(measured: Sequence[Sample], base: Sequence[Sample], *, shown: bool) -> str:
    return str(cpu_ratio(measured, base)) if shown else ""


def targets(samples: Samples) -> list[Target]:
    """Return what must hold for each operation."""
    return [
        target
        for operation, by_client in samples.items()
        for target in (
            _target(operation, OurAsync.name, RawAiohttp.name, ASYNC_MOST, by_client),
            _target(operation, OurBlocking.name, OurAsync.name, BLOCKING_MOST, by_client),
        )
    ]


def _target(
    operation: str, name: str, base: str, most: float, by_client: dict[str, list[Sample]]
) -> Target:
    measured = cpu_ratio(by_client[name], by_client[base])
    return Target(f"{operation}: {name} / {base}", most, measured)


def document(samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """Return all samples and where they were taken, for the file of ``--json``."""
    return {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "rounds": options.rounds,
        "calls": options.calls,
        "latency": options.latency,
        "operations": {
            operation: {
                name: list(map(attrs.asdict, measured)) for name, measured in by_client.items()
            }
            for operation, by_client in samples.items()
        },
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40, help="default 40")
    parser.add_argument("--calls", type=int, default=50, help="per client and round; default 50")
    parser.add_argument("--latency", type=float, default=0.0, help="of the service, in seconds")
    parser.add_argument(
        "--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS, metavar="OPERATION"
    )
    parser.add_argument("--without-official", action="store_true")
    parser.add_argument(
        "--official-home",
        type=Path,
        default=Path(__file__).parent.parent / ".nox",
        help="where the official client's virtual environment is kept; default .nox",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--check", action="store_true", help="fail when a target is surely missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _options(arguments)
    with temporary_ledger(), StubService() as service, ExitStack() as stack:
        clients = [stack.enter_context(closing(client)) for client in _clients(service, options)]
        service.set_latency(options.latency)
        samples = measure(service, clients, options)
    print(table(_HEAD.split("|"), rows(samples)))
    if options.json:
        options.json.write_text(json.dumps(document(samples, options), indent=1))
    return _verdict(targets(samples), fail=options.check)


def _clients(service: StubService, options: argparse.Namespace) -> Iterator[Client]:
    yield RawAiohttp(service)
    yield OurAsync(service)
    yield OurBlocking(service)
    if not options.without_official:
        python = official_python(options.official_home)
        for flavour in ("sync", "async"):
            yield Official(service, python, flavour)


def _verdict(reached: Sequence[Target], *, fail: bool) -> int:
    print()
    for target in reached:
        print(target)
    return 1 if fail and any(target.missed for target in reached) else 0


if __name__ == "__main__":
    sys.exit(main())
