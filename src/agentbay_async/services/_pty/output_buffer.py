"""Bounded buffer for output that has arrived and was not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from agentbay_async.errors import PtyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_async.errors import AgentBayError

#: Bytes that a terminal keeps without a reader. The connection is shared with other terminals, so
#: there is no backpressure: beyond this limit the oldest bytes are dropped, and the reader gets an
#: error that says how many.
BUFFER_LIMIT = 64 * 1024 * 1024


class OutputBuffer:
    """The unread output of one terminal, in order.

    Args:
        limit: The number of bytes to keep.
    """

    def __init__(self, limit: int = BUFFER_LIMIT) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._changed = asyncio.Event()
        self._error: AgentBayError | None = None
        self._closed = False

    @property
    def at_end(self) -> bool:
        """Whether the buffer is closed and everything was read."""
        return self._closed and not self._chunks and not self._lost

    def report_lost(self, count: int) -> None:
        """Note that `count` bytes are missing before the next chunk."""
        self._lost += count
        self._changed.set()

    def feed(self, chunk: bytes) -> None:
        """Append a chunk. A closed buffer ignores it."""
        if self._closed or not chunk:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size > self._limit:
            oldest = self._chunks.popleft()
            self._size -= len(oldest)
            self._lost += len(oldest)
        self._changed.set()

    def close(self, error: AgentBayError | None = None) -> None:
        """End the output; `error` is raised once the rest was read."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._changed.set()

    async def read(self) -> bytes | None:
        """Wait for output and return all of it, or ``None`` at the end.

        Raises:
            PtyError: Bytes are missing at this point; the next call goes on behind the gap.
            AgentBayError: The output ended with an error.
        """
        while True:
            if self._lost:
                lost, self._lost = self._lost, 0
                raise PtyError(f"{lost} bytes of output were lost: they were not read in time")
            if self._chunks:
                return self._take_all()
            if self._error is not None:
                raise self._error
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if (chunk := await self.read()) is None:
            raise StopAsyncIteration
        return chunk

    def _take_all(self) -> bytes:
        joined = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return joined
