"""The SQLite connection, its schema, and transactions.

A listing of sessions is an intersection of *tags*: every label of a listed session is a tag, and so
are its image, its status, and the fact that it is listed at all. ``tag_count`` holds the number of
sessions with each tag, so that a query starts from the rarest tag, and the total of one tag is one
row. Released sessions have no tags, so that they do not slow listings down.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from agentbay_local.store.ballast import Ballast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Database", "StateFullError"]

T = TypeVar("T")

_VERSION = 3
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
    session_id TEXT,
    mount_paths TEXT NOT NULL DEFAULT '{}'
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
# Statements that migrate from the format of that number to the next one.
_MIGRATIONS = {
    1: """
ALTER TABLE context ADD COLUMN session_id TEXT;
CREATE INDEX context_session ON context (session_id) WHERE session_id IS NOT NULL;
""",
    2: "ALTER TABLE context ADD COLUMN mount_paths TEXT NOT NULL DEFAULT '{}';",
}
_REMEDY = (
    "Restore the file from a copy or use another home. To start without its rows, move the file "
    "away: the next start keeps the files of contexts in lost+found."
)
# Room for the shared memory and the log of SQLite, and for the changes that a start makes.
_NEEDED = 128 * 1024
_PRAGMAS = (
    "journal_mode=WAL",
    # Safe when the program crashes; a power cut may lose the last transactions.
    "synchronous=NORMAL",
    "busy_timeout=5000",
    "temp_store=MEMORY",
)

_log = logging.getLogger(__name__)


class StateFullError(Exception):
    """The disk with the state of the service is full.

    Attributes:
        path: The file of the rows.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"The disk of the local service is full: {self.path.parent} has no room. Delete files "
            "or sessions, or make room on that disk."
        )


