"""Format of the ledger: lines to values and back, without I/O.

Each line is one JSON object. Torn lines, and lines of unknown form, are skipped.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._lifecycle.processes import Process, ProcessState, process_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_encode = json.JSONEncoder(separators=(",", ":")).encode

# Seconds for which a process without sessions is kept: a process that was killed during its first
# create has no other record, and the session is found by the label with its run.
_KEEP_PROCESS = 7 * 86_400


@attrs.frozen
class LedgerEntry:
    """A session that was created on this host and not deleted, by the ledger.

    Attributes:
        session_id: Its id.
        endpoint: URL of its service.
        owner: Its owner.
        since: When it was created, in seconds since 1970.
        until: When the service ends it at the latest, in seconds since 1970, or ``None``.
    """

    session_id: str
    endpoint: str
    owner: str
    since: float
    until: float | None
    _process: Process | None

    @property
    def process_state(self) -> ProcessState:
        """Whether the process that created the session is still running."""
        return ProcessState.UNKNOWN if self._process is None else process_state(self._process)


@attrs.frozen
class Contents:
    """The contents of a ledger.

    Attributes:
        open: Sessions that were created and not deleted.
        processes: Processes that created sessions, by run.
        lines: The lines that a compaction keeps.
    """

    open: list[LedgerEntry]
    processes: dict[str, Process]
    lines: list[bytes]


def began_line(process: Process, at: float) -> bytes:
    """Return the line that records a process, before the request for its first session."""
    return _encode({"did": "began", "at": at, **process._asdict()}).encode()


def created_line(
    session_id: str, origin: tuple[str, str, str], at: float, lasts: float | None
) -> bytes:
    """Return the line that records a new session.

    Args:
        session_id: Its id.
        origin: Its endpoint, its owner and the run of the process that created it.
        at: When it was created, in seconds since 1970.
        lasts: Seconds after which the service ends it, or ``None``.
    """
    until = "null" if lasts is None else repr(at + lasts)
    # Formatted by hand, because it is on the path of each create and most of it never changes.
    return f'{_created(origin)}{_encode(session_id)},"at":{at!r},"until":{until}}}'.encode()


@lru_cache(maxsize=16)
def _created(origin: tuple[str, str, str]) -> str:
    endpoint, owner, run = origin
    row = {"did": "created", "endpoint": endpoint, "owner": owner, "run": run}
    return f'{_encode(row)[:-1]},"session":'


def deleted_line(session_id: str, endpoint: str, at: float) -> bytes:
    """Return the line that records that a session is gone."""
    row = {"did": "deleted", "session": session_id, "endpoint": endpoint, "at": at}
    return _encode(row).encode()


def compacted(lines: Sequence[bytes]) -> bytes:
    """Return a ledger of `lines`, headed by its length, which tells when it has doubled."""
    whole = b"".join(b"\n" + line for line in lines)
    return b'\n{"did":"compacted","bytes":%d}%b' % (len(whole), whole) if whole else b""


def compacted_length(head: bytes) -> int:
    """Return the length that the head of a ledger states; 0 if it was never compacted."""
    found = _COMPACTED.match(head)
    return int(found[1]) if found else 0


_COMPACTED = re.compile(rb'\n\{"did":"compacted","bytes":(\d{1,15})\}')


def contents(lines: Iterable[bytes], now: float) -> Contents:
    """Return the contents that `lines` have at the time `now`."""
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
        line for run, (_p, at, line) in began.items() if run in needed or now - at < _KEEP_PROCESS
    ]
    return Contents(entries, processes, kept + [line for _row, line in still])


def _rows(lines: Sequence[bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each valid line with its object."""
    for line, row in zip(lines, _parsed(lines), strict=True):
        if isinstance(row, dict) and _is_valid(row):
            yield line, row


def _parsed(lines: Sequence[bytes]) -> list[Any]:
    try:
        # As one array, which takes a third of the time of single lines.
        rows: list[Any] = json.loads(b"[%b]" % b",".join(lines))
    except (ValueError, RecursionError):
        rows = []
    return rows if len(rows) == len(lines) else [_parse_line(line) for line in lines]


def _parse_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_valid(row: dict[str, Any]) -> bool:
    did = row.get("did")
    fields = _FIELDS.get(did) if isinstance(did, str) else None
    if fields is None:
        return False
    for name, kind in fields:  # noqa: SIM110  # a generator would take twice as long
        if not isinstance(row.get(name), kind):
            return False
    return True


_Types = type | tuple[type, ...]
_NUMBER = (int, float)
_FIELDS: dict[str, tuple[tuple[str, _Types], ...]] = {
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
