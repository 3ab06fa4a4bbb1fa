"""The ledger: a file on this host in which every session is written down that was created here.

It is there for the day on which a process is killed before it could delete its sessions. Each line
is one JSON object, appended by one write, so that many processes may share the file and one that is
killed leaves a torn line at worst. Such a line is passed over, and does not spoil the next, because
lines begin with their separator instead of ending with it. Keys are never written. Whoever replaces
the file by a shorter one does so while nobody else writes; whoever could not wait for that writes
into the old file, from where the line is fetched, or once more into the new one.

A line is written where the session is made, by the event loop itself: it takes some ten
microseconds, and a thread would take more.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_async._lifecycle.ledger_format import (
    Contents,
    began_line,
    contents,
    created_line,
    deleted_line,
    length_when_shortened,
    shortened,
)
from agentbay_async._lifecycle.processes import this_process
from agentbay_async._paths import data_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async._clock import Clock

logger = logging.getLogger("agentbay")

# Bytes from which on the file is made shorter, and how often a process looks at its length.
_LONG = 256 * 1024
_LOOKED_AT_EVERY = 256
# How often, and after how many seconds, the file is asked for while it is being replaced.
_TRIES = 250
_PAUSE = 0.004


class Ledger:
    """The ledger, as one client uses it. Nothing is made before the first session is.

    Args:
        path: The file; ``""`` takes the one of this host.
        endpoint: The service that has the client's sessions.
        clock: Time.
    """

    def __init__(self, path: str, endpoint: str, clock: Clock) -> None:
        self.path = located(path)
        self._endpoint = endpoint
        self._clock = clock
        self._begun = ""
        self._writes = 0
        self._long = _LONG
        self._broken = False

    def began(self) -> None:
        """Write this process down; to be called before it asks for its first session."""
        process = this_process()
        if self._begun == process.run:
            return
        self._begun = process.run
        self._write(began_line(process, self._clock.time()))

    def created(self, session_id: str, owner: str, lasts: float | None) -> None:
        """Write a session down, which lasts so many seconds at most."""
        whose = self._endpoint, owner, self._begun
        self._write(created_line(session_id, whose, self._clock.time(), lasts))

    def deleted(self, session_id: str) -> None:
        """Write down that a session is gone; without a ledger there is nothing to cross out."""
        if self._begun or self.path.exists():
            self._write(deleted_line(session_id, self._endpoint, self._clock.time()))

    def read(self) -> Contents:
        """Return what it says."""
        return read(self.path, self._clock.time())

    def _write(self, line: bytes) -> None:
        """Append a line. A disk that is full is no reason to fail a call; it is said once."""
        if self._broken:
            return
        try:
            self._append(line)
        except OSError as error:
            self._broken = True
            logger.warning(
                "the ledger %s cannot be written (%s): sessions that this process loses will not"
                " be found there",
                self.path,
                error.strerror,
            )

    def _append(self, line: bytes) -> None:
        try:
            length = append(self.path, line)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            length = append(self.path, line)
        if self._writes % _LOOKED_AT_EVERY == 0 and length > self._long:
            # Many sessions may be alive: then the work is not begun again for nothing.
            self._long = max(_LONG, 2 * _length_when_shortened(self.path))
            if length > self._long:
                compact(self.path, self._clock.time())
                self._long = max(_LONG, 2 * _length_when_shortened(self.path))
        self._writes += 1


def located(path: str) -> Path:
    """Return the file that a setting names; ``""`` is the one of this host."""
    return Path(path).expanduser().absolute() if path else default_path(os.environ)


def default_path(environ: Mapping[str, str]) -> Path:
    """Return where the ledger of this host is, whether it exists or not."""
    import socket

    # A home directory may be shared by hosts, whose process ids say nothing to each other.
    return data_dir(environ) / f"ledger-{socket.gethostname()}.jsonl"


@attrs.define
class _Files:
    """What a process keeps open of a ledger, because opening costs more than writing.

    Attributes:
        lock: The lock; it has a file of its own, which is never replaced.
        rows: The ledger.
    """

    lock: int
    rows: int


@lru_cache(maxsize=8)
def _files(path: Path, _pid: int) -> _Files:
    # A forked child opens them anew: locks belong to what was opened, not to who holds it.
    return _Files(_open(path.with_suffix(".lock")), _open(path))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)


def append(path: Path, line: bytes) -> int:
    """Append a line by one write, and return how long the file is now."""
    files = _files(path, os.getpid())
    held = _locked(files.lock, shared=True) or _waited_for(files.lock)
    try:
        os.write(files.rows, b"\n" + line)
        while not (state := os.fstat(files.rows)).st_nlink:
            # It was replaced by a shorter one, or removed. A line that is there twice does no harm.
            anew = _open(path)
            os.close(files.rows)
            files.rows = anew
            os.write(files.rows, b"\n" + line)
    finally:
        # One that was stopped while it held the lock does not stop the others: they write too.
        if held:
            _unlock(files.lock)
    return state.st_size


def read(path: Path, now: float) -> Contents:
    """Return what the ledger at `path` says at the time `now`."""
    try:
        return contents(path.read_bytes().splitlines(), now)
    except FileNotFoundError:
        return contents((), now)


def _length_when_shortened(path: Path) -> int:
    with path.open("rb") as file:
        return length_when_shortened(file.read(64))


def compact(path: Path, now: float) -> None:
    """Replace the ledger by one that holds only what still matters, if nobody is writing now."""
    lock = _files(path, os.getpid()).lock
    if not _locked(lock, shared=False):
        return
    try:
        with path.open("rb") as old:
            kept = contents(old.read().splitlines(), now).lines
            shorter = path.with_suffix(".new")
            shorter.write_bytes(shortened(kept))
            shorter.chmod(0o600)
            shorter.replace(path)
            # Of those who waited for the lock in vain.
            late = old.read()
        if late:
            with path.open("ab") as new:
                new.write(late)
    except (FileNotFoundError, PermissionError):
        # It was removed; or this is Windows, where nothing is replaced that somebody has open.
        return
    finally:
        _unlock(lock)


def _waited_for(lock: int) -> bool:
    """Wait until the file is not being replaced; return whether that was seen."""
    for _ in range(_TRIES - 1):
        time.sleep(_PAUSE)
        if _locked(lock, shared=True):
            return True
    return False


if sys.platform == "win32":
    import msvcrt

    _BINARY = os.O_BINARY

    def _locked(lock: int, *, shared: bool) -> bool:
        # There is no shared lock. The file is not replaced while anybody has it open, either.
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

    def _locked(lock: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_UN)
