"""Output that arrived and was not read yet: kept in order, and never without bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from agentbay_async.errors import PtyError

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError

#: Bytes of a terminal that are kept for a reader who does not come. The line is shared with others
#: and cannot be made to wait, so that beyond this the oldest bytes are given up, and that is said.
MOST_UNREAD = 64 * 1024 * 1024


class Unread:
    """The output of one terminal, from the line to whoever reads it.

    Args:
        most: How many bytes it keeps.
    """

    def __init__(self, most: int = MOST_UNREAD) -> None:
        self._most = most
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._changed = asyncio.Event()
        self._error: AgentBayError | None = None
        self._ended = False

    @property
    def at_end(self) -> bool:
        """Whether no more comes, and all that came was read."""
        return self._ended and not self._pieces and not self._lost

    def lose(self, count: int) -> None:
        """Say that so many bytes are missing before what comes next."""
        self._lost += count
        self._changed.set()

    def put(self, piece: bytes) -> None:
        """Keep a piece; what comes after the end is not kept."""
        if self._ended or not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size > self._most:
            oldest = self._pieces.popleft()
            self._size -= len(oldest)
            self._lost += len(oldest)
        self._changed.set()

    def end(self, error: AgentBayError | None = None) -> None:
        """Say that no more comes, and why, if something went wrong."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._changed.set()

    async def next(self) -> bytes | None:
        """Return what has arrived since the last call, or ``None`` at the end.

        Raises:
            PtyError: Bytes are missing here, here or in the session; what is left can be read on.
            AgentBayError: The output broke off.
        """
        while True:
            if self._lost:
                lost, self._lost = self._lost, 0
                raise PtyError(f"{lost} bytes of output were lost: they were not read in time")
            if self._pieces:
                return self._take()
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()

    def _take(self) -> bytes:
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return joined
