"""Named contexts: the rows; their files are in `agentbay_local.contexts.context_store`."""

from __future__ import annotations

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
        session_id: The session whose own it is, made by the service and shown in no listing; None
            for those that people make.
    """

    seq: int
    id: str
    name: str
    state: str
    created: float
    used: float
    session_id: str | None


def _context(row: sqlite3.Row) -> Context:
    names = (field.name for field in attrs.fields(Context))
    return Context(**{name: row[name] for name in names})


class Contexts:
    """The table of contexts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, context_id: str, name: str, now: float, session_id: str | None = None) -> Context:
        """Store a new context; one of a session's own has a `session_id`.

        Raises:
            NameTakenError: There is one with that name.
        """
        sql = (
            "INSERT INTO context (id, name, state, created, used, session_id)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._named(sql, context_id, name, AVAILABLE, now, now, session_id)
        row = self._db.one("SELECT * FROM context WHERE id = ?", context_id)
        if row is None:
            raise LookupError(context_id)
        return _context(row)

    def get(self, context_id: str) -> Context | None:
        """Return a context by id."""
        row = self._db.one("SELECT * FROM context WHERE id = ?", context_id)
        return _context(row) if row else None

    def by_name(self, name: str) -> Context | None:
        """Return a context by name."""
        row = self._db.one("SELECT * FROM context WHERE name = ? AND session_id IS NULL", name)
        return _context(row) if row else None

    def page(self, limit: int, before: int | str | None) -> list[Context]:
        """Return contexts, newest first; see `Sessions.page`."""
        rows = self._db.all(
            "SELECT * FROM context WHERE seq < ? AND session_id IS NULL ORDER BY seq DESC LIMIT ?",
            before if before is not None else 2**62,
            limit,
        )
        return [_context(row) for row in rows]

    def of_session(self, session_id: str) -> list[Context]:
        """Return the contexts that a session has, in the order they were attached."""
        rows = self._db.all(
            "SELECT c.*, min(b.seq) AS place FROM context c JOIN binding b ON b.context_id = c.id"
            " WHERE b.session_id = ? AND c.session_id IS NULL GROUP BY c.seq ORDER BY place",
            session_id,
        )
        return [_context(row) for row in rows]

    def own(self, session_id: str) -> Context | None:
        """Return the context that the service made for a session, if there is one."""
        row = self._db.one("SELECT * FROM context WHERE session_id = ?", session_id)
        return _context(row) if row else None

    def remove_own(self) -> None:
        """Drop the contexts that were made for sessions, which are all over."""
        self._db.run("DELETE FROM context WHERE session_id IS NOT NULL")

    def ids(self) -> list[str]:
        """Return the ids of all contexts."""
        return [row["id"] for row in self._db.all("SELECT id FROM context")]

    def count(self) -> int:
        """Return how many contexts there are."""
        row = self._db.one("SELECT count(*) FROM context WHERE session_id IS NULL")
        return int(row[0]) if row else 0

    def rename(self, context_id: str, name: str) -> bool:
        """Give a context another name; false when it does not exist.

        Raises:
            NameTakenError: Another one has that name.
        """
        return self._named("UPDATE context SET name = ? WHERE id = ?", name, context_id) > 0

    def set_state(self, context_id: str, state: str) -> None:
        """Say whether a context can be used."""
        self._db.run("UPDATE context SET state = ? WHERE id = ?", state, context_id)

    def settle(self) -> None:
        """Make every context usable: what a killed service was clearing is whole either way."""
        self._db.run("UPDATE context SET state = ? WHERE state != ?", AVAILABLE, AVAILABLE)

    def used(self, context_id: str, now: float) -> None:
        """Remember that a context was used."""
        self._db.run("UPDATE context SET used = ? WHERE id = ?", now, context_id)

    def set_expiry(self, context_id: str, moment: float | None) -> None:
        """Remember when the first of its files is to be removed, in Unix seconds."""
        self._db.run("UPDATE context SET next_expiry = ? WHERE id = ?", moment, context_id)

    def next_expiry(self) -> float | None:
        """Return when the next file of any context is to be removed, in Unix seconds."""
        row = self._db.one("SELECT min(next_expiry) FROM context WHERE next_expiry IS NOT NULL")
        return row[0] if row else None

    def expired(self, now: float) -> list[Context]:
        """Return contexts with files whose time is over."""
        rows = self._db.all("SELECT * FROM context WHERE next_expiry <= ?", now)
        return [_context(row) for row in rows]

    def remove(self, context_id: str) -> bool:
        """Drop a context; false when it does not exist."""
        return self._db.run("DELETE FROM context WHERE id = ?", context_id) > 0

    def _named(self, sql: str, *values: object) -> int:
        try:
            return self._db.run(sql, *values)
        except sqlite3.IntegrityError as error:
            raise NameTakenError from error
