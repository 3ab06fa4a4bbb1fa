"""Items read ahead of the workers, a little: who waits for a slow source must not be held up."""

from __future__ import annotations

from asyncio import Event, create_task, wait
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable

    from agentbay_async._bulk.inputs import Inputs

    Item = tuple[int, bytes]


class Prefetch:
    """Reads a source in a task of its own.

    Args:
        source: The items.
        ahead: How many of them to hold at most.
        stir: Called when there is something new.

    Attributes:
        ended: Whether there will be no more.
        error: What the source raised, or ``None``.
    """

    def __init__(self, source: Inputs[bytes], ahead: int, stir: Callable[[], None]) -> None:
        self.ended = False
        self.error: Exception | None = None
        self._source = source
        self._ahead = ahead
        self._stir = stir
        self._held: deque[Item] = deque()
        self._room = Event()
        self._task: Task[None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def begin(self) -> None:
        """Begin to read."""
        self._task = create_task(self._read())

    async def _read(self) -> None:
        try:
            while (pulled := await self._source.take()) is not None:
                self._held.append(pulled)
                if len(self._held) >= self._ahead:
                    self._stir()
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self.error = error
        finally:
            self.ended = True
            self._stir()

    def take(self, most: int) -> list[Item]:
        """Return so many items at most."""
        taken = [self._held.popleft() for _ in range(min(most, len(self._held)))]
        if len(self._held) < self._ahead:
            self._room.set()
        return taken

    async def aclose(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await wait([self._task])
        await self._source.aclose()
