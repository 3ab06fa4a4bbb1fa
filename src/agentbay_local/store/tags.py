"""Tags of sessions, and the number of sessions with each; `database` defines a tag.

Every call costs the same among a hundred thousand sessions as among ten.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from agentbay_local.store.database import Database
    from agentbay_local.store.totals import Tag

__all__ = ["Move", "Tags"]


@attrs.frozen
class Move:
    """A change of the tags of one session."""

    seq: int
    old: Set[Tag]
    new: Set[Tag]


class Tags:
    """The tables of tags."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def move(self, moves: Sequence[Move]) -> None:
        """Store changes of tags, inside a transaction of the caller."""
        lost = [(*tag, move.seq) for move in moves for tag in sorted(move.old - move.new)]
        gained = [(*tag, move.seq) for move in moves for tag in sorted(move.new - move.old)]
        self._db.executemany("DELETE FROM tag WHERE key = ? AND value = ? AND seq = ?", lost)
        self._db.executemany("INSERT INTO tag VALUES (?, ?, ?)", gained)
        steps = Counter((key, value) for key, value, _ in gained)
        steps.subtract((key, value) for key, value, _ in lost)
        self._db.executemany(
            "INSERT INTO tag_count VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions",
            [(*tag, step) for tag, step in steps.items() if step],
        )
        # Otherwise each label with a unique value leaves a row behind for ever.
        self._db.executemany(
            "DELETE FROM tag_count WHERE key = ? AND value = ? AND sessions = 0",
            [tag for tag, step in steps.items() if step < 0],
        )

    def number(self, tag: Tag) -> int:
        """Return the number of sessions with a tag."""
        row = self._db.execute(
            "SELECT sessions FROM tag_count WHERE key = ? AND value = ?", tag
        ).fetchone()
        return int(row[0]) if row else 0

    def matching(self, tags: Sequence[Tag]) -> tuple[str, list[str]]:
        """Return the SQL condition for a row `t` of a session with all tags, and its values.

        The condition scans the sessions with the rarest of the tags.
        """
        first, *rest = sorted(tags, key=self.number)
        has = " AND EXISTS (SELECT 1 FROM tag WHERE key = ? AND value = ? AND seq = t.seq)"
        values = [text for tag in (first, *rest) for text in tag]
        return "t.key = ? AND t.value = ?" + has * len(rest), values
