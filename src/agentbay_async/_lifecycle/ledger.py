"""The ledger: a file that records every session created on this host.

If a process is killed before it deletes its sessions, they are found here. Each record is a line
with a JSON object, appended by one write. So processes share the file without waiting for each
other, and a process that is killed leaves at most one torn line. A record begins with its newline
instead of ending with it; so a torn line does not damage the record after it. API keys are never
written.

The file is compacted under an exclusive lock, and appended to under a shared one. An append does
not wait for the lock for long: then its line goes to the old file, from which the compaction
fetches it, or is written once more to the new file. A record that is there twice does no harm.

The event loop writes the line itself, while it handles the create: an append takes about ten
microseconds, and a hand-over to a thread takes longer. SQLite was measured too, and costs at least
twice as much; see ``docs/decisions``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._lifecycle.processes import Process, ProcessState, process_state, this_process
from agentbay_async._paths import data_dir
from agentbay_async.config import find_ledger
from agentbay_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agentbay_async._clock import Clock


logger = logging.getLogger("agentbay")

# Compact a file that is longer than this many bytes; check the length at every 256th append.
_COMPACT_ABOVE = 256 * 1024
_CHECK_EVERY = 256
# Wait up to a second for a compaction, which blocks the event loop meanwhile.
_LOCK_ATTEMPTS = 250
_LOCK_PAUSE = 0.004


class Ledger:
    """The ledger of one client. Its file is created with the first session.

    Args:
        path: The file; ``""`` takes the default of this host.
        endpoint: The service of the client's sessions.
        clock: Time.
    """

    def __init__(self, path: str, endpoint: str, clock: Clock) -> None:
        self.path = located(path)
        self._endpoint = endpoint
        self._clock = clock
        self._run = ""
        self._writes = 0
        self._compact_above = _COMPACT_ABOVE
        self._broken = False

    def began(self) -> None:
        """Record this process. Call it before the request for its first session."""
        process = this_process()
        if self._run == process.run:
            return
        self._run = process.run
        self._write(began_line(process, self._clock.time()))

    def created(self, session_id: str, owner: str, lasts: float | None) -> None:
        """Record a session that the service ends after `lasts` seconds."""
        origin = self._endpoint, owner, self._run
        self._write(created_line(session_id, origin, self._clock.time(), lasts))

    def deleted(self, session_id: str) -> None:
        """Record that a session is gone, unless there is no ledger that could contain it."""
        if self._run or self.path.exists():
            self._write(deleted_line(session_id, self._endpoint, self._clock.time()))

    def read(self) -> Contents:
        """Return the contents."""
        return read(self.path, self._clock.time())

    def _write(self, line: bytes) -> None:
        """Append a line; log the first error, such as a full disk, instead of raising it."""
        if self._broken:
            return
        try:
            length = append(self.path, line)
            if self._writes % _CHECK_EVERY == 0 and length > self._compact_above:
                self._compact(length)
            self._writes += 1
        except OSError as error:
            self._broken = True
            logger.warning(
                "cannot write the ledger %s (%s): `agentbay reap` will not find sessions that this"
                " process leaves behind",
                self.path,
                error.strerror,
            )

    def _compact(self, length: int) -> None:
        # With many live sessions a compacted file is still long. Compacting again pays only once
        # the file has doubled, also if another process did it last.
        self._compact_above = max(_COMPACT_ABOVE, 2 * _compacted_length(self.path))
        if length > self._compact_above:
            compact(self.path, self._clock.time())
            self._compact_above = max(_COMPACT_ABOVE, 2 * _compacted_length(self.path))


def read_ledger() -> list[LedgerEntry]:
    """Return the sessions that this host created and did not delete, by its ledger.

    Sessions whose ``max_runtime`` is over are left out: the service has ended them. This reads a
    local file and sends nothing, so a session may be gone already for other reasons.

    Raises:
        ConfigurationError: The ledger is switched off (``AGENTBAY_LEDGER=off``).
        OSError: The file exists and cannot be read.

    Example:
        ::

            for entry in read_ledger():
                if entry.process_state is ProcessState.DEAD:
                    print(entry.session_id, entry.endpoint)
    """
    path = find_ledger(os.environ)
    if path is None:
        raise ConfigurationError("the ledger is switched off (AGENTBAY_LEDGER)")
    return read(located(path), time.time()).open


def located(path: str) -> Path:
    """Return the file that a setting names; ``""`` is the default of this host."""
    return Path(path).expanduser().absolute() if path else default_path(os.environ)


def default_path(environ: Mapping[str, str]) -> Path:
    """Return the default ledger of this host, which need not exist."""
    import socket

    # A home directory may be shared by hosts, whose process ids say nothing to each other.
    return data_dir(environ) / f"ledger-{socket.gethostname()}.jsonl"


@attrs.define
class _Files:
    """Open files of a ledger. A process keeps them: opening one costs more than a write.

    Attributes:
        lock: Descriptor of the lock file, which is never replaced.
        lines: Descriptor of the ledger, which a compaction replaces.
    """

    lock: int
    lines: int


@lru_cache(maxsize=8)
def _files(path: Path, _pid: int) -> _Files:
    # The pid is part of the key, because a forked child needs its own descriptors: a lock
    # belongs to the open file description, which parent and child share.
    return _Files(_open(path.with_suffix(".lock")), _open(path))


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def append(path: Path, line: bytes) -> int:
    """Append a line by one write, and return the length of the file."""
    files = _files(path, os.getpid())
    locked = _lock(files.lock, shared=True) or _wait_for_lock(files.lock)
    try:
        os.write(files.lines, b"\n" + line)
        while not (state := os.fstat(files.lines)).st_nlink:
            # The file was compacted or removed since it was opened.
            reopened = _open(path)
            os.close(files.lines)
            files.lines = reopened
            os.write(files.lines, b"\n" + line)
    finally:
        # Without the lock, too, the line was written: a process that is stopped while it holds the
        # lock must not stop all others.
        if locked:
            _unlock(files.lock)
    return state.st_size


def read(path: Path, now: float) -> Contents:
    """Return the contents of the ledger `path` at the time `now`."""
    try:
        return contents(path.read_bytes().splitlines(), now)
    except FileNotFoundError:
        return contents((), now)


def _compacted_length(path: Path) -> int:
    with path.open("rb") as file:
        return compacted_length(file.read(64))


def compact(path: Path, now: float) -> None:
    """Drop the records that no longer matter, unless another process is writing."""
    lock = _files(path, os.getpid()).lock
    if not _lock(lock, shared=False):
        return
    try:
        with path.open("rb") as old:
            kept = contents(old.read().splitlines(), now).lines
            shorter = path.with_suffix(".new")
            shorter.write_bytes(compacted(kept))
            shorter.chmod(0o600)
            shorter.replace(path)
            # Lines of processes that did not get the lock in time.
            late = old.read()
        if late:
            with path.open("ab") as new:
                new.write(late)
    except (FileNotFoundError, PermissionError):
        # The file was removed; or this is Windows, which does not replace a file that is open.
        return
    finally:
        _unlock(lock)


def _wait_for_lock(lock: int) -> bool:
    """Wait until a compaction is over; return False if it takes too long."""
    for _ in range(_LOCK_ATTEMPTS - 1):
        # Blocks the loop on purpose: a compaction takes milliseconds, and a thread costs more.
        time.sleep(_LOCK_PAUSE)
        if _lock(lock, shared=True):
            return True
    return False


if sys.platform == "win32":
    import msvcrt

    _BINARY = os.O_BINARY

    def _lock(lock: int, *, shared: bool) -> bool:
        # Windows has no shared lock. It does not need one: an open file is not replaced.
        del shared
        try:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(lock: int) -> None:
        os.lseek(lock, 0, os.SEEK_SET)
        msvcrt.locking(lock, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _BINARY = 0

    def _lock(lock: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_UN)


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
