"""Dask: each of its worker processes is a place."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from agentbay_async._bulk.distributed.engine import STOPPING
from agentbay_async._bulk.distributed.worker import perform
from agentbay_async.errors import ConfigurationError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agentbay_async._bulk.distributed.engine import Order, Report

# Seconds between two looks at whether a worker still lives.
_LOOK = 0.5


class DaskEngine:
    """The cluster of the current client, which may be a blocking or an asynchronous one.

    Raises:
        ConfigurationError: There is no client.
    """

    name = "Dask"

    def __init__(self) -> None:
        # distributed comes with an extra and may be missing: a type checker cannot know it.
        self._distributed: Any = import_module("distributed")
        try:
            self._client = self._distributed.Client.current()
        except ValueError as error:
            raise ConfigurationError(
                "engine='dask' needs a cluster, and this process has no client of one",
                hint="Make a distributed.Client first; its address is that of an existing cluster",
            ) from error
        self._asynchronous: bool = self._client.asynchronous
        self.dumps: Callable[[object], bytes] = import_module("cloudpickle").dumps
        self._alive: Collection[str] = ()

    async def places(self) -> Collection[str]:
        """Return the addresses of the workers."""
        self._alive = frozenset(await self._call(self._client.nthreads))
        return self._alive

    async def run(self, order: Order, place: str) -> Report:
        """Have a chunk worked on.

        Raises:
            WorkerLostError: The worker died.
            Exception: The worker lacks what it needs.
        """
        # Nowhere else, and so not again: what a dead worker left has to be deleted first.
        future = self._client.submit(
            _perform,
            order,
            key=f"agentbay-{order.label}",
            workers=[place],
            allow_other_workers=False,
            pure=False,
        )
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
        try:
            await self._until(ended, place)
            if future.cancelled():
                raise WorkerLostError(f"Dask has dropped what the worker at {place} did")
            report: Report = await self._call(future.result)
        except asyncio.CancelledError:
            await self._stop(order, ended)
            raise
        finally:
            # Whatever nobody holds is forgotten by the scheduler, also if it never ran.
            future.release()
        await self._call(_begun(order, self._client).clear)
        return report

    async def _until(self, ended: asyncio.Event, place: str) -> None:
        waiting = asyncio.ensure_future(ended.wait())
        try:
            while not (await asyncio.wait([waiting], timeout=_LOOK))[0]:
                if place not in self._alive:
                    raise WorkerLostError(f"the worker at {place} is gone")
        finally:
            waiting.cancel()

    async def _stop(self, order: Order, ended: asyncio.Event) -> None:
        """Ask the worker to stop; Dask itself never interrupts what runs."""
        signal = self._distributed.Event(order.label, client=self._client)
        await self._call(signal.set)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), STOPPING)
        await self._call(signal.clear)

    async def _call(self, function: Callable[[], Any]) -> Any:
        """Call something of the client: on its own loop, or in a thread if it blocks."""
        if not self._asynchronous:
            return await to_thread.run_sync(function)
        answer = function()
        return await answer if isawaitable(answer) else answer


def _perform(order: Order) -> Report:
    distributed: Any = import_module("distributed")
    client = distributed.get_client()
    begun = _begun(order, client)
    if begun.is_set():
        # A nanny may start a dead worker again at its old address, and Dask its tasks.
        raise WorkerLostError("the worker died, and was started again")
    begun.set()
    return perform(order, distributed.Event(order.label, client=client).is_set)


def _begun(order: Order, client: Any) -> Any:
    """Return the mark of a chunk that some worker has begun."""
    return import_module("distributed").Event(f"{order.label} begun", client=client)