def _open_connection(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.row_factory = sqlite3.Row
    return connection


class Database:
    """One connection to the file, used by one thread.

    Each statement is its own transaction, unless it is inside `transaction`.

    On a full disk the ballast makes room. If a start or a delete finds no room at all, the rows are
    kept in memory until there is some, so that contexts can be read, and anything can be deleted.

    Args:
        path: The file; ``:memory:`` for none.

    Raises:
        sqlite3.Error: The file is damaged, is not a database of this format, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ballast = None if str(path) == ":memory:" else Ballast(path.with_name("ballast"))
        self._in_memory = self._inside = False
        self._connection = _open_connection(path)
        try:
            self._open_with_room()
        except BaseException as error:
            self._connection.close()
            # Exactly this class stands for a damaged file; its subclasses stand for other causes.
            if type(error) is sqlite3.DatabaseError:
                raise sqlite3.DatabaseError(f"{path}: {error}. {_REMEDY}") from error
            raise

    def _open_with_room(self) -> None:
        if self._ballast is None:
            self._open()
            return
        self._ballast.adjust()
        try:
            self._open()
            # The rest of a start needs more than a byte.
            full = self._ballast.free_space() < _NEEDED
        except sqlite3.OperationalError as error:
            if not self._is_full(error):
                raise
            full = True
        if full:
            self._start_in_memory()

    def _start_in_memory(self) -> None:
        self._connection.close()
        with closing(sqlite3.connect(self._path)) as file:
            # Without shared memory, which is a file beside the rows and needs room.
            file.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._copy_to_memory(file)
        self._check()
        self._prepare()

    def _copy_to_memory(self, file: sqlite3.Connection) -> None:
        """Continue with a copy of the rows in memory."""
        memory = _open_connection(":memory:")
        try:
            file.backup(memory)
        except sqlite3.Error:
            memory.close()
            raise
        self._connection, self._in_memory = memory, True
        _log.error(
            "%s The rows are kept in memory until there is room.", StateFullError(self._path)
        )

    @property
    def is_in_memory(self) -> bool:
        """Whether changes are lost if the service ends before there is room."""
        return self._in_memory

    def move_to_file(self) -> None:
        """Write rows that are kept in memory back to the file, if there is room again."""
        if not self._in_memory:
            return
        memory, size = self._connection, self.execute("PRAGMA page_count").fetchone()[0] * 4096
        if self._ballast is None or self._ballast.free_space() < _NEEDED + 2 * size:
            return
        self._connection = _open_connection(self._path)
        try:
            for pragma in _PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}")
            memory.backup(self._connection)
        except sqlite3.OperationalError as error:
            self._connection.close()
            self._connection = memory
            if not self._is_full(error):
                raise
            return
        memory.close()
        self._in_memory = False
        _log.warning("there is room again: the rows are in %s", self._path)

    def _open(self) -> None:
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        self._check()
        self._prepare()

    def _check(self) -> None:
        """Find damage now, and not at the first statement that reads the damaged page."""
        (state,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(f"the file is damaged: {' '.join(state.split())}")

    def _prepare(self) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found == _VERSION:
            return
        if found == 0 and self._connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise sqlite3.DatabaseError("the file belongs to another program")
        if found == 0 or found in _MIGRATIONS:
            steps = [_SCHEMA] if found == 0 else [_MIGRATIONS[n] for n in range(found, _VERSION)]
            script = f"{''.join(steps)} PRAGMA user_version={_VERSION};"
            self._connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
        else:
            raise sqlite3.DatabaseError(
                f"the file has format {found}, but this version reads {_VERSION}"
            )

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute a statement and return its cursor.

        Raises:
            StateFullError: The disk is full, and the ballast is used up.
        """
        try:
            return self._connection.execute(sql, values)
        except sqlite3.OperationalError as error:
            if not self._is_full(error):
                raise
            # Inside a transaction nothing is left that could be continued.
            if self._inside or not self._release_ballast():
                raise StateFullError(self._path) from error
        return self.execute(sql, values)

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> sqlite3.Cursor:
        """Execute a statement for each row of values, inside `transaction`."""
        return self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the statements of the block together, or roll all of them back.

        Raises:
            StateFullError: The disk is full, and the ballast is used up.
        """
        if self._in_memory:
            self.move_to_file()
        if self._ballast is not None:
            self._ballast.adjust()
        self._inside = True
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            # SQLite has rolled back by itself if the disk is full.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError) and self._is_full(error):
                self._release_ballast()
                raise StateFullError(self._path) from error
            raise
        finally:
            self._inside = False

    def remove(self, change: Callable[[], T]) -> T:
        """Make a change that deletes something, which succeeds on a full disk too.

        If there is no room even without the ballast, the rows move to memory.
        """
        try:
            return change()
        except StateFullError:
            if not self._in_memory:
                file = self._connection
                self._copy_to_memory(file)
                file.close()
        return change()

    def _is_full(self, error: sqlite3.OperationalError) -> bool:
        if "disk is full" in str(error):
            return True
        # So SQLite calls it when its shared memory, which is a file, finds no room.
        return (
            str(error) == "disk I/O error"
            and self._ballast is not None
            and self._ballast.free_space() < _NEEDED
        )

    def _release_ballast(self) -> bool:
        return self._ballast is not None and self._ballast.release()

    def wipe(self) -> None:
        """Empty every table; numbers start again at 1."""
        with self.transaction():
            # SQLite's own table of AUTOINCREMENT numbers is among them.
            tables = self.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                self.execute(f"DELETE FROM {table}")  # noqa: S608  # our own tables

    def copy_to(self, path: Path) -> None:
        """Copy the current rows into another file."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)

    @staticmethod
    def verify(path: Path) -> None:
        """Check that a file has this format.

        Raises:
            sqlite3.Error: It has another format, or is damaged.
        """
        with closing(sqlite3.connect(path)) as other:
            found = other.execute("PRAGMA user_version").fetchone()[0]
            if found != _VERSION:
                raise sqlite3.DatabaseError(f"its rows have format {found}, not {_VERSION}")
            (state,) = other.execute("PRAGMA quick_check").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(f"its rows are damaged: {state}")

    def load(self, path: Path) -> None:
        """Replace all rows with those of another file of this format."""
        with closing(sqlite3.connect(path)) as other:
            other.backup(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self.move_to_file()
        if self._in_memory:
            _log.error("%s The last changes of the rows are lost.", StateFullError(self._path))
        self._connection.close()
