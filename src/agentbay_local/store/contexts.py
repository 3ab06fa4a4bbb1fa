"""Rows of contexts; their files are in `agentbay_local.contexts.context_store`."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from agentbay_local.store.database import Database

__all__ = ["AVAILABLE", "CLEARING", "Context", "Contexts", "NameTakenError"]

AVAILABLE = "available"
CLEARING = "clearing"


class NameTakenError(Exception):
    """Another context has that name."""


@attrs.frozen
class Context:
    """A stored context. Times are Unix seconds.

    Attributes:
        session_id: The session that owns an internal context, which listings do not show; None for
            the contexts of users.
        mount_paths: The paths at which it was mounted, and where its files are for each; see
            `agentbay_local.contexts.mount_paths`.
    """

    seq: int
    id: str
    name: str
    state: str
    created: float
    used: float
    session_id: str | None
    mount_paths: dict[str, str]


def _context(row: sqlite3.Row) -> Context:
    names = (field.name for field in attrs.fields(Context))
    return Context(
        **{**{name: row[name] for name in names}, "mount_paths": json.loads(row["mount_paths"])}
    )


class Contexts:
    """The table of contexts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, context_id: str, name: str, now: float, session_id: str | None = None) -> Context:
        """Store a new context; an internal one has a `session_id`.

        Raises:
            NameTakenError: Another context has that name.
        """
        sql = (
            "INSERT INTO context (id, name, state, created, used, session_id)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._named(sql, context_id, name, AVAILABLE, now, now, session_id)
        row = self._db.execute("SELECT * FROM context WHERE id = ?", (context_id,)).fetchone()
        if row is None:
            raise LookupError(context_id)
        return _context(row)

    def get(self, context_id: str) -> Context | None:
        """Return a context by id."""
        row = self._db.execute("SELECT * FROM context WHERE id = ?", (context_id,)).fetchone()
        return _context(row) if row else None

    def by_name(self, name: str) -> Context | None:
        """Return a context by name."""
        row = self._db.execute(
            "SELECT * FROM context WHERE name = ? AND session_id IS NULL", (name,)
        ).fetchone()
        return _context(row) if row else None

    def page(self, limit: int, before: int | str | None) -> list[Context]:
        """Return contexts, newest first; see `Sessions.page`."""
        rows = self._db.execute(
            "SELECT * FROM context WHERE seq < ? AND session_id IS NULL ORDER BY seq DESC LIMIT ?",
            (before if before is not None else 2**62, limit),
        ).fetchall()
        return [_context(row) for row in rows]

    def of_session(self, session_id: str) -> list[Context]:
        """Return the contexts that a session has, in the order they were attached."""
        rows = self._db.execute(
            "SELECT c.*, min(b.seq) AS place FROM context c JOIN binding b ON b.context_id = c.id"
            " WHERE b.session_id = ? AND c.session_id IS NULL GROUP BY c.seq ORDER BY place",
            (session_id,),
        ).fetchall()
        return [_context(row) for row in rows]

    def own(self, session_id: str) -> Context | None:
        """Return the internal context of a session, if there is one."""
        row = self._db.execute(
            "SELECT * FROM context WHERE session_id = ?", (session_id,)
        ).fetchone()
        return _context(row) if row else None

    def remove_own(self) -> None:
        """Delete all internal contexts, after the end of their sessions."""
        self._db.execute("DELETE FROM context WHERE session_id IS NOT NULL")

    def own_ids(self) -> list[str]:
        """Return the ids of all internal contexts."""
        rows = self._db.execute("SELECT id FROM context WHERE session_id IS NOT NULL").fetchall()
        return [row["id"] for row in rows]

    def ids(self) -> list[str]:
        """Return the ids of all contexts."""
        return [row["id"] for row in self._db.execute("SELECT id FROM context").fetchall()]

    def count(self) -> int:
        """Return the number of contexts, without internal ones."""
        row = self._db.execute("SELECT count(*) FROM context WHERE session_id IS NULL").fetchone()
        return int(row[0]) if row else 0

    def rename(self, context_id: str, name: str) -> bool:
        """Rename a context; return whether it exists.

        Raises:
            NameTakenError: Another one has that name.
        """
        return self._named("UPDATE context SET name = ? WHERE id = ?", name, context_id) > 0

    def set_mount_paths(self, context_id: str, mount_paths: dict[str, str]) -> None:
        """Record the mount paths of a context."""
        sql = "UPDATE context SET mount_paths = ? WHERE id = ?"
        self._db.execute(sql, (json.dumps(mount_paths), context_id))

    def set_state(self, context_id: str, state: str) -> None:
        """Set the state of a context: `AVAILABLE` or `CLEARING`."""
        self._db.execute("UPDATE context SET state = ? WHERE id = ?", (state, context_id))

    def settle(self) -> None:
        """Make every context available: a clear that was cut short did no harm."""
        self._db.execute("UPDATE context SET state = ? WHERE state != ?", (AVAILABLE, AVAILABLE))

    def used(self, context_id: str, now: float) -> None:
        """Record the last use of a context."""
        self._db.execute("UPDATE context SET used = ? WHERE id = ?", (now, context_id))

    def set_expiry(self, context_id: str, moment: float | None) -> None:
        """Record the earliest expiry of its files, in Unix seconds; None for no expiry."""
        self._db.execute("UPDATE context SET next_expiry = ? WHERE id = ?", (moment, context_id))

    def next_expiry(self) -> float | None:
        """Return the earliest expiry of any file, in Unix seconds."""
        row = self._db.execute(
            "SELECT min(next_expiry) FROM context WHERE next_expiry IS NOT NULL"
        ).fetchone()
        return row[0] if row else None

    def expired(self, now: float) -> list[Context]:
        """Return the contexts with expired files."""
        rows = self._db.execute("SELECT * FROM context WHERE next_expiry <= ?", (now,)).fetchall()
        return [_context(row) for row in rows]

    def remove(self, context_id: str) -> bool:
        """Delete a context; return whether it existed. Succeeds on a full disk."""
        sql = "DELETE FROM context WHERE id = ?"
        return self._db.remove(lambda: self._db.execute(sql, (context_id,))).rowcount > 0

    def _named(self, sql: str, *values: object) -> int:
        try:
            return self._db.execute(sql, values).rowcount
        except sqlite3.IntegrityError as error:
            raise NameTakenError from error
