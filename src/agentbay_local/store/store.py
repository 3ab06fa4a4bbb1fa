"""The store as a whole: one file, and one object for each subject in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_local.store.bindings import Bindings
from agentbay_local.store.contexts import Contexts
from agentbay_local.store.database import Database
from agentbay_local.store.sessions import Sessions

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["Store"]


@attrs.frozen
class Store:
    """Everything the service remembers.

    Attributes:
        sessions: Sessions and their labels.
        contexts: Named contexts.
        bindings: Which context is seen where in which session, and the tasks that move files.

    Example:
        >>> from pathlib import Path
        >>> store = Store.open(Path(":memory:"))
        >>> store.contexts.by_name("notes") is None
        True
        >>> store.close()
    """

    _database: Database
    sessions: Sessions
    contexts: Contexts
    bindings: Bindings

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, making it when it is missing.

        Raises:
            sqlite3.Error: It is no database of ours, or cannot be written.
        """
        database = Database(path)
        return cls(database, Sessions(database), Contexts(database), Bindings(database))

    def wipe(self) -> None:
        """Drop every row."""
        self._database.wipe()
        self.sessions.forget_totals()

    def copy_to(self, path: Path) -> None:
        """Write all rows, as they are now, into a file of their own.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        self._database.copy_to(path)

    @staticmethod
    def verify(path: Path) -> None:
        """See whether `load` can take over a file.

        Raises:
            sqlite3.Error: It cannot.
        """
        Database.verify(path)

    def load(self, path: Path) -> None:
        """Take over the rows of a file that `copy_to` has written, in place of all there are.

        Raises:
            sqlite3.Error: It is none.
        """
        self._database.load(path)
        self.sessions.forget_totals()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
