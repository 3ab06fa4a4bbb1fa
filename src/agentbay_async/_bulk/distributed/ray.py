"""Ray engine: each CPU of the cluster is a slot."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from agentbay_async._bulk.distributed.engine import STOP_TIMEOUT
from agentbay_async._bulk.distributed.worker import run_chunk
from agentbay_async.errors import ConfigurationError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agentbay_async._bulk.distributed.engine import ChunkResult, ChunkTask


class RayEngine:
    """The cluster that this process is connected to.

    Raises:
        ConfigurationError: This process is connected to no cluster.
    """

    name = "Ray"

    def __init__(self) -> None:
        # ray is an optional dependency, so type checkers must not look for it.
        ray: Any = import_module("ray")
        if not ray.is_initialized():
            raise ConfigurationError(
                "engine='ray' needs a cluster, and this process is not connected to one",
                hint="Call ray.init() first; address= connects to an existing cluster",
            )
        self._ray = ray
        self.dumps: Callable[[object], bytes] = import_module("ray.cloudpickle").dumps
        # No retries by Ray: the sessions of a dead worker have to be deleted first.
        self._remote = ray.remote(_run_task).options(num_cpus=1, max_retries=0, name="agentbay")

    async def slots(self) -> Collection[str]:
        """Return a name for each CPU; Ray chooses which of them runs a chunk."""
        resources = await to_thread.run_sync(self._ray.cluster_resources)
        return [f"CPU {number}" for number in range(int(resources.get("CPU", 0)))]

    async def run(self, task: ChunkTask, slot: str) -> ChunkResult:
        """Run a chunk.

        Raises:
            WorkerLostError: The worker died.
            RayTaskError: The worker cannot run it, for example because a module is missing.
        """
        exceptions = self._ray.exceptions
        reference = self._remote.remote(task)
        future = asyncio.wrap_future(reference.future())
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            # This interrupts the worker and does not kill it, so that it can delete its sessions.
            self._ray.cancel(reference)
            await asyncio.wait([future], timeout=STOP_TIMEOUT)
            raise
        try:
            result: ChunkResult = future.result()
        except exceptions.RayTaskError:
            # A subclass of RayError, but an error of the task: the worker lives.
            raise
        except exceptions.RayError as error:
            raise WorkerLostError(f"{slot}: {type(error).__name__}: {error}") from error
        return result


def _run_task(task: ChunkTask) -> ChunkResult:
    # Ray stops a task by an interrupt, so there is nothing to poll.
    return run_chunk(task, lambda: False)
