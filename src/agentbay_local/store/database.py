"""The SQLite connection, its schema, and transactions.

A listing of sessions is an intersection of *tags*: every label of a listed session is a tag, and so
are its image, its status, and the fact that it is listed at all. ``tag_count`` knows how many
sessions have a tag, so that the rarest one drives a query and a simple total is one row away.
Sessions that are released have no tags, so listings cost nothing for the past.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Database"]

_VERSION = 2
_SCHEMA = """
CREATE TABLE session (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    image TEXT NOT NULL,
    status TEXT NOT NULL,
    labels TEXT NOT NULL,
    created REAL NOT NULL,
    idle_seconds REAL,
    ends REAL,
    expires REAL,
    finished REAL,
    end_reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX session_expires ON session (expires) WHERE expires IS NOT NULL;
CREATE INDEX session_finished ON session (finished) WHERE finished IS NOT NULL;
CREATE INDEX session_live ON session (seq) WHERE finished IS NULL;
CREATE TABLE tag (
    key TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (key, value, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE tag_count (
    key TEXT NOT NULL, value TEXT NOT NULL, sessions INTEGER NOT NULL,
    PRIMARY KEY (key, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE context (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL,
    next_expiry REAL,
    session_id TEXT
) STRICT;
CREATE INDEX context_session ON context (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX context_expiry ON context (next_expiry) WHERE next_expiry IS NOT NULL;
CREATE TABLE binding (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    context_id TEXT NOT NULL,
    path TEXT NOT NULL,
    policy TEXT NOT NULL,
    bound REAL NOT NULL,
    UNIQUE (session_id, path)
) STRICT;
CREATE INDEX binding_context ON binding (context_id);
CREATE TABLE task (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    context_id TEXT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    started REAL NOT NULL,
    finished REAL
) STRICT;
CREATE INDEX task_session ON task (session_id, seq);
"""
# What brings the format before to this one.
_STEPS = {
    1: """
ALTER TABLE context ADD COLUMN session_id TEXT;
CREATE INDEX context_session ON context (session_id) WHERE session_id IS NOT NULL;
""",
}


class Database:
    """One connection to the file, used by one thread.

    Args:
        path: The file; ``:memory:`` for none.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._connection.row_factory = sqlite3.Row
        for pragma in (
            "journal_mode=WAL",
            # Whole after a crash of the program; only a power cut may lose the last moments.
            "synchronous=NORMAL",
            "busy_timeout=5000",
            "temp_store=MEMORY",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._prepare()

    def _prepare(self) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found == _VERSION:
            return
        if found == 0 or found in _STEPS:
            steps = _SCHEMA if found == 0 else "".join(_STEPS[n] for n in range(found, _VERSION))
            statements = f"{steps} PRAGMA user_version={_VERSION};"
            self._connection.executescript(f"BEGIN IMMEDIATE; {statements} COMMIT;")
        else:
            self._connection.close()
            raise sqlite3.DatabaseError(
                f"state.db has format {found}, this version reads {_VERSION}; use another home"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one commit, or nothing at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, sql: str, *values: Any) -> int:
        """Execute a statement and return the number of rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, *values: Any) -> int:
        """Execute a statement that adds a row, and return the row's number."""
        return self._connection.execute(sql, values).lastrowid or 0

    def run_many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement for each row."""
        self._connection.executemany(sql, rows)

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row, if any."""
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows."""
        return self._connection.execute(sql, values).fetchall()

    def wipe(self) -> None:
        """Empty every table; numbers begin anew."""
        with self.transaction():
            for row in self.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
                self.run(f"DELETE FROM {row['name']}")  # noqa: S608  # our own tables

    def copy_to(self, path: Path) -> None:
        """Write the database, as it is now, into another file."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)

    @staticmethod
    def verify(path: Path) -> None:
        """See whether a file has this format.

        Raises:
            sqlite3.Error: It has not, or is damaged.
        """
        with closing(sqlite3.connect(path)) as other:
            found = other.execute("PRAGMA user_version").fetchone()[0]
            if found != _VERSION:
                raise sqlite3.DatabaseError(f"its rows have format {found}, not {_VERSION}")
            (state,) = other.execute("PRAGMA quick_check").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(f"its rows are damaged: {state}")

    def load(self, path: Path) -> None:
        """Replace everything by what another file of this format has."""
        with closing(sqlite3.connect(path)) as other:
            other.backup(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
