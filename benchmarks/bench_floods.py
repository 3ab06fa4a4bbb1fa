"""Measure floods of a session: what stopped each, and the most that the session took.

Each flood of `tests.sandbox.floods` runs in a session of its own, beside another that must go on.
See the README beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from support.samples import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ROOT = Path(__file__).parents[1]
_PROGRAM = "tests.sandbox.run_floods"
_LEVELS = ("namespaces", "landlock")
_ENFORCERS = ("kernel", "watched")
_HEAD = "flood|level|enforced by|memory MB|disk MB|files|others go on|stopped by"
_STOPPED_LENGTH = 60
_WITHIN = 900


@attrs.frozen
class Run:
    """The floods at one level of isolation.

    Attributes:
        level: The level.
        enforcer: Who enforces the limits: "kernel" or "watched".
        outcomes: What `tests.sandbox.run_floods` prints.
    """

    level: str
    enforcer: str
    outcomes: dict[str, dict[str, Any]]


def run_floods(level: str, enforcer: str, names: Sequence[str]) -> Run:
    """Run floods in a process of their own.

    Raises:
        subprocess.CalledProcessError: They cannot run here; stderr says why.
    """
    with tempfile.TemporaryDirectory(prefix="agentbay-bench-") as directory:
        # The users of the sessions must reach it.
        Path(directory).chmod(0o711)
        done = subprocess.run(
            [sys.executable, "-m", _PROGRAM, directory, "0", level, enforcer, *names],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            timeout=_WITHIN,
            check=True,
        )
    return Run(level, enforcer, json.loads(done.stdout))


def rows(runs: Sequence[Run]) -> Iterator[list[str]]:
    """Yield the table."""
    for run in runs:
        for name, one in run.outcomes.items():
            peak = one["peak"]
            sizes = [f"{peak[key] / 1e6:,.0f}" for key in ("memory_bytes", "disk_bytes")]
            go_on = "yes" if one["others_go_on"] else "NO"
            told = " ".join(one["told"].split())[-_STOPPED_LENGTH:]
            yield [name, run.level, run.enforcer, *sizes, f"{peak['files']:,}", go_on, told]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help="default: all")
    parser.add_argument("--level", choices=_LEVELS, action="append", help="default: both")
    parser.add_argument(
        "--enforced-by", choices=_ENFORCERS, action="append", help="default: both, as root"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code: 1 if a flood stopped another session."""
    options = _options(arguments)
    runs = [
        run_floods(level, enforcer, options.floods)
        for level in options.level or _LEVELS
        for enforcer in options.enforced_by or _ENFORCERS
    ]
    print(table(_HEAD.split("|"), rows(runs)))
    if options.json:
        options.json.write_text(json.dumps(list(map(attrs.asdict, runs)), indent=1))
    return int(not all(one["others_go_on"] for run in runs for one in run.outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
