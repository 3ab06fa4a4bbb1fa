"""Deliver the output of a terminal to a callback."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

from agentbay_async.errors import AgentBayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async.services._pty.terminal import Terminal

logger = logging.getLogger("agentbay")

# The handle whose callback runs. What the callback calls has it too, also from another thread.
_owner: ContextVar[object] = ContextVar("agentbay_delivery_owner", default=None)


class Delivery:
    """A task that calls a callback with all output of a terminal.

    Errors of the callback are logged, and do not stop the output.

    Args:
        owner: The handle that the callback was given for.
        terminal: The terminal.
        chunks: Opens an iterator over the rest of its output; called again after an error.
        callback: The callback; it may be a coroutine function.
        name: The name of the argument, for the log.
    """

    def __init__(
        self,
        owner: object,
        terminal: Terminal,
        chunks: Callable[[], AsyncIterator[bytes]],
        callback: Callable[[bytes], Awaitable[None] | None],
        name: str,
    ) -> None:
        self._owner = owner
        self._terminal = terminal
        self._chunks = chunks
        self._callback = callback
        self._name = name
        self._task = asyncio.create_task(self._run())

    async def finish(self, timeout: float | None = None) -> None:
        """Wait until the callback has got everything; at once if the callback itself asks."""
        if _owner.get() is not self._owner:
            await asyncio.wait([self._task], timeout=timeout)

    async def _run(self) -> None:
        _owner.set(self._owner)
        while True:
            try:
                async for chunk in self._chunks():
                    await self._call(chunk)
            except AgentBayError as error:
                logger.warning("%s: %s", self._terminal.id, error)
                if not self._terminal.output.at_end:
                    continue
            return

    async def _call(self, chunk: bytes) -> None:
        try:
            awaitable = self._callback(chunk)
            if awaitable is not None:
                await awaitable
        except Exception:
            logger.exception("%s: %s failed", self._terminal.id, self._name)
