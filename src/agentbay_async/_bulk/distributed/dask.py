"""Dask engine: each worker process of the cluster is a slot."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from agentbay_async._bulk.distributed.engine import STOP_TIMEOUT
from agentbay_async._bulk.distributed.worker import run_chunk
from agentbay_async.errors import ConfigurationError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agentbay_async._bulk.distributed.engine import ChunkResult, ChunkTask

# Seconds between two checks whether a worker still exists.
_POLL_INTERVAL = 0.5


class DaskEngine:
    """The cluster of the current client, which may be blocking or asynchronous.

    Raises:
        ConfigurationError: This process has no client.
    """

    name = "Dask"

    def __init__(self) -> None:
        # distributed is an optional dependency, so type checkers must not look for it.
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
        self._workers: Collection[str] = ()

    async def slots(self) -> Collection[str]:
        """Return the addresses of the workers."""
        self._workers = frozenset(await self._call(self._client.nthreads))
        return self._workers

    async def run(self, task: ChunkTask, slot: str) -> ChunkResult:
        """Run a chunk on the worker at the address `slot`.

        Raises:
            WorkerLostError: The worker died.
            Exception: The worker cannot run it, for example because a module is missing.
        """
        # On this worker only: Dask would run the task of a dead worker again on another one, before
        # the sessions of the dead one are deleted.
        future = self._client.submit(
            _run_task,
            task,
            key=f"agentbay-{task.label}",
            workers=[slot],
            allow_other_workers=False,
            pure=False,
        )
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
        try:
            await self._wait_until(ended, slot)
            if future.cancelled():
                raise WorkerLostError(f"Dask has dropped the task of the worker at {slot}")
            result: ChunkResult = await self._call(future.result)
        except asyncio.CancelledError:
            await self._stop(task, ended)
            raise
        finally:
            # The scheduler forgets a task that nobody holds, also one that never ran.
            future.release()
        await self._call(_started_event(task, self._client).clear)
        return result

    async def _wait_until(self, ended: asyncio.Event, slot: str) -> None:
        waiting = asyncio.ensure_future(ended.wait())
        try:
            # A task that is bound to a dead worker never ends, so watch the workers as well.
            while not (await asyncio.wait([waiting], timeout=_POLL_INTERVAL))[0]:
                if slot not in self._workers:
                    raise WorkerLostError(f"the worker at {slot} is gone")
        finally:
            waiting.cancel()

    async def _stop(self, task: ChunkTask, ended: asyncio.Event) -> None:
        """Ask the worker to stop by an event: Dask never interrupts a running task."""
        stop = self._distributed.Event(task.label, client=self._client)
        await self._call(stop.set)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), STOP_TIMEOUT)
        await self._call(stop.clear)

    async def _call(self, function: Callable[[], Any]) -> Any:
        """Call a method of the client: on its own loop, or in a thread if it blocks."""
        if not self._asynchronous:
            return await to_thread.run_sync(function)
        answer = function()
        return await answer if isawaitable(answer) else answer


def _run_task(task: ChunkTask) -> ChunkResult:
    distributed: Any = import_module("distributed")
    client = distributed.get_client()
    started = _started_event(task, client)
    if started.is_set():
        # A nanny may restart a dead worker at its old address, and Dask then repeats its tasks.
        raise WorkerLostError("the worker died, and was started again")
    started.set()
    return run_chunk(task, distributed.Event(task.label, client=client).is_set)


def _started_event(task: ChunkTask, client: Any) -> Any:
    """Return the event that is set once a worker has started the chunk."""
    return import_module("distributed").Event(f"{task.label} started", client=client)
