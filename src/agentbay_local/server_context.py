"""Context managers for servers: on a thread of their own, or on the loop of an ``async with``."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from agentbay_local.thread import ServerThread, Startable

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["ServerContext"]

S = TypeVar("S", bound=Startable)


class ServerContext(ABC, Generic[S]):
    """A server that runs from its start to its stop, or while a block lasts."""

    def __init__(self) -> None:
        self._server: S | None = None
        self._thread: ServerThread | None = None

    @abstractmethod
    def _make_server(self) -> S:
        """Return the server to start; raise an error if it could not do its work."""

    def _after_stop(self) -> None:
        """Complete the work of a server that has stopped; may block."""

    def start(self) -> Self:
        """Start on a new thread; return once the server answers.

        Raises:
            OSError: The port or a directory cannot be used.
            RuntimeError: It is running already.
        """
        server = self._next_server()
        thread = ServerThread(server)
        thread.start()
        self._server, self._thread = server, thread
        return self

    def stop(self) -> None:
        """Stop what `start` has started, and wait for its end. Repeatable."""
        thread = self._thread
        if thread is not None:
            self._thread = self._server = None
            thread.stop()
            self._after_stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        server = self._next_server()
        await server.start()
        self._server = server
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            # A cancel must not leave half of a server behind.
            await asyncio.shield(self._stop_on_loop(server))

    async def _stop_on_loop(self, server: S) -> None:
        await server.stop()
        await asyncio.to_thread(self._after_stop)

    def _next_server(self) -> S:
        if self._server is not None:
            raise RuntimeError(f"{self!r} is running already")
        return self._make_server()
