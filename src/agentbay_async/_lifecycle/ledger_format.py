"""What the lines of the ledger say: values to lines and back, without any file.

Each line is one JSON object. One that was torn, or that no version of ours wrote, says nothing.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._lifecycle.processes import Fate, Process, fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_encode = json.JSONEncoder(separators=(",", ":")).encode

# Seconds for which a process without a session is remembered: one that was killed while it created
# its first has nothing else here, and is found by its run.
_REMEMBERED = 7 * 86_400


@attrs.frozen
class LedgerEntry:
    """A session that was created on this host and not deleted, as far as the ledger knows.

    Attributes:
        session_id: Its id.
        endpoint: The service that has it.
        owner: Whose it is.
        since: When it was created, in seconds since 1970.
        until: When the service ends it at the latest, or ``None``.
        process: The process that created it, or ``None`` if nothing is known of that.
    """

    session_id: str
    endpoint: str
    owner: str
    since: float
    until: float | None
    process: Process | None

    @property
    def fate(self) -> Fate:
        """Whether the process that created it still lives."""
        return Fate.UNKNOWN if self.process is None else fate(self.process)


@attrs.frozen
class Contents:
    """What a ledger says.

    Attributes:
        open: Sessions that were created and not deleted.
        processes: The processes that created sessions, by their runs.
        lines: The lines that say so.
    """

    open: list[LedgerEntry]
    processes: dict[str, Process]
    lines: list[bytes]


def began_line(process: Process, at: float) -> bytes:
    """Return the line that tells of a process that is about to ask for its first session."""
    return _encode({"did": "began", "at": at, **process._asdict()}).encode()


def created_line(
    session_id: str, whose: tuple[str, str, str], at: float, lasts: float | None
) -> bytes:
    """Return the line that tells of a session.

    Args:
        session_id: Its id.
        whose: Its endpoint, its owner and the run of the process that created it.
        at: When it was created, in seconds since 1970.
        lasts: How many seconds it lasts at most.
    """
    until = "null" if lasts is None else repr(at + lasts)
    # Put together by hand: one is written for each session, and most of it is always the same.
    return f'{_created(whose)}{_encode(session_id)},"at":{at!r},"until":{until}}}'.encode()


@lru_cache(maxsize=16)
def _created(whose: tuple[str, str, str]) -> str:
    endpoint, owner, run = whose
    row = {"did": "created", "endpoint": endpoint, "owner": owner, "run": run}
    return f'{_encode(row)[:-1]},"session":'


def deleted_line(session_id: str, endpoint: str, at: float) -> bytes:
    """Return the line that tells of a session that is gone."""
    row = {"did": "deleted", "session": session_id, "endpoint": endpoint, "at": at}
    return _encode(row).encode()


def shortened(lines: Sequence[bytes]) -> bytes:
    """Return a ledger of these lines; how long it is when it is new stands in its first one."""
    whole = b"".join(b"\n" + line for line in lines)
    return b'\n{"did":"shortened","bytes":%d}%b' % (len(whole), whole) if whole else b""


def length_when_shortened(head: bytes) -> int:
    """Return how long a ledger was that begins like this when it was new; 0 if it never was."""
    found = _SHORTENED.match(head)
    return int(found[1]) if found else 0


_SHORTENED = re.compile(rb'\n\{"did":"shortened","bytes":(\d{1,15})\}')


def contents(lines: Iterable[bytes], now: float) -> Contents:
    """Return what some lines say at the time `now`."""
    created: dict[tuple[str, str], tuple[dict[str, Any], bytes]] = {}
    began: dict[str, tuple[Process, float, bytes]] = {}
    for line, row in _rows([line for line in lines if line]):
        if row["did"] == "began":
            began[row["run"]] = _process(row), row["at"], line
        elif row["did"] == "created":
            created[row["endpoint"], row["session"]] = row, line
        else:
            created.pop((row["endpoint"], row["session"]), None)
    processes = {run: process for run, (process, _at, _line) in began.items()}
    still = [(row, line) for row, line in created.values() if (row["until"] or now) >= now]
    entries = [_entry(row, processes) for row, _line in still]
    needed = {row["run"] for row, _line in still}
    kept = [
        line for run, (_p, at, line) in began.items() if run in needed or now - at < _REMEMBERED
    ]
    return Contents(entries, processes, kept + [line for _row, line in still])


def _rows(lines: Sequence[bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the lines that say something, and what they say."""
    for line, row in zip(lines, _parsed(lines), strict=True):
        if isinstance(row, dict) and _whole(row):
            yield line, row


def _parsed(lines: Sequence[bytes]) -> list[Any]:
    try:
        # As one array, which takes a third of the time: a busy ledger is read again and again.
        rows: list[Any] = json.loads(b"[%b]" % b",".join(lines))
    except (ValueError, RecursionError):
        rows = []
    return rows if len(rows) == len(lines) else [_or_nothing(line) for line in lines]


def _or_nothing(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _whole(row: dict[str, Any]) -> bool:
    did = row.get("did")
    wanted = _NEEDED.get(did) if isinstance(did, str) else None
    if wanted is None:
        return False
    for name, kind in wanted:  # noqa: SIM110  # a generator would take twice as long
        if not isinstance(row.get(name), kind):
            return False
    return True


_Kinds = type | tuple[type, ...]
_NUMBER = (int, float)
_NEEDED: dict[str, tuple[tuple[str, _Kinds], ...]] = {
    "began": (
        ("run", str),
        ("pid", int),
        ("start", str),
        ("boot", str),
        ("space", str),
        ("at", _NUMBER),
    ),
    "created": (
        ("session", str),
        ("endpoint", str),
        ("owner", str),
        ("run", str),
        ("at", _NUMBER),
        ("until", (*_NUMBER, type(None))),
    ),
    "deleted": (("session", str), ("endpoint", str)),
}


def _process(row: dict[str, Any]) -> Process:
    return Process(row["run"], row["pid"], row["start"], row["boot"], row["space"])


def _entry(row: dict[str, Any], processes: Mapping[str, Process]) -> LedgerEntry:
    return LedgerEntry(
        row["session"],
        row["endpoint"],
        row["owner"],
        row["at"],
        row["until"],
        processes.get(row["run"]),
    )
