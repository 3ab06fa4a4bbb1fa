"""``agentbay ps`` and ``agentbay reap``: sessions that this host created and did not delete.

What programs read goes to standard output, everything for people to standard error. Exit code 0 is
success, 1 means that a session could not be deleted, 2 that nothing could be done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.ledger import located, read
from agentbay_async.client import AsyncAgentBay
from agentbay_async.config import find_ledger
from agentbay_async.errors import AgentBayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async._lifecycle.ledger_format import LedgerEntry
    from agentbay_async.models.sessions import Reaping

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_HEAD = ("SESSION", "PROCESS", "AGE", "OWNER", "SERVICE")


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands and return its exit code.

    Args:
        arguments: What follows the name of the program; the first is the command.

    Example:
        ::

            agentbay reap --older-than 2h --dry-run
    """
    chosen = parser().parse_args(arguments)
    try:
        return _ps(as_json=chosen.json) if chosen.command == "ps" else asyncio.run(_reap(chosen))
    except (AgentBayError, OSError) as error:
        return _failed(str(error))


def parser() -> argparse.ArgumentParser:
    """Return what reads the arguments."""
    made = argparse.ArgumentParser("agentbay", description="Sessions that were left behind.")
    commands = made.add_subparsers(dest="command", required=True)
    ps = commands.add_parser("ps", help="list the sessions that this host created")
    ps.add_argument("--json", action="store_true", help="one JSON object a line")
    reap = commands.add_parser("reap", help="delete sessions that outlived their process")
    reap.add_argument("--owner", help="whose sessions; by default your own")
    reap.add_argument(
        "--older-than",
        type=_duration,
        metavar="TIME",
        help="only those older than, such as 90s, 30m, 2h or 1d; with it, also those of processes"
        " that cannot be seen from here",
    )
    reap.add_argument("--endpoint", help="the service; by default the one that is configured")
    reap.add_argument("--dry-run", action="store_true", help="say what would be deleted")
    return made


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 30m, 2h or 1d")
    return float(int(found[1]) * _UNITS[found[2]])


def _ps(*, as_json: bool) -> int:
    path = find_ledger(os.environ)
    if path is None:
        return _failed("the ledger is switched off (AGENTBAY_LEDGER)")
    now = time.time()
    entries = read(located(path), now).open
    rows = [_row(entry, now) for entry in entries]
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
    return entry.session_id, entry.fate.value, age, entry.owner, entry.endpoint


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _age(seconds: float) -> str:
    unit = next((name for name in "dhm" if seconds >= _UNITS[name]), "s")
    return f"{max(0, int(seconds // _UNITS[unit]))}{unit}"


async def _reap(chosen: argparse.Namespace) -> int:
    async with AsyncAgentBay(endpoint=chosen.endpoint) as bay:
        result = await bay.reap(chosen.owner, chosen.older_than, dry_run=chosen.dry_run)
    return _told(result.unwrap(), dry_run=chosen.dry_run)


def _told(reaping: Reaping, *, dry_run: bool) -> int:
    sys.stdout.writelines(f"{session_id}\n" for session_id in reaping.deleted)
    for session_id, reason in reaping.failed.items():
        _say(f"{session_id} could not be deleted: {reason}")
    _say(
        f"{len(reaping.deleted)} {'would be ' if dry_run else ''}deleted,"
        f" {len(reaping.kept)} kept, {len(reaping.failed)} failed"
    )
    return 1 if reaping.failed else 0


def _failed(reason: str) -> int:
    _say(f"agentbay: {reason}")
    return 2


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
