"""What runs over many sessions answer: one outcome for each input, and all of them together."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentbay_async.errors import AgentBayError

S = TypeVar("S")
U = TypeVar("U")


@attrs.frozen(repr=False)
class BulkOutcome(Result[S], Generic[S]):
    """What became of one input: a session (of ``delete_many``, its id), or an error.

    Attributes:
        index: The place of the input, counted from 0.
        attempts: How often it was sent; 0 when it never was.
        seconds: How long it took, from when its turn came.

    Example:
        >>> outcome = BulkOutcome("s-1", index=3, attempts=2)
        >>> outcome.success, outcome.session, outcome.attempts
        (True, 's-1', 2)
    """

    index: int = 0
    attempts: int = 0
    seconds: float = 0.0

    @property
    def session(self) -> S:
        """The session; raises the error of a failed outcome."""
        return self.unwrap()

    def map(self, change: Callable[[S], U]) -> BulkOutcome[U]:
        """Return an outcome whose session is `change` of this one's; errors stay."""
        value = None if self._value is None else change(self._value)
        return cast("BulkOutcome[U]", attrs.evolve(cast("Any", self), value=value))


@attrs.frozen(repr=False)
class MapOutcome(Result[S], Generic[S]):
    """What a function made of one item, or why it did not.

    Attributes:
        index: The place of the item, counted from 0.
        attempts: How often the function was run on it: again when its session was lost.
        seconds: How long it took, from when its turn came.

    Example:
        >>> outcome = MapOutcome(42, index=3)
        >>> outcome.success, outcome.value
        (True, 42)
    """

    index: int = 0
    attempts: int = 0
    seconds: float = 0.0

    @property
    def value(self) -> S:
        """What the function returned; raises the error of a failed outcome."""
        return self.unwrap()


# Not by attrs: a mapping compares by its items, and has no order of fields.
class BulkResult(Mapping[int, "S | AgentBayError"], Generic[S]):
    """All outcomes of a run: a mapping of the place of each input to its session or its error.

    Args:
        outcomes: One for each input, in their order.
        seconds: How long the run took.
        left_over: Ids of what should have been deleted again and is still there.

    Attributes:
        outcomes: One for each input, in their order.
        seconds: How long the run took.
        left_over: Ids of what should have been deleted again and is still there.

    Example:
        >>> result = BulkResult([BulkOutcome("s-1", index=0), BulkOutcome("s-2", index=1)])
        >>> result[0], result.sessions, result.failures
        ('s-1', ['s-1', 's-2'], {})
    """

    __slots__ = ("left_over", "outcomes", "seconds")

    outcomes: Sequence[BulkOutcome[S]]
    seconds: float
    left_over: Sequence[str]

    def __init__(
        self,
        outcomes: Sequence[BulkOutcome[S]],
        seconds: float = 0.0,
        left_over: Sequence[str] = (),
    ) -> None:
        self.outcomes = outcomes
        self.seconds = seconds
        self.left_over = left_over

    def __getitem__(self, index: int) -> S | AgentBayError:
        if index not in range(len(self.outcomes)):
            raise KeyError(index)
        outcome = self.outcomes[index]
        return outcome.unwrap() if outcome.error is None else outcome.error

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.outcomes)))

    def __len__(self) -> int:
        return len(self.outcomes)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind}({self.done} done, {self.failed} failed, {self.seconds:.3g} s)"

    @property
    def success(self) -> bool:
        """Whether every input got what was asked for, and nothing is left over."""
        return not self.failed and not self.left_over

    @property
    def done(self) -> int:
        """How many inputs got what was asked for."""
        return len(self.outcomes) - self.failed

    @property
    def failed(self) -> int:
        """How many did not."""
        return sum(outcome.error is not None for outcome in self.outcomes)

    @property
    def attempts(self) -> int:
        """How many requests were sent for them in all, those that were sent again included."""
        return sum(outcome.attempts for outcome in self.outcomes)

    @property
    def sessions(self) -> list[S]:
        """What there is, in the order of the inputs: sessions, or the ids of deleted ones."""
        return [outcome.unwrap() for outcome in self.outcomes if outcome.error is None]

    @property
    def failures(self) -> dict[int, AgentBayError]:
        """The errors of those that failed, by the place of the input."""
        return {one.index: one.error for one in self.outcomes if one.error is not None}

    def raise_for_failures(self) -> None:
        """Raise what went wrong, if anything did.

        Raises:
            ExceptionGroup: The errors of all that failed, in the order of the inputs; a note of
                each names the place of its input and the id of its request.
        """
        failures = self.failures
        if not failures:
            return
        for index, error in failures.items():
            # Set, and not added: whoever raises twice gets no second note.
            error.__dict__["__notes__"] = [_note(index, error)]
        kinds = Counter(type(error).__name__ for error in failures.values())
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        message = f"{len(failures)} of {len(self.outcomes)} failed: {told}"
        raise _group_kind()(message, list(failures.values()))

    def map(self, change: Callable[[S], U]) -> BulkResult[U]:
        """Return a result whose sessions are `change` of these; errors stay."""
        changed = [outcome.map(change) for outcome in self.outcomes]
        return BulkResult(changed, self.seconds, self.left_over)


def _note(index: int, error: AgentBayError) -> str:
    request = f", request {error.request_id}" if error.request_id else ""
    return f"input {index}{request}"


def _group_kind() -> Any:
    """Return ExceptionGroup, which Python 3.10 has from the package that anyio brings along."""
    found = getattr(builtins, "ExceptionGroup", None)
    return found or import_module("exceptiongroup").ExceptionGroup


@attrs.frozen
class Progress:
    """How far a run over many sessions is.

    Attributes:
        done: How many inputs got what was asked for.
        failed: How many did not.
        running: How many are under way.
        total: How many there are, or ``None`` when nobody knows.
        seconds: How long the run has taken so far.

    Example:
        >>> Progress(done=30, failed=10, running=10, total=100, seconds=20.0).eta
        30.0
    """

    done: int = 0
    failed: int = 0
    running: int = 0
    total: int | None = None
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """How many ended in a second, on the average so far."""
        return (self.done + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """The seconds until the end if it goes on like that; ``None`` when nobody knows."""
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.done - self.failed, 0) / self.rate

    def __str__(self) -> str:
        total = "" if self.total is None else f" of {self.total}"
        left = "" if self.eta is None else f", {self.eta:.0f} s left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}{total} done{failed}, {self.running} running, {self.rate:.1f}/s{left}"
