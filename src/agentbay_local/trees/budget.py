"""Budgets: the bytes and files that one piece of work for a session may take."""

from __future__ import annotations

import attrs

__all__ = ["MOST_ENTRIES", "Budget", "BudgetExceededError"]

MOST_ENTRIES = 200_000
"""Files, links and directories of one tree; each costs the service about a kilobyte of memory."""

_PATH_UNIT = 256


class BudgetExceededError(OSError):
    """Some work for a session would take more than its budget, or was cancelled."""


@attrs.define
class Budget:
    """Counts the bytes and entries of one copy, scan, packing or unpacking, up to a limit.

    Attributes:
        most_bytes: Bytes to read or write; None sets no limit. Holes of sparse files are free.
        most_entries: Files, links and directories; None sets no limit. A long path counts as
            several.

    Example:
        >>> budget = Budget(most_bytes=10, most_entries=None)
        >>> budget.take_bytes(8)
        >>> budget.take_bytes(8)
        Traceback (most recent call last):
        ...
        agentbay_local.trees.budget.BudgetExceededError: it takes more than 10 bytes, ...
    """

    most_bytes: int | None
    most_entries: int | None = MOST_ENTRIES
    _bytes: int = attrs.field(default=0, init=False)
    _entries: int = attrs.field(default=0, init=False)
    _cancelled: bool = attrs.field(default=False, init=False)

    def take_bytes(self, number: int) -> None:
        """Count bytes, before they are read or written.

        Raises:
            BudgetExceededError: There are too many, or the work was cancelled.
        """
        self.check_cancelled()
        self._bytes += number
        if self.most_bytes is not None and self._bytes > self.most_bytes:
            raise BudgetExceededError(
                f"it takes more than {self.most_bytes} bytes, which is the session's limit of disk "
                "space; remove files or select fewer, or start the service with a higher --disk"
            )

    def take_entry(self, path: str) -> None:
        """Count a file, link or directory.

        Raises:
            BudgetExceededError: There are too many, or the work was cancelled.
        """
        self.check_cancelled()
        self._entries += 1 + len(path) // _PATH_UNIT
        self.check_entries(self._entries)

    def check_entries(self, number: int) -> None:
        """Raise `BudgetExceededError` if a tree has more entries than allowed."""
        if self.most_entries is not None and number > self.most_entries:
            raise BudgetExceededError(
                f"it has more than {self.most_entries} files and directories (long paths count "
                "several times); select fewer with a white list, or pack them into one file first"
            )

    def taken_bytes(self) -> int:
        """Return how many bytes were counted, for `rewind`."""
        return self._bytes

    def rewind(self, taken_bytes: int) -> None:
        """Count from an earlier number of bytes: the copy that took the others was deleted."""
        self._bytes = taken_bytes

    def start_again(self) -> None:
        """Count from zero, for the same work in another pass."""
        self._bytes = self._entries = 0

    def cancel(self) -> None:
        """Let the work end at its next step, from any thread."""
        self._cancelled = True

    def check_cancelled(self) -> None:
        """Raise `BudgetExceededError` if the work was cancelled."""
        if self._cancelled:
            raise BudgetExceededError("it was cancelled")
