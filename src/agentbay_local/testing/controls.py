"""What a service offers to tests: its instruments, and a hold on everything it has.

Each verb has two forms. The plain one blocks, and is for a service on a thread of its own; the one
that begins with ``a`` is awaited, and works for any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentbay_local.clock import Clock
    from agentbay_local.seeding import ContextSeeds, Seeded, SessionSeeds
    from agentbay_local.server import Server
    from agentbay_local.testing.faults import Faults
    from agentbay_local.testing.instruments import Instruments
    from agentbay_local.testing.journal import Journal
    from agentbay_local.testing.quotas import Quotas
    from agentbay_local.testing.transitions import Transitions

__all__ = ["TestControls"]

T = TypeVar("T")


class TestControls(ABC):
    """The part of `LocalService` that tests put their hands on."""

    _kit: Instruments

    @abstractmethod
    def _block(self, work: Callable[[Server], Coroutine[Any, Any, T]]) -> T:
        """Run something on the loop of the service, and wait for it."""

    @abstractmethod
    async def _await(self, work: Callable[[Server], Coroutine[Any, Any, T]]) -> T:
        """Run something on the loop of the service, which may be this one."""

    @property
    def clock(self) -> Clock:
        """Where the service reads time; give it to clients, and they share it."""
        return self._kit.clock

    @property
    def faults(self) -> Faults:
        """Rules that say which requests go wrong, and how."""
        return self._kit.faults

    @property
    def journal(self) -> Journal:
        """What was asked, and what came of it."""
        return self._kit.journal

    @property
    def quotas(self) -> Quotas:
        """Quotas, sizes of pages, and how long things are valid."""
        return self._kit.quotas

    @property
    def transitions(self) -> Transitions:
        """How long changes of state take."""
        return self._kit.transitions

    def living(self) -> dict[str, dict[str, str]]:
        """Return the labels of each session that is neither released nor on its way there, by id.

        Raises:
            RuntimeError: It does not run.
        """
        return self._block(_living)

    async def aliving(self) -> dict[str, dict[str, str]]:
        """As `living`, for coroutines."""
        return await self._await(_living)

    def reset(self) -> None:
        """Drop sessions, contexts, faults and entries of the journal; limits are as at first.

        The clock stays where it is. What is under way fails.

        Raises:
            RuntimeError: It does not run, or runs on the event loop of this thread.
        """
        self._block(_reset)

    async def areset(self) -> None:
        """As `reset`, for coroutines."""
        await self._await(_reset)

    def seed(self, sessions: SessionSeeds = 0, contexts: ContextSeeds = ()) -> Seeded:
        """Make sessions and contexts without a client; none of it is in the journal.

        Args:
            sessions: How many without labels, or the labels of each.
            contexts: Their names, or for each name its files: path and content.

        Raises:
            ValueError: The service refuses what is asked for; the message says why.
            RuntimeError: It does not run, or runs on the event loop of this thread.

        Example:
            ::

                service.seed(sessions=[{"env": "test"}], contexts={"notes": {"a.txt": "hello"}})
        """
        return self._block(lambda server: server.holdings.seed(sessions, contexts))

    async def aseed(self, sessions: SessionSeeds = 0, contexts: ContextSeeds = ()) -> Seeded:
        """As `seed`, for coroutines."""
        return await self._await(lambda server: server.holdings.seed(sessions, contexts))

    def snapshot(self, path: Path | str) -> None:
        """Write all contexts with their files, and all sessions, into one file.

        The file is replaced at once, and never half written. Sessions are in it with their labels,
        times and contexts, but without what runs in them and their files outside of contexts.

        Raises:
            OSError: It cannot be written.
            RuntimeError: It does not run, or runs on the event loop of this thread.
        """
        self._block(lambda server: server.snapshots.write(Path(path)))

    async def asnapshot(self, path: Path | str) -> None:
        """As `snapshot`, for coroutines."""
        await self._await(lambda server: server.snapshots.write(Path(path)))

    def restore(self, path: Path | str) -> None:
        """Drop sessions and contexts, and take over those of a snapshot.

        Raises:
            OSError: The file cannot be read; nothing has changed.
            ValueError: It is no snapshot; nothing has changed.
            RuntimeError: It does not run, or runs on the event loop of this thread.
        """
        self._block(lambda server: server.snapshots.bring_back(Path(path)))

    async def arestore(self, path: Path | str) -> None:
        """As `restore`, for coroutines."""
        await self._await(lambda server: server.snapshots.bring_back(Path(path)))


async def _living(server: Server) -> dict[str, dict[str, str]]:
    return server.holdings.living()


async def _reset(server: Server) -> None:
    await server.holdings.reset()
