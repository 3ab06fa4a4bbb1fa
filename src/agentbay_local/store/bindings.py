"""Bindings: the mount paths of contexts in sessions, and the tasks that transfer their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from agentbay_local.store.database import Database

__all__ = ["FAILED", "RUNNING", "SUCCESS", "Binding", "Bindings", "PathTakenError", "Task"]

RUNNING = "Running"
SUCCESS = "Success"
FAILED = "Failed"


class PathTakenError(Exception):
    """The session has a context at that path; the first argument is the path."""


@attrs.frozen
class Binding:
    """A context in a session. `policy` is the JSON text of the wire."""

    seq: int
    session_id: str
    context_id: str
    path: str
    policy: str
    bound: float


@attrs.frozen
class Task:
    """A transfer of files: `kind` is ``upload`` or ``download``. Times are Unix seconds."""

    seq: int
    session_id: str
    context_id: str
    path: str
    kind: str
    status: str
    error: str
    started: float
    finished: float | None


def _binding(row: sqlite3.Row) -> Binding:
    return Binding(**{name: row[name] for name in row.keys()})  # noqa: SIM118  # a Row iterates over values


def _task(row: sqlite3.Row) -> Task:
    return Task(**{name: row[name] for name in row.keys()})  # noqa: SIM118  # a Row iterates over values


class Bindings:
    """The tables of bindings and tasks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self, session_id: str, wanted: Sequence[tuple[str, str, str]], now: float
    ) -> list[Binding]:
        """Bind contexts to a session, all or none.

        Args:
            session_id: The session.
            wanted: Context id, path and policy of each.
            now: Unix seconds.

        Raises:
            PathTakenError: The session has a context at one of the paths.
        """
        if not wanted:
            return []
        taken = {binding.path for binding in self.of(session_id)}
        for _, path, _ in wanted:
            if path in taken:
                raise PathTakenError(path)
        with self._db.transaction():
            self._db.executemany(
                "INSERT INTO binding (session_id, context_id, path, policy, bound)"
                " VALUES (?, ?, ?, ?, ?)",
                [(session_id, *entry, now) for entry in wanted],
            )
        return self.of(session_id)[-len(wanted) :]

    def of(self, session_id: str) -> list[Binding]:
        """Return the contexts of a session, in the order they were attached."""
        sql = "SELECT * FROM binding WHERE session_id = ? ORDER BY seq"
        return [_binding(row) for row in self._db.execute(sql, (session_id,)).fetchall()]

    def sessions(self) -> set[str]:
        """Return the ids of the sessions that have a context."""
        return {
            row[0] for row in self._db.execute("SELECT DISTINCT session_id FROM binding").fetchall()
        }

    def in_use(self, context_id: str) -> bool:
        """Return whether a session that is not finished has this context."""
        return (
            self._db.execute("SELECT 1 FROM binding WHERE context_id = ?", (context_id,)).fetchone()
            is not None
        )

    def start_task(self, session_id: str, context_id: str, path: str, kind: str, now: float) -> int:
        """Add a running task and return its number; a task never replaces another one."""
        return (
            self._db.execute(
                "INSERT INTO task (session_id, context_id, path, kind, status, started)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (session_id, context_id, path, kind, RUNNING, now),
            ).lastrowid
            or 0
        )

    def finish_task(self, seq: int, error: str | None, now: float) -> None:
        """Record the end of a task, unless it is recorded; `error` is None for success."""
        self._db.execute(
            "UPDATE task SET status = ?, error = ?, finished = ? WHERE seq = ? AND status = ?",
            (SUCCESS if error is None else FAILED, error or "", now, seq, RUNNING),
        )

    def fail_running(self, session_id: str, error: str, now: float) -> None:
        """Fail the tasks of a session that are still running."""
        self._db.execute(
            "UPDATE task SET status = ?, error = ?, finished = ?"
            " WHERE session_id = ? AND status = ?",
            (FAILED, error, now, session_id, RUNNING),
        )

    def settle(self, now: float) -> None:
        """Fail the tasks that are still running: after a restore nothing executes them."""
        self._db.execute(
            "UPDATE task SET status = ?, error = ?, finished = ? WHERE status = ?",
            (FAILED, "the service was restored", now, RUNNING),
        )

    def tasks(
        self, session_id: str, context_id: str | None, path: str | None, kind: str | None
    ) -> list[Task]:
        """Return the tasks of a session in the order of their start; None matches everything."""
        rows = self._db.execute(
            "SELECT * FROM task WHERE session_id = ?1 AND (?2 IS NULL OR context_id = ?2)"
            " AND (?3 IS NULL OR path = ?3) AND (?4 IS NULL OR kind = ?4) ORDER BY seq",
            (session_id, context_id, path, kind),
        ).fetchall()
        return [_task(row) for row in rows]
