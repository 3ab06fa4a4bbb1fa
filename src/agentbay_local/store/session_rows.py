"""The values that `Sessions` takes and gives, and the tags a stored session has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_local.store import states

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from agentbay_local.store.totals import Tag

__all__ = ["ALIVE", "Filter", "NewSession", "Session", "tags_of"]

_LISTED: Tag = ("", "")
# Counted as the tags are, but stored with no session: their number alone is ever asked for.
ALIVE: Tag = ("alive", "")


@attrs.frozen
class NewSession:
    """A session that is about to be stored.

    Attributes:
        id: Its id.
        image: Its image.
        labels: Its labels.
        created: Unix seconds.
        idle_seconds: Time without use after which it is released, or None for never.
        ends: Reading of the monotonic clock at which it is released in any case, or None.
    """

    id: str
    image: str
    labels: Mapping[str, str]
    created: float
    idle_seconds: float | None = None
    ends: float | None = None


@attrs.frozen
class Session:
    """A stored session. See `NewSession` for the times."""

    seq: int
    id: str
    image: str
    status: str
    created: float
    idle_seconds: float | None
    ends: float | None
    end_reason: str


@attrs.frozen
class Filter:
    """Which sessions a listing shows: those that have all of it.

    Attributes:
        labels: Labels, all of which they have.
        status: Their state.
        image: Their image.
        made_by: They were created no later, in Unix seconds.
    """

    labels: tuple[tuple[str, str], ...] = ()
    status: str | None = None
    image: str | None = None
    made_by: float | None = None

    def tags(self) -> list[Tag]:
        """Return the tags that a session must have."""
        tags = [(f"label:{key}", value) for key, value in self.labels]
        tags += [("status", self.status)] if self.status else []
        tags += [("image", self.image)] if self.image else []
        return tags or [_LISTED]


def tags_of(status: str, image: str, labels: Mapping[str, str]) -> Set[Tag]:
    """Return the tags of a session; a session that is being released has none."""
    if status not in states.LISTED:
        return set()
    tags = {(f"label:{key}", value) for key, value in labels.items()}
    return {_LISTED, ("status", status), ("image", image)} | tags
