"""Sessions and their labels, and the listing of those that are not released."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.sessions import states
from agentbay_local.store.totals import Totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

    from agentbay_local.store.database import Database

__all__ = ["Filter", "NewSession", "Session", "Sessions"]

_LISTED = ("", "")


@attrs.frozen
class NewSession:
    """A session that is about to be stored.

    Attributes:
        id: Its id.
        image: Its image.
        labels: Its labels.
        created: Unix seconds.
        idle_seconds: Time without use after which it is released, or None for never.
        ends: Reading of the monotonic clock at which it is released in any case, or None.
    """

    id: str
    image: str
    labels: Mapping[str, str]
    created: float
    idle_seconds: float | None = None
    ends: float | None = None


@attrs.frozen
class Session:
    """A stored session. See `NewSession` for the times."""

    seq: int
    id: str
    image: str
    status: str
    created: float
    idle_seconds: float | None
    ends: float | None
    end_reason: str


@attrs.frozen
class Filter:
    """Which sessions a listing shows: those that have all of it.

    Attributes:
        labels: Labels, all of which they have.
        status: Their state.
        image: Their image.
        made_by: They were created no later, in Unix seconds.
    """

    labels: tuple[tuple[str, str], ...] = ()
    status: str | None = None
    image: str | None = None
    made_by: float | None = None

    def tags(self) -> list[tuple[str, str]]:
        """Return the tags that a session must have."""
        tags = [(f"label:{key}", value) for key, value in self.labels]
        tags += [("status", self.status)] if self.status else []
        tags += [("image", self.image)] if self.image else []
        return tags or [_LISTED]


def _session(row: sqlite3.Row) -> Session:
    names = (field.name for field in attrs.fields(Session))
    return Session(**{name: row[name] for name in names})


def _tags_of(row: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the tags of a session in that state; a session on its way out has none."""
    if row["status"] not in states.LISTED:
        return set()
    labels = {(f"label:{key}", value) for key, value in json.loads(row["labels"]).items()}
    return {_LISTED, ("status", row["status"]), ("image", row["image"])} | labels


