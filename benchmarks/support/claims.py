"""What a storm may be held to: what was acknowledged, and what was merely asked for.

A change that was acknowledged is there until a later one. One that failed may have been made all
the same; and one whose caller was cancelled may even be made later, since the service goes on with
a request whose client is gone.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define
class Claim(Generic[T]):
    """What one thing may hold by now.

    Attributes:
        values: What may be there.
        firm: Whether one of them must be, because a change was acknowledged.
    """

    values: list[T] = attrs.field(factory=list)
    firm: bool = False
    _late: list[T] = attrs.field(factory=list)

    def acknowledged(self, *values: T) -> None:
        """One of these is there, and nothing of before, but for what may come late."""
        self.values = [*values, *self._late]
        self.firm = True

    def failed(self, *values: T) -> None:
        """One of these may be there."""
        self.values.extend(values)

    def cancelled(self, *values: T) -> None:
        """One of these may be there, now or later."""
        self.values.extend(values)
        self._late.extend(values)

    def broken_by(self, found: T | None) -> bool:
        """Tell whether what was found is none of what may be there."""
        return self.firm and found not in self.values


@attrs.define
class Findings:
    """What a storm did, and what must not have happened.

    Attributes:
        leaked: Sessions that live, that nobody holds, and that no warning named.
        doubles: Sessions beyond the first of one create.
        vanished: Sessions that are gone although nobody deleted them.
        files_lost: Files whose acknowledged bytes are not there.
        bytes_lost: The acknowledged bytes of those.
        wrong_labels: Labels or listings that nobody can have asked for.
        hangs: What was not over in time, by name.
        surprises: Errors that are none of the library's.
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
    surprises: list[str] = attrs.field(factory=list)
    told: list[str] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)

    @property
    def bad(self) -> dict[str, list[str]]:
        """What must be empty, by name."""
        return {
            "sessions leaked": self.leaked,
            "doubles": self.doubles,
            "sessions vanished": self.vanished,
            "files lost": self.files_lost,
            "wrong labels": self.wrong_labels,
            "hangs": self.hangs,
            "errors that are not typed": self.surprises,
        }

    @property
    def good(self) -> bool:
        """Whether nothing happened that must not."""
        return not any(self.bad.values())
