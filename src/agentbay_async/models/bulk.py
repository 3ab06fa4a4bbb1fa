"""Results of bulk runs: an outcome for each input, all of them together, and the progress."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from agentbay_async.models._reprs import html_table
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentbay_async.errors import AgentBayError

S = TypeVar("S")
U = TypeVar("U")

# The most reasons that a repr names.
_SHOWN = 3


@attrs.frozen(repr=False)
class BulkOutcome(Result[S], Generic[S]):
    """The outcome of one input: a session (its id for ``delete_many``), or an error.

    Attributes:
        index: The position of the input, from 0.
        attempts: How many times it was sent; 0 if never.
        seconds: Seconds from the start of its processing.

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
        """Return an outcome with `change` applied to the session; an error stays as it is."""
        value = None if self._value is None else change(self._value)
        return cast("BulkOutcome[U]", attrs.evolve(cast("Any", self), value=value))


@attrs.frozen(repr=False)
class MapOutcome(Result[S], Generic[S]):
    """The outcome of a function for one item: its value, or an error.

    Attributes:
        index: The position of the item, from 0.
        attempts: How many times the function ran; more than once if a session was lost.
        seconds: Seconds from the start of its processing.

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
        """The return value of the function; raises the error of a failed outcome."""
        return self.unwrap()


# Not an attrs class: a mapping is compared by its items.
class BulkResult(Mapping[int, "S | AgentBayError"], Generic[S]):
    """All outcomes of a run: a mapping from the position of each input to its session or error.

    Args:
        outcomes: The outcomes, in the order of the inputs.
        seconds: Seconds of the run.
        left_over: Ids of sessions that a roll-back failed to delete.

    Attributes:
        outcomes: The outcomes, in the order of the inputs.
        seconds: Seconds of the run.
        left_over: Ids of sessions that a roll-back failed to delete.

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
        name = type(self).__name__
        counts = f"{self.done} done, {self.failed} failed, {self.seconds:.3g} s"
        reasons = "; ".join(f"{count} {reason}" for reason, count in self._reasons()[:_SHOWN])
        return f"{name}({counts}{': ' * bool(reasons)}{reasons})"

    def _reasons(self) -> list[tuple[str, int]]:
        """Return the reasons of failures and their numbers, the most frequent first."""
        errors = self.failures.values()
        return Counter(f"{type(one).__name__}: {one.message:.80}" for one in errors).most_common()

    def __rich_repr__(self) -> Iterator[tuple[str, object]]:
        yield "done", self.done
        yield "failed", self.failed
        yield "seconds", round(self.seconds, 3)
        yield "reasons", dict(self._reasons()[:_SHOWN])

    def _repr_html_(self) -> str:
        """Return a table of the reasons of failures, for notebooks."""
        caption = f"{self.done} done, {self.failed} failed, {self.seconds:.3g} s"
        rows = [(count, reason) for reason, count in self._reasons()]
        return html_table(caption, ("inputs", "reason"), rows)

    @property
    def success(self) -> bool:
        """Whether every input succeeded, and nothing is left over."""
        return not self.failed and not self.left_over

    @property
    def done(self) -> int:
        """The number of inputs that succeeded."""
        return len(self.outcomes) - self.failed

    @property
    def failed(self) -> int:
        """The number of inputs that failed."""
        return sum(outcome.error is not None for outcome in self.outcomes)

    @property
    def attempts(self) -> int:
        """The number of requests that were sent, retries included."""
        return sum(outcome.attempts for outcome in self.outcomes)

    @property
    def sessions(self) -> list[S]:
        """The sessions, or the ids of deleted sessions, in the order of the inputs."""
        return [outcome.unwrap() for outcome in self.outcomes if outcome.error is None]

    @property
    def failures(self) -> dict[int, AgentBayError]:
        """The errors of failed inputs, by position."""
        return {one.index: one.error for one in self.outcomes if one.error is not None}

    def raise_for_failures(self) -> None:
        """Raise the errors of the inputs that failed, if there are any.

        Raises:
            ExceptionGroup: The errors, in the order of the inputs; a note of each has the position
                of its input and the id of its request.
        """
        failures = self.failures
        if not failures:
            return
        for index, error in failures.items():
            # Replaced, so that a second call adds no second note.
            error.__dict__["__notes__"] = [_note(index, error)]
        counts = Counter(type(error).__name__ for error in failures.values())
        summary = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        message = f"{len(failures)} of {len(self.outcomes)} failed: {summary}"
        raise _exception_group()(message, list(failures.values()))

    def map(self, change: Callable[[S], U]) -> BulkResult[U]:
        """Return a result with `change` applied to each session; errors stay as they are."""
        changed = [outcome.map(change) for outcome in self.outcomes]
        return BulkResult(changed, self.seconds, self.left_over)


def _note(index: int, error: AgentBayError) -> str:
    request = f", request {error.request_id}" if error.request_id else ""
    return f"input {index}{request}"


def _exception_group() -> Any:
    """Return ExceptionGroup; on Python 3.10, that of the package which anyio installs."""
    found = getattr(builtins, "ExceptionGroup", None)
    return found or import_module("exceptiongroup").ExceptionGroup


@attrs.frozen
class Progress:
    """The progress of a bulk run.

    Attributes:
        done: The number of inputs that succeeded.
        failed: The number of inputs that failed.
        running: The number of inputs in progress.
        total: The number of all inputs, or ``None`` if unknown.
        seconds: Seconds since the start of the run.

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
        """Inputs finished per second, on average."""
        return (self.done + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """The estimated seconds until the end, or ``None`` if unknown."""
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.done - self.failed, 0) / self.rate

    def __str__(self) -> str:
        total = "" if self.total is None else f" of {self.total}"
        left = "" if self.eta is None else f", {self.eta:.0f} s left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}{total} done{failed}, {self.running} running, {self.rate:.1f}/s{left}"
