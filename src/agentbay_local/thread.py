"""A thread that runs an event loop for one server."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

__all__ = ["ServerThread"]

T = TypeVar("T")

_START_WITHIN = 60.0
_STOP_WITHIN = 60.0
_FREEZE_WITHIN = 5.0


class Startable(Protocol):
    """A server: it answers requests from `start` to `stop`, on the loop that calls them."""

    async def start(self) -> None:
        """Start; after a failure nothing is left running."""
        ...

    async def stop(self) -> None:
        """Stop. Repeatable."""
        ...


class ServerThread:
    """A thread whose loop runs one server."""

    def __init__(self, server: Startable) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="agentbay-local", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until the server answers; raise its failure here."""
        self._thread.start()
        try:
            is_ready = self._ready.wait(_START_WITHIN)
        except BaseException:
            # Ctrl-C: the thread would go on, and leave a temporary home behind.
            self.stop()
            raise
        if not is_ready:
            self.stop()
            raise TimeoutError(f"the service did not start within {_START_WITHIN:.0f} seconds")
        if self._failure is not None:
            # The thread closes its loop last; a caller that tries again must not race with that.
            self._thread.join(_STOP_WITHIN)
            raise self._failure

    def stop(self) -> None:
        """Stop the server and wait for the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_WITHIN)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def freeze(self) -> None:
        """Block the loop for good, so that no session starts while `abort` kills them all."""
        frozen = threading.Event()

        def block() -> None:
            frozen.set()
            threading.Event().wait()

        self._loop.call_soon_threadsafe(block)
        frozen.wait(_FREEZE_WITHIN)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        try:
            await self._server.start()
        except BaseException as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        await self._stop.wait()
        await self._server.stop()
