"""The store: one SQLite file, and one table object for each subject."""

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
    """The rows of a service.

    Attributes:
        sessions: Sessions and their labels.
        contexts: Contexts.
        bindings: Contexts in sessions, and the tasks that transfer their files.

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
        """Open the file; create it if it is missing.

        Raises:
            sqlite3.Error: The file is not a database of this format, or cannot be written.
        """
        database = Database(path)
        return cls(database, Sessions(database), Contexts(database), Bindings(database))

    @property
    def is_in_memory(self) -> bool:
        """Whether the disk is full, and changes are lost if the service ends before it has room."""
        return self._database.is_in_memory

    def move_to_file(self) -> None:
        """Write rows that are kept in memory back to the file, if there is room again."""
        self._database.move_to_file()

    def wipe(self) -> None:
        """Delete every row."""
        self._database.wipe()
        self.sessions.forget_totals()

    def copy_to(self, path: Path) -> None:
        """Copy the current rows into another file.

        Raises:
            sqlite3.Error: The file cannot be written.
        """
        self._database.copy_to(path)

    @staticmethod
    def verify(path: Path) -> None:
        """Check that `load` can read a file.

        Raises:
            sqlite3.Error: It has another format, or is damaged.
        """
        Database.verify(path)

    def load(self, path: Path) -> None:
        """Replace all rows with those of a file that `copy_to` has written.

        Raises:
            sqlite3.Error: The file is not a database.
        """
        self._database.load(path)
        self.sessions.forget_totals()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
