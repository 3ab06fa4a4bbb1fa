"""Expected values after a chaos run: acknowledged, failed and cancelled changes.

An acknowledged change holds until a later one. A failed change may have been applied all the same,
and a cancelled one may even be applied later, because the service continues a request whose client
has disconnected.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define
class Claim(Generic[T]):
    """The values that one thing may have now.

    Attributes:
        values: The possible values.
        certain: Whether one of them must be there, because a change was acknowledged.
    """

    values: list[T] = attrs.field(factory=list)
    certain: bool = False
    _late: list[T] = attrs.field(factory=list)

    def acknowledged(self, *values: T) -> None:
        """Expect one of these values, or a cancelled change that is applied late."""
        self.values = [*values, *self._late]
        self.certain = True

    def failed(self, *values: T) -> None:
        """Allow these values as well."""
        self.values.extend(values)

    def cancelled(self, *values: T) -> None:
        """Allow these values, now and later."""
        self.values.extend(values)
        self._late.extend(values)

    def excludes(self, found: T | None) -> bool:
        """Return whether `found` is not a possible value."""
        return self.certain and found not in self.values


@attrs.define
class Findings:
    """The results of a chaos run: what was done, and what must not have happened.

    Attributes:
        leaked: Sessions that exist, that no worker holds, and that no warning named.
        doubles: Sessions beyond the first of one create.
        vanished: Sessions that are gone although nobody deleted them.
        files_lost: Files whose acknowledged bytes are not there.
        bytes_lost: The acknowledged bytes of those.
        wrong_labels: Labels or listings that no worker requested.
        hangs: Names of what did not finish in time.
        surprises: Errors that are not errors of the library.
        told: Sessions that could not be deleted, as a warning said of each.
        counts: What was done, and how it ended.
    """

    leaked: list[str] = attrs.field(factory=list)
    doubles: list[str] = attrs.field(factory=list)
    vanished: list[str] = attrs.field(factory=list)
    files_lost: list[str] = attrs.field(factory=list)
    bytes_lost: int = 0
    wrong_labels: list[str] = attrs.field(factory=list)
    hangs: list[str] = attrs.field(factory=list)
    untyped_errors: list[str] = attrs.field(factory=list)
    reported: list[str] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)

    @property
    def problems(self) -> dict[str, list[str]]:
        """Lists that must be empty, by name."""
        return {
            "sessions leaked": self.leaked,
            "doubles": self.doubles,
            "sessions vanished": self.vanished,
            "files lost": self.files_lost,
            "wrong labels": self.wrong_labels,
            "hangs": self.hangs,
            "errors that are not typed": self.untyped_errors,
        }

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not any(self.problems.values())
