"""Sessions and their labels, and listings of sessions that are not being released."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.store import states
from agentbay_local.store.tags import Move, Tags
from agentbay_local.store.totals import Totals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence, Set

    from agentbay_local.store.database import Database
    from agentbay_local.store.totals import Tag

__all__ = ["Filter", "NewSession", "Session", "Sessions", "new_session_id"]

_LISTED: Tag = ("", "")
# Counted like a tag, but never stored: only its number is asked for.
_ALIVE: Tag = ("alive", "")


def new_session_id() -> str:
    """Return an id that no session has, and that nobody can guess."""
    return f"s-{secrets.token_hex(10)}"


@attrs.frozen
class NewSession:
    """A session to store.

    Attributes:
        id: Its id.
        image: Its image.
        labels: Its labels.
        created: Unix seconds.
        idle_seconds: Release it after this time without use; None for never.
        ends: Release it at this reading of the monotonic clock, used or not; None for never.
    """

    id: str
    image: str
    labels: Mapping[str, str]
    created: float
    idle_seconds: float | None = None
    ends: float | None = None


@attrs.frozen
class Session:
    """A stored session; see `NewSession` for the times."""

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
    """The sessions that a listing shows: those that meet every condition.

    Attributes:
        labels: Labels that they have.
        status: Their state; None for any.
        image: Their image; None for any.
        created_by: Unix seconds by which they were created; None for any time.
    """

    labels: tuple[tuple[str, str], ...] = ()
    status: str | None = None
    image: str | None = None
    created_by: float | None = None

    def tags(self) -> list[Tag]:
        """Return the tags that a session must have."""
        tags = [(f"label:{key}", value) for key, value in self.labels]
        tags += [("status", self.status)] if self.status else []
        tags += [("image", self.image)] if self.image else []
        return tags or [_LISTED]


# Greater than any `seq`.
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
            tags = [_tags(states.RUNNING, new.image, new.labels) for new, _ in several]
            self._tags.move(
                [
                    Move(row.seq, frozenset(), added)
                    for row, added in zip(sessions, tags, strict=True)
                ]
            )
            for added in tags:
                self._totals.moved(frozenset(), added | {_ALIVE})
        return sessions

    def _insert(self, new: NewSession, expires: float | None) -> Session:
        labels, status = json.dumps(dict(new.labels)), states.RUNNING
        times = (new.created, new.idle_seconds, new.ends, expires)
        cursor = self._db.execute(
            "INSERT INTO session (id, image, labels, status, created, idle_seconds, ends, expires)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (new.id, new.image, labels, status, *times),
        )
        return Session(
            cursor.lastrowid or 0,
            new.id,
            new.image,
            states.RUNNING,
            new.created,
            new.idle_seconds,
            new.ends,
            "",
        )

    def get(self, session_id: str) -> Session | None:
        """Return a session, finished or not."""
        row = self._db.execute(_BY_ID, (session_id,)).fetchone()
        return Session(*row) if row else None

    def live(self) -> list[Session]:
        """Return every session that is not finished."""
        sql = f"SELECT {_COLUMNS} FROM session s WHERE finished IS NULL"  # noqa: S608  # as above
        return [Session(*row) for row in self._db.execute(sql).fetchall()]

    def labels_of_live(self) -> dict[str, dict[str, str]]:
        """Return the labels of every session that is not finished, by its id."""
        rows = self._db.execute(
            "SELECT id, labels FROM session WHERE finished IS NULL ORDER BY seq"
        ).fetchall()
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
        """Set the time on the monotonic clock at which to release a session."""
        self._db.execute("UPDATE session SET expires = ? WHERE id = ?", (expires, session_id))

    def postpone(self, session_id: str, expires: float | None) -> None:
        """As `set_expiry`, unless the session was paused meanwhile: then it has no expiry."""
        self._db.execute(
            "UPDATE session SET expires = ? WHERE id = ? AND status = ?",
            (expires, session_id, states.RUNNING),
        )

    def expired(self, now: float) -> list[Session]:
        """Return the sessions whose expiry on the monotonic clock has passed at `now`."""
        sql = f"SELECT {_COLUMNS} FROM session s WHERE expires <= ? AND finished IS NULL"  # noqa: S608  # as above
        return [Session(*row) for row in self._db.execute(sql, (now,)).fetchall()]

    def next_expiry(self) -> float | None:
        """Return the earliest expiry of any session, on the monotonic clock."""
        row = self._db.execute(
            "SELECT min(expires) FROM session WHERE expires IS NOT NULL"
        ).fetchone()
        return row[0] if row else None

    def first_finished(self) -> float | None:
        """Return the earliest time at which a session finished, in Unix seconds."""
        row = self._db.execute(
            "SELECT min(finished) FROM session WHERE finished IS NOT NULL"
        ).fetchone()
        return row[0] if row else None

    def alive(self) -> int:
        """Return the number of sessions that are not finished."""
        return self._totals.of([_ALIVE], self._counted_alive)

    def _counted_alive(self) -> int:
        row = self._db.execute("SELECT count(*) FROM session WHERE finished IS NULL").fetchone()
        return int(row[0]) if row else 0

    def begin_release(self, session_id: str, reason: str) -> None:
        """Move a session to DELETING; from now on its detail shows the reason."""
        with self._changing():
            self._set(session_id, "status", states.DELETING)
            self._db.execute(
                "UPDATE session SET end_reason = ?, expires = NULL WHERE id = ?",
                (reason, session_id),
            )

    def finish(self, session_id: str, reason: str, now: float) -> None:
        """Finish a session: from now on only its detail shows it. Succeeds on a full disk."""
        self._db.remove(lambda: self._finish(session_id, reason, now))

    def _finish(self, session_id: str, reason: str, now: float) -> None:
        with self._changing():
            self._set(session_id, "status", states.FINISH)
            self._db.execute(
                "UPDATE session SET finished = ?, end_reason = ?, expires = NULL WHERE id = ?",
                (now, reason, session_id),
            )
            self._db.execute("DELETE FROM binding WHERE session_id = ?", (session_id,))
            self._db.execute("DELETE FROM task WHERE session_id = ?", (session_id,))

    def finish_all(self, reason: str, now: float) -> None:
        """Finish every session, and delete all bindings and tasks."""
        with self._changing():
            self._db.execute(
                "UPDATE session SET status = ?, finished = ?, end_reason = ?, expires = NULL"
                " WHERE finished IS NULL",
                (states.FINISH, now, reason),
            )
            for table in ("tag", "tag_count", "binding", "task"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  # our own tables
        self._totals.forget()

    def forget(self, before: float) -> None:
        """Delete the sessions that finished before a time in Unix seconds."""
        self._db.execute("DELETE FROM session WHERE finished < ?", (before,))

    def shift(self, seconds: float) -> None:
        """Shift all times on the monotonic clock, after a move to another clock."""
        self._db.execute("UPDATE session SET ends = ends + ?1, expires = expires + ?1", (seconds,))

    def forget_totals(self) -> None:
        """Count again from the rows, because all of them have changed."""
        self._totals.forget()

    def page(self, wanted: Filter, limit: int, before: int | str | None) -> list[Session]:
        """Return listed sessions, newest first.

        Args:
            wanted: The conditions that they meet.
            limit: Maximum number of sessions.
            before: The `seq` that ended the previous page; None for the first page.
        """
        where, values = self._tags.matching(wanted.tags())
        hidden = self._first_hidden(wanted)
        sql = (
            f"SELECT {_COLUMNS} FROM tag t JOIN session s ON s.seq = t.seq"  # noqa: S608  # no text of a caller
            f" WHERE {where} AND t.seq < min(?, ?) ORDER BY t.seq DESC LIMIT ?"
        )
        ends = [_BEYOND if end is None else end for end in (before, hidden)]
        return [Session(*row) for row in self._db.execute(sql, (*values, *ends, limit)).fetchall()]

    def count(self, wanted: Filter) -> int:
        """Return the number of sessions of a listing."""
        tags, hidden = wanted.tags(), self._first_hidden(wanted)
        total = (
            self._tags.number(tags[0])
            if len(tags) == 1
            else self._totals.of(tags, lambda: self._counted(tags, 0))
        )
        return total if hidden is None else total - self._counted(tags, hidden)

    def _first_hidden(self, wanted: Filter) -> int | None:
        """Return the first `seq` that was created too late to be shown; None for no limit."""
        if wanted.created_by is None:
            return None
        # `seq` grows with `created`, so that only the latest sessions are scanned.
        sql = "SELECT seq FROM session WHERE created <= ? ORDER BY seq DESC LIMIT 1"
        row = self._db.execute(sql, (wanted.created_by,)).fetchone()
        return row["seq"] + 1 if row else 0

    def _counted(self, tags: Sequence[Tag], since: int) -> int:
        where, values = self._tags.matching(tags)
        sql = f"SELECT count(*) FROM tag t WHERE {where} AND t.seq >= ?"  # noqa: S608  # as above
        row = self._db.execute(sql, (*values, since)).fetchone()
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
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM session WHERE id = ?", (session_id,)
        ).fetchone()
        if row is None:
            raise LookupError(session_id)
        return row

    def _change(self, session_id: str, column: str, value: str) -> None:
        with self._changing():
            self._set(session_id, column, value)

    def _set(self, session_id: str, column: str, value: str) -> None:
        row = dict(self._row(session_id))
        changed = {**row, column: value}
        self._db.execute(f"UPDATE session SET {column} = ? WHERE id = ?", (value, session_id))  # noqa: S608  # our own column
        self._tags.move([Move(row["seq"], _tags_of_row(row), _tags_of_row(changed))])
        self._totals.moved(_counted_as(row), _counted_as(changed))


def _tags_of_row(row: Mapping[str, Any]) -> Set[Tag]:
    return _tags(row["status"], row["image"], json.loads(row["labels"]))


def _counted_as(row: Mapping[str, Any]) -> Set[Tag]:
    """Return the tags under which `Totals` counts a session in that state."""
    return _tags_of_row(row) | (set() if row["status"] == states.FINISH else {_ALIVE})


def _tags(status: str, image: str, labels: Mapping[str, str]) -> Set[Tag]:
    """Return the tags of a session; a session that is being released has none."""
    if status not in states.LISTED:
        return set()
    tags = {(f"label:{key}", value) for key, value in labels.items()}
    return {_LISTED, ("status", status), ("image", image)} | tags
