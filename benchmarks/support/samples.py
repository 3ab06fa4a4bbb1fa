"""Samples and their ratios, compared within a round so that noise affects both sides."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@attrs.frozen
class Sample:
    """The cost of one call in one round.

    Attributes:
        wall: Seconds of wall clock.
        cpu: Seconds of CPU, user and system, of all threads.
        requests: How many requests the service saw.
        connections: How many connections were opened for it.
    """

    wall: float
    cpu: float
    requests: float = 0.0
    connections: float = 0.0


@attrs.frozen
class Spread:
    """The median of some figures, and the range of the middle 80 %."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Return the spread of `figures`."""
        if len(figures) == 1:
            return cls(figures[0], figures[0], figures[0])
        tenths = quantiles(figures, n=10, method="inclusive")
        return cls(median(figures), tenths[0], tenths[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.p10:.2f}-{self.p90:.2f}]"


def cpu_ratio(these: Sequence[Sample], base: Sequence[Sample]) -> Spread:
    """Return the ratios of CPU time, round by round."""
    return Spread.of([mine.cpu / other.cpu for mine, other in zip(these, base, strict=True)])


def wall_ratio(these: Sequence[Sample], base: Sequence[Sample]) -> Spread:
    """Return the ratios of wall-clock time, round by round."""
    return Spread.of([mine.wall / other.wall for mine, other in zip(these, base, strict=True)])


@attrs.frozen
class Target:
    """A ratio that must not be exceeded."""

    what: str
    most: float
    measured: Spread

    @property
    def missed(self) -> bool:
        """Whether even the best rounds miss it, so that one noisy neighbour is not a regression."""
        return self.measured.p10 > self.most

    def __str__(self) -> str:
        verdict = (
            "MISSED" if self.missed else "met" if self.measured.median <= self.most else "near"
        )
        return f"{verdict:6}  {self.what}: {self.measured}, at most {self.most:g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as aligned text: the first two columns to the left, the rest to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