class Sessions:
    """The table of sessions."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._totals = Totals()

    def add(self, new: NewSession, expires: float | None) -> Session:
        """Store a running session that is released at `expires` on the monotonic clock."""
        with self._changing():
            self._db.run(
                "INSERT INTO session (id, image, status, labels, created, idle_seconds, ends,"
                " expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                new.id,
                new.image,
                states.RUNNING,
                json.dumps(dict(new.labels)),
                new.created,
                new.idle_seconds,
                new.ends,
                expires,
            )
            row = self._row(new.id)
            self._retag(row["seq"], set(), _tags_of(dict(row)))
        return _session(row)

    def get(self, session_id: str) -> Session | None:
        """Return a session, also a finished one."""
        row = self._db.one("SELECT * FROM session WHERE id = ?", session_id)
        return _session(row) if row else None

    def live(self) -> list[Session]:
        """Return every session that is not finished."""
        return [
            _session(row) for row in self._db.all("SELECT * FROM session WHERE finished IS NULL")
        ]

    def labels(self, session_id: str) -> dict[str, str]:
        """Return the labels of a session."""
        labels: dict[str, str] = json.loads(self._row(session_id)["labels"])
        return labels

    def set_labels(self, session_id: str, labels: Mapping[str, str]) -> None:
        """Replace the labels of a session."""
        self._change(session_id, "labels", json.dumps(dict(labels)))

    def set_status(self, session_id: str, status: str) -> None:
        """Move a session to another state."""
        self._change(session_id, "status", status)

    def set_expiry(self, session_id: str, expires: float | None) -> None:
        """Say when, on the monotonic clock, a session is to be released."""
        self._db.run("UPDATE session SET expires = ? WHERE id = ?", expires, session_id)

    def postpone(self, session_id: str, expires: float | None) -> None:
        """As `set_expiry`, but only for a running session: a paused one has no expiry."""
        self._db.run(
            "UPDATE session SET expires = ? WHERE id = ? AND status = ?",
            expires,
            session_id,
            states.RUNNING,
        )

    def expired(self, now: float) -> list[Session]:
        """Return the sessions whose time is over at `now` on the monotonic clock."""
        sql = "SELECT * FROM session WHERE expires <= ? AND finished IS NULL"
        return [_session(row) for row in self._db.all(sql, now)]

    def next_expiry(self) -> float | None:
        """Return when the next session is to be released, on the monotonic clock."""
        row = self._db.one("SELECT min(expires) FROM session WHERE expires IS NOT NULL")
        return row[0] if row else None

    def first_finished(self) -> float | None:
        """Return when the session that finished first did so, in Unix seconds."""
        row = self._db.one("SELECT min(finished) FROM session WHERE finished IS NOT NULL")
        return row[0] if row else None

    def alive(self) -> int:
        """Return how many sessions are not finished."""
        row = self._db.one("SELECT count(*) FROM session WHERE finished IS NULL")
        return int(row[0]) if row else 0

    def finish(self, session_id: str, reason: str, now: float) -> None:
        """Make a session a thing of the past, which only its detail still shows."""
        with self._changing():
            self._set(session_id, "status", states.FINISH)
            self._db.run(
                "UPDATE session SET finished = ?, end_reason = ?, expires = NULL WHERE id = ?",
                now,
                reason,
                session_id,
            )
            self._db.run("DELETE FROM binding WHERE session_id = ?", session_id)
            self._db.run("DELETE FROM task WHERE session_id = ?", session_id)

    def forget(self, before: float) -> None:
        """Drop what finished before a moment, in Unix seconds."""
        self._db.run("DELETE FROM session WHERE finished < ?", before)

    def shift(self, seconds: float) -> None:
        """Move all times on the monotonic clock: it is another one now."""
        self._db.run("UPDATE session SET ends = ends + ?1, expires = expires + ?1", seconds)

    def forget_totals(self) -> None:
        """Count anew: all rows have changed at once."""
        self._totals.forget()

    def page(self, wanted: Filter, limit: int, before: int | str | None) -> list[Session]:
        """Return listed sessions, newest first.

        Args:
            wanted: Which of them.
            limit: How many at most.
            before: The `seq` after which the page begins, or None for the first page.
        """
        where, values = self._where(wanted)
        sql = f"SELECT s.* FROM {where} AND t.seq < ? ORDER BY t.seq DESC LIMIT ?"  # noqa: S608  # no text of a caller
        sql = sql.replace("FROM tag t", "FROM tag t JOIN session s ON s.seq = t.seq")
        rows = self._db.all(sql, *values, before if before is not None else 2**62, limit)
        return [_session(row) for row in rows]

    def count(self, wanted: Filter) -> int:
        """Return how many sessions a listing has."""
        tags = wanted.tags()
        if wanted.made_by is not None:
            return self._counted(wanted)
        if len(tags) == 1:
            return self._tagged(tags[0])
        return self._totals.of(tags, lambda: self._counted(wanted))

    def _counted(self, wanted: Filter) -> int:
        where, values = self._where(wanted)
        row = self._db.one(f"SELECT count(*) FROM {where}", *values)  # noqa: S608  # no text of a caller
        return int(row[0]) if row else 0

    def _where(self, wanted: Filter) -> tuple[str, list[str | float]]:
        """Build the part of a query that finds the sessions with all tags, the rarest first."""
        first, *rest = sorted(wanted.tags(), key=self._tagged)
        has = " AND EXISTS (SELECT 1 FROM tag WHERE key = ? AND value = ? AND seq = t.seq)"
        values: list[str | float] = [text for tag in (first, *rest) for text in tag]
        sql = "tag t WHERE t.key = ? AND t.value = ?" + has * len(rest)
        if wanted.made_by is not None:
            sql += " AND (SELECT created FROM session WHERE seq = t.seq) <= ?"
            values.append(wanted.made_by)
        return sql, values

    def _tagged(self, tag: tuple[str, str]) -> int:
        row = self._db.one("SELECT sessions FROM tag_count WHERE key = ? AND value = ?", *tag)
        return int(row[0]) if row else 0

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with self._db.transaction():
                yield
        except BaseException:
            self._totals.forget()
            raise

    def _row(self, session_id: str) -> sqlite3.Row:
        row = self._db.one("SELECT * FROM session WHERE id = ?", session_id)
        if row is None:
            raise LookupError(session_id)
        return row

    def _change(self, session_id: str, column: str, value: str) -> None:
        with self._changing():
            self._set(session_id, column, value)

    def _set(self, session_id: str, column: str, value: str) -> None:
        row = dict(self._row(session_id))
        changed = {**row, column: value}
        self._db.run(f"UPDATE session SET {column} = ? WHERE id = ?", value, session_id)  # noqa: S608  # our own column
        self._retag(row["seq"], _tags_of(row), _tags_of(changed))

    def _retag(self, seq: int, old: set[tuple[str, str]], new: set[tuple[str, str]]) -> None:
        lost, gained = sorted(old - new), sorted(new - old)
        self._db.run_many(
            "DELETE FROM tag WHERE key = ? AND value = ? AND seq = ?",
            [(*tag, seq) for tag in lost],
        )
        self._db.run_many("INSERT INTO tag VALUES (?, ?, ?)", [(*tag, seq) for tag in gained])
        self._recount((*tag, -1) for tag in lost)
        self._recount((*tag, 1) for tag in gained)
        self._totals.moved(old, new)

    def _recount(self, steps: Iterable[tuple[str, str, int]]) -> None:
        for key, value, step in steps:
            self._db.run(
                "INSERT INTO tag_count VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions",
                key,
                value,
                step,
            )
            if step < 0:
                # Labels with unique values would otherwise leave a row each, for ever.
                self._db.run(
                    "DELETE FROM tag_count WHERE key = ? AND value = ? AND sessions = 0", key, value
                )
