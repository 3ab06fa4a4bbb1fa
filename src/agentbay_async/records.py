"""What the service knows of sessions: values without any I/O."""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

import attrs

S = TypeVar("S")


class SessionStatus(str, Enum):
    """The states of a session. ``FINISH`` is what a released session says of itself."""

    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FINISH = "FINISH"


#: The states from which a session does not come back.
ENDING = frozenset({SessionStatus.DELETING, SessionStatus.DELETED, SessionStatus.FINISH})


@attrs.frozen
class SessionPage(Generic[S]):
    """One page of a listing of sessions.

    Attributes:
        sessions: The sessions on this page.
        next_token: Where the next page begins; ``""`` on the last.
        max_results: How many sessions fit on a page.
        total_count: How many sessions match in all, or ``None`` when the service did not say.
    """

    sessions: list[S] = attrs.field(factory=list)
    next_token: str = ""
    max_results: int | None = None
    total_count: int | None = None


@attrs.frozen
class Reaping:
    """What became of the sessions of one owner.

    Attributes:
        deleted: Ids of those that outlived their process, and are gone.
        kept: Ids of those whose process lives, or is not known to be dead.
        failed: Why others could not be deleted, by their ids.
    """

    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class SessionInfo:
    """How a person reaches the desktop of a session. ``auth_code`` and ``ticket`` are secrets."""

    session_id: str = ""
    resource_url: str = attrs.field(default="", repr=False)
    app_id: str = ""
    auth_code: str = attrs.field(default="", repr=False)
    connection_properties: str = ""
    resource_id: str = ""
    resource_type: str = ""
    ticket: str = attrs.field(default="", repr=False)
