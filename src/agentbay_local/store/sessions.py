"""Sessions and their labels, and the listing of those that are not released."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.store import states
from agentbay_local.store.session_rows import (
    ALIVE,
    Filter,
    NewSession,
    Session,
    tags_of,
)
from agentbay_local.store.tags import Move, Tags
from agentbay_local.store.totals import Totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence, Set

    from agentbay_local.store.database import Database
    from agentbay_local.store.totals import Tag

__all__ = ["Filter", "NewSession", "Session", "Sessions"]

# Above any number of a session.
_BEYOND = 2**62
_COLUMNS = ", ".join(f"s.{field.name}" for field in attrs.fields(Session))
_BY_ID = f"SELECT {_COLUMNS} FROM session s WHERE id = ?"  # noqa: S608  # our own columns


class Sessions:
    """The table of sessions."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._tags = Tags(database)
        self._totals = Totals()

    def add(self, several: Sequence[tuple[NewSession, float | None]]) -> list[Session]:
        """Store running sessions, all or none, in one transaction.

        Args:
            several: The sessions, and when to release each on the monotonic clock.
        """
        with self._changing():
            sessions = [self._insert(new, expires) for new, expires in several]
            tags = [tags_of(states.RUNNING, new.image, new.labels) for new, _ in several]
            self._tags.move(
                [
                    Move(row.seq, frozenset(), added)
                    for row, added in zip(sessions, tags, strict=True)
                ]
            )
            for added in tags:
                self._totals.moved(frozenset(), added | {ALIVE})
        return sessions

    def _insert(self, new: NewSession, expires: float | None) -> Session:
        seq = self._db.insert(
            "INSERT INTO session (id, image, labels, created, idle_seconds, ends, status, expires)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            new.id,
            new.image,
            json.dumps(dict(new.labels)),
            new.created,
            new.idle_seconds,
            new.ends,
            states.RUNNING,
            expires,
        )
        return Session(
            seq, new.id, new.image, states.RUNNING, new.created, new.idle_seconds, new.ends, ""
        )

    def get(self, session_id: str) -> Session | None:
        """Return a session, also a finished one."""
        row = self._db.one(_BY_ID, session_id)
        return Session(*row) if row else None

    def live(self) -> list[Session]:
        """Return every session that is not finished."""
        sql = f"SELECT {_COLUMNS} FROM session s WHERE finished IS NULL"  # noqa: S608  # as above
        return [Session(*row) for row in self._db.all(sql)]

    def labels_of_live(self) -> dict[str, dict[str, str]]:
        """Return the labels of every session that is not finished, by its id."""
        rows = self._db.all("SELECT id, labels FROM session WHERE finished IS NULL ORDER BY seq")
        return {row["id"]: json.loads(row["labels"]) for row in rows}

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
        sql = f"SELECT {_COLUMNS} FROM session s WHERE expires <= ? AND finished IS NULL"  # noqa: S608  # as above
        return [Session(*row) for row in self._db.all(sql, now)]

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
        return self._totals.of([ALIVE], self._counted_alive)

    def _counted_alive(self) -> int:
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

    def finish_all(self, reason: str, now: float) -> None:
        """Make every session a thing of the past, with what is attached to them."""
        with self._changing():
            self._db.run(
                "UPDATE session SET status = ?, finished = ?, end_reason = ?, expires = NULL"
                " WHERE finished IS NULL",
                states.FINISH,
                now,
                reason,
            )
            for table in ("tag", "tag_count", "binding", "task"):
                self._db.run(f"DELETE FROM {table}")  # noqa: S608  # our own tables
        self._totals.forget()

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
        where, values = self._tags.matching(wanted.tags())
        young = self._too_young(wanted)
        sql = (
            f"SELECT {_COLUMNS} FROM tag t JOIN session s ON s.seq = t.seq"  # noqa: S608  # no text of a caller
            f" WHERE {where} AND t.seq < min(?, ?) ORDER BY t.seq DESC LIMIT ?"
        )
        ends = [_BEYOND if end is None else end for end in (before, young)]
        return [Session(*row) for row in self._db.all(sql, *values, *ends, limit)]

    def count(self, wanted: Filter) -> int:
        """Return how many sessions a listing has."""
        tags, young = wanted.tags(), self._too_young(wanted)
        total = (
            self._tags.number(tags[0])
            if len(tags) == 1
            else self._totals.of(tags, lambda: self._counted(tags, 0))
        )
        return total if young is None else total - self._counted(tags, young)

    def _too_young(self, wanted: Filter) -> int | None:
        """Return the number from which on sessions were made too late to be shown."""
        if wanted.made_by is None:
            return None
        # They are numbered as they are made, so that this looks at the young ones alone.
        sql = "SELECT seq FROM session WHERE created <= ? ORDER BY seq DESC LIMIT 1"
        row = self._db.one(sql, wanted.made_by)
        return row["seq"] + 1 if row else 0

    def _counted(self, tags: Sequence[Tag], since: int) -> int:
        where, values = self._tags.matching(tags)
        sql = f"SELECT count(*) FROM tag t WHERE {where} AND t.seq >= ?"  # noqa: S608  # as above
        row = self._db.one(sql, *values, since)
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
        self._tags.move([Move(row["seq"], _tags_of_row(row), _tags_of_row(changed))])
        self._totals.moved(_counted_as(row), _counted_as(changed))


def _tags_of_row(row: Mapping[str, Any]) -> Set[Tag]:
    return tags_of(row["status"], row["image"], json.loads(row["labels"]))


def _counted_as(row: Mapping[str, Any]) -> Set[Tag]:
    """Return the tags under which `Totals` counts a session in that state."""
    return _tags_of_row(row) | (set() if row["status"] == states.FINISH else {ALIVE})
