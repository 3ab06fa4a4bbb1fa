"""Interface between a distributed map and a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: Seconds for a worker to delete its sessions after it was asked to stop.
STOP_TIMEOUT = 20.0


@attrs.frozen
class ChunkTask:
    """A chunk of items, as it is sent to a worker.

    Clusters write the repr of a task into their logs, so it shows no key and no data.

    Attributes:
        label: The label of the sessions of this chunk; no other chunk has it.
        job: What is the same for all chunks of the run, pickled.
        items: The items, pickled one by one.
        concurrency: How many items are processed at once.
        rate: How many items start per second, or ``None``.
        burst: How many of them may start at once after a pause.
        deadline: Seconds for the whole chunk, or ``None``.
        max_sessions: How many sessions may be created, or ``None``.
        max_session_hours: After how many session hours no more are created, or ``None``.
    """

    label: str
    job: bytes = attrs.field(repr=False)
    items: tuple[bytes, ...] = attrs.field(repr=False)
    concurrency: int
    rate: float | None = None
    burst: int | None = None
    deadline: float | None = None
    max_sessions: int | None = None
    max_session_hours: float | None = None


@attrs.frozen
class ChunkResult:
    """The result of a chunk, as a worker returns it.

    Attributes:
        outcomes: The position of each item in the chunk, and its outcome, pickled.
        error: The error that ended the chunk early, pickled, or ``None``.
        sessions: How many sessions the worker created.
        session_hours: How many hours they existed, added up.
    """

    outcomes: tuple[tuple[int, bytes], ...] = attrs.field(default=(), repr=False)
    error: bytes | None = attrs.field(default=None, repr=False)
    sessions: int = 0
    session_hours: float = 0.0


class Engine(Protocol):
    """A cluster with slots, each of which processes one chunk at a time."""

    #: The name of the cluster in messages.
    name: str
    #: Pickles values, also functions that cannot be imported. It can itself be pickled, because
    #: workers pickle their outcomes with it.
    dumps: Callable[[object], bytes]

    async def slots(self) -> Collection[str]:
        """Return the names of the slots that have a worker now. Called about once a second.

        Raises:
            Exception: The cluster cannot be reached.
        """
        ...

    async def run(self, task: ChunkTask, slot: str) -> ChunkResult:
        """Run a chunk in a slot. When cancelled, stop the worker and wait for its clean-up.

        Raises:
            WorkerLostError: The worker died.
            Exception: The chunk could not be run.
        """
        ...
