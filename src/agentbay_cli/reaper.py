"""``agentbay ps`` and ``agentbay reap``: sessions that this host created and did not delete.

Output for programs goes to standard output, messages for people to standard error. The exit code is
0 on success, 1 if a session could not be deleted, and 2 if the command could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

import attrs

from agentbay import AgentBay, read_ledger
from agentbay_cli.durations import UNITS, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay import LedgerEntry, Reaping

_HEAD = ("SESSION", "PROCESS", "AGE", "OWNER", "SERVICE")


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands and return its exit code.

    Args:
        arguments: The command and its options.

    Raises:
        AgentBayError: The ledger cannot be read, or the service refuses.

    Example:
        ::

            agentbay reap --older-than 2h --dry-run
    """
    options = parser().parse_args(arguments)
    return _ps(as_json=options.json) if options.command == "ps" else _reap(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    top = argparse.ArgumentParser("agentbay", description="Sessions that were left behind.")
    commands = top.add_subparsers(dest="command", required=True)
    ps = commands.add_parser("ps", help="list the sessions that this host created")
    ps.add_argument("--json", action="store_true", help="print one JSON object a line")
    reap = commands.add_parser("reap", help="delete sessions that outlived their process")
    reap.add_argument("--owner", help="owner of the sessions; default: your own")
    reap.add_argument(
        "--older-than",
        type=_duration,
        metavar="TIME",
        help="minimum age, such as 90s, 30m, 2h or 1d; with it, sessions of processes that cannot"
        " be seen from here are deleted too",
    )
    reap.add_argument("--endpoint", help="the service; default: the configured one")
    reap.add_argument("--dry-run", action="store_true", help="print what would be deleted")
    reap.add_argument("--json", action="store_true", help="print a JSON object")
    return top


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _ps(*, as_json: bool) -> int:
    now = time.time()
    rows = [_row(entry, now) for entry in read_ledger()]
    if as_json:
        keys = [name.lower() for name in _HEAD]
        lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
    else:
        widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
        lines = [_line(row, widths) for row in (_HEAD, *rows)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _row(entry: LedgerEntry, now: float) -> tuple[str, ...]:
    age = _age(now - entry.since)
    return entry.session_id, entry.process_state.value, age, entry.owner, entry.endpoint


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _age(seconds: float) -> str:
    unit = next((name for name in "dhm" if seconds >= UNITS[name]), "s")
    return f"{max(0, int(seconds // UNITS[unit]))}{unit}"


def _reap(options: argparse.Namespace) -> int:
    with AgentBay(endpoint=options.endpoint) as bay:
        result = bay.reap(options.owner, options.older_than, dry_run=options.dry_run)
    return _print_result(result.unwrap(), dry_run=options.dry_run, as_json=options.json)


def _print_result(reaping: Reaping, *, dry_run: bool, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(f"{json.dumps({**attrs.asdict(reaping), 'dry_run': dry_run})}\n")
    else:
        sys.stdout.writelines(f"{session_id}\n" for session_id in reaping.deleted)
    for session_id, reason in reaping.failed.items():
        _print_message(f"{session_id} could not be deleted: {reason}")
    _print_message(
        f"{len(reaping.deleted)} {'would be ' if dry_run else ''}deleted,"
        f" {len(reaping.kept)} kept, {len(reaping.failed)} failed"
    )
    return 1 if reaping.failed else 0


def _print_message(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
