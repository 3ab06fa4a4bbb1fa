"""What a cluster has to offer, so that a run can be spread over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: Seconds that a worker has to delete its sessions when it is told to stop.
STOPPING = 20.0


@attrs.frozen
class Order:
    """A chunk of a run, as a worker gets it. Its repr ends up in logs of the cluster: no secrets.

    Attributes:
        label: What the sessions of the chunk are labelled with; no other chunk has it.
        job: What is the same for all chunks of the run.
        items: The items.
        width: How many of them are worked on at once.
        rate: How many are begun in a second, or ``None``.
        burst: How many of them at once after a rest.
        deadline: Seconds for all of them, or ``None``.
        sessions: How many sessions may be made, or ``None``.
        session_hours: After how many hours of sessions no more are made, or ``None``.
    """

    label: str
    job: bytes = attrs.field(repr=False)
    items: tuple[bytes, ...] = attrs.field(repr=False)
    width: int
    rate: float | None = None
    burst: int | None = None
    deadline: float | None = None
    sessions: int | None = None
    session_hours: float | None = None


@attrs.frozen
class Report:
    """What a worker made of a chunk.

    Attributes:
        outcomes: The outcome of each item, by its place in the chunk.
        error: What ended the work early, or ``None``.
        sessions: How many sessions it made.
        session_hours: How long they lived, all together.
    """

    outcomes: tuple[tuple[int, bytes], ...] = attrs.field(default=(), repr=False)
    error: bytes | None = attrs.field(default=None, repr=False)
    sessions: int = 0
    session_hours: float = 0.0


class Engine(Protocol):
    """A cluster. It works on one chunk at each of its places, and is asked where they are now."""

    #: What the cluster is called, for messages.
    name: str
    #: What makes bytes of functions, also of those that cannot be imported; a reference to it can
    #: itself be pickled.
    dumps: Callable[[object], bytes]

    async def places(self) -> Collection[str]:
        """Return the names of the places at which there are workers. Asked about every second.

        Raises:
            Exception: The cluster is gone.
        """
        ...

    async def run(self, order: Order, place: str) -> Report:
        """Have a chunk worked on. Cancelled, tell the worker to stop, and wait for its clean-up.

        Raises:
            WorkerLostError: The worker died.
            Exception: It could not be worked on.
        """
        ...
