"""What a push or a pull of a directory does: values and the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async.errors import AgentBayError

R = TypeVar("R", bound="Result[Any]")


@attrs.frozen
class ContextChange:
    """One file that a push or a pull changes.

    Attributes:
        action: ``"add"``, ``"change"`` or ``"delete"``.
        path: The path of the file, from the folder of the context.
        size: Bytes to transfer; 0 to delete.
        error: Why it was not changed; ``None`` if it was, or in a plan.
    """

    action: str
    path: str
    size: int = 0
    error: AgentBayError | OSError | None = attrs.field(default=None, eq=False)


class ContextChangesResult(Result["tuple[ContextChange, ...]"]):
    """The result of ``push`` and ``pull``.

    If some files failed, it is a failed result that still has all changes. If nothing could be
    done, reading the changes raises the error.
    """

    __slots__ = ()

    @classmethod
    def of(cls: type[R], changes: Sequence[ContextChange], error: AgentBayError | None) -> R:
        """Make a result of changes, and the error that sums the failed ones up."""
        return cls(tuple(changes), error, "")

    @property
    def changes(self) -> tuple[ContextChange, ...]:
        """The files that differed, in the order of the work."""
        return self.unwrap() if self._value is None else self._value

    @property
    def failures(self) -> tuple[ContextChange, ...]:
        """The changes that failed; each has its error."""
        return tuple(one for one in self.changes if one.error is not None)
