"""What calls answer that start something which goes on: terminals and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from agentbay_async.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
U = TypeVar("U")


class PtyResult(Result[S], Generic[S]):
    """A terminal."""

    __slots__ = ()

    @property
    def pty(self) -> S:
        """The terminal's handle; raises the error of a failed result."""
        return self.unwrap()

    def map(self, change: Callable[[S], U]) -> PtyResult[U]:
        """Return a result whose handle is `change` of this one's; errors stay."""
        value = None if self._value is None else change(self._value)
        return PtyResult(value, self.error, self.request_id)


class ProcessResult(Result[S], Generic[S]):
    """A process that goes on in the background."""

    __slots__ = ()

    @property
    def process(self) -> S:
        """The process; raises the error of a failed result."""
        return self.unwrap()

    def map(self, change: Callable[[S], U]) -> ProcessResult[U]:
        """Return a result whose process is `change` of this one's; errors stay."""
        value = None if self._value is None else change(self._value)
        return ProcessResult(value, self.error, self.request_id)
